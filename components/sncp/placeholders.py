"""What only stands for a secret, what a machine made, and what a person would read as prose."""

from __future__ import annotations

import math
import re
from collections import Counter

__all__ = ["entropy", "is_placeholder", "is_strong", "is_token", "is_word_like"]

_PLACEHOLDER = re.compile(
    r"(?i)\.\.\.|\u2026|\*{3}|(?<![a-z0-9])x{3,}|x{5,}|\u2022{2}|your|example|esempio|placeholder|change.?me|dummy|inserisci|insert|redacted"
    r"|la.?tua|il.?tuo|tua.?chiave|key.?here|goes.?here|my.?(?:secret|key|token|pass)|secret.?key|api.?key"
    r"|[<>]|\$[{(]|^\$[a-z_]|%\w+%|\{\{|^[{\[(]|\w[(\[]|^process\.|^os\.|^env\."
)
_PLAIN_PASSWORD = re.compile(
    r"(?i)(?:the|la|mia|db|user|root|admin|super|new|old|test|[-_])*(?:password|secret|pass)[-_]?\d{0,3}"
)
_COMMON = frozenset(
    "pass passwd pwd pw secret token user username admin root test guest postgres mysql redis mongo rabbitmq minio "
    "none null true false undefined string optional required default localhost segreto chiave utente".split()
)
_NAME_OF_ONE = re.compile(r"(?i)[a-z]*(?:key|token|secret|password|passwd|sid)")
_FILE_NAME = re.compile(r"(?i)\.(?:md|txt|json|ya?ml|toml|py|[jt]sx?|sh|sql|html|css|env|pem|log)$")
_NUMBER_OR_PATH = re.compile(r"[\d.,]+\w{0,6}|[\w-]+(?:[./:]+[\w-]+)+[/)]?|[a-z]+(?:[_-][a-z0-9]+)+")
_MIXED = re.compile(r"[A-Z].*\d.*[a-z]|[a-z].*\d.*[A-Z]")


def entropy(value: str) -> float:
    """Shannon entropy of the characters, in bits each (random hex: about 3.7 in 32; base64: about 4.7 in 40)."""
    counts = Counter(value).values()
    return -sum(count / len(value) * math.log2(count / len(value)) for count in counts)


def is_placeholder(value: str) -> bool:
    """True for what only stands for a secret: `sk-ant-...`, `<your-key>`, `${VAR}`, `xxxx`, `12345678`."""
    bare = value.strip("\"'`*_.,;:!?()")
    if not bare or _PLACEHOLDER.search(value) or _PLAIN_PASSWORD.fullmatch(bare) or bare.lower() in _COMMON:
        return True
    if _NAME_OF_ONE.fullmatch(bare):  # `AuthToken`, `ApiSecret`
        return True
    steps = [ord(after) - ord(before) for before, after in zip(bare, bare[1:], strict=False)]
    regular = sum(step in (-1, 0, 1) for step in steps)
    return len(set(bare)) < 4 or (bool(steps) and regular / len(steps) > 0.6)


def is_token(value: str) -> bool:
    """True for a value as a machine makes it: 16 characters or more, mixed, without a pattern."""
    mixed = any(c.isdigit() for c in value) or (any(c.isupper() for c in value) and any(c.islower() for c in value))
    return len(value) >= 16 and mixed and entropy(value) >= 3.0 and not is_placeholder(value)


def is_word_like(value: str) -> bool:
    """True for a value that a person would read as prose, code, a path or a number, not as a password."""
    if _FILE_NAME.search(value):
        return True
    letters = sum(c.isalpha() for c in value)
    if not letters or letters == len(value):
        return True
    if _NUMBER_OR_PATH.fullmatch(value):
        return not _MIXED.search(value)
    return not any(c.isdigit() or c in "!@#$%^&*+=?" for c in value.rstrip(".,;:!?"))


def is_strong(value: str) -> bool:
    """True for a value that can hardly be anything but a password: it needs no sign before it."""
    kinds = (str.isupper, str.islower, str.isdigit, lambda c: c in "!@#$%^&*+=?")
    return len(value) >= 8 and sum(any(map(kind, value)) for kind in kinds) >= 3
