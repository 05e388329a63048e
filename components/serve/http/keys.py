"""Who may ask: keys from an environment variable, compared in constant time, known by their names alone.

Not covered: a key that is given away; traffic in the clear (put a proxy with TLS in front of anything but loopback).
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping

from components.errors import InputError

__all__ = ["Keys", "first_key"]

_SHORTEST = 16  # characters
_NAME = re.compile(r"[A-Za-z][\w.-]{0,39}")


class Keys:
    """The keys that are let in, as digests; none: everybody is let in.

    Args:
        named: name -> key.
    """

    def __init__(self, named: Mapping[str, str]) -> None:
        self._digests = {name: _digest(key) for name, key in named.items()}

    @classmethod
    def read(cls, text: str, *, what: str) -> Keys:
        """Keys separated by commas, each as NAME:KEY or KEY (then its name is `key-1`, by its place).

        Args:
            text: of the environment variable.
            what: where it is from, for errors.

        Raises:
            InputError: there is none, one is short, or a name or key stands there twice. It never tells a key.
        """
        named: dict[str, str] = {}
        entries = [entry.strip() for entry in text.split(",")]
        for place, entry in enumerate(filter(None, entries), start=1):
            name, colon, key = entry.partition(":")
            if not (colon and _NAME.fullmatch(name)):
                name, key = f"key-{place}", entry
            key = key.strip()
            if len(key) < _SHORTEST or not key.isascii() or not key.isprintable() or " " in key:
                raise InputError(
                    f"{what}: key {place} has to have {_SHORTEST} characters or more: letters, digits and signs, no "
                    "spaces. `python -c 'import secrets; print(secrets.token_urlsafe(32))'` makes a good one"
                )
            if name in named or key in named.values():
                raise InputError(f"{what}: key {place} has a name, or is a key, that is there already")
            named[name] = key
        if not named:
            raise InputError(f"{what} holds no key: put one there, as NAME:KEY or KEY, several separated by commas")
        return cls(named)

    def __bool__(self) -> bool:
        """Whether a key is needed."""
        return bool(self._digests)

    def name_of(self, authorization: str | None) -> str | None:
        """Name of the key in a header `Authorization: Bearer KEY`; None: none of ours. "" where none is needed."""
        if not self._digests:
            return ""
        scheme, _, key = (authorization or "").partition(" ")
        given = _digest(key.strip()) if scheme.lower() == "bearer" else b""
        found = None
        for name, digest in self._digests.items():  # all of them: the time tells nothing
            if hmac.compare_digest(digest, given):
                found = name
        return found


def first_key(text: str) -> str | None:
    """The first key of an environment variable that `Keys.read` reads, for who asks; None: it holds none."""
    entry = next(filter(None, (entry.strip() for entry in text.split(","))), "")
    name, colon, key = entry.partition(":")
    return (key.strip() if colon and _NAME.fullmatch(name) else entry) or None


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
