"""Opens a file once, safely, and makes text of its bytes."""

from __future__ import annotations

import codecs
import os
import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from hashlib import sha256
from pathlib import Path

__all__ = ["Raw", "UnreadableError", "decode", "read_file"]


class UnreadableError(Exception):
    """A file that is no note; the message says why, for a person."""


@dataclass(frozen=True)
class Raw:
    """The bytes of one file as they were read, and the UTC day (ISO) of its last change."""

    data: bytes
    day: str

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of the bytes."""
        return sha256(self.data).hexdigest()


def read_file(file: str | Path, *, max_bytes: int) -> Raw:
    """Read a plain file through one descriptor: what is checked is what is read.

    `file` must be resolved: a link in its last place is refused, so a note swapped for a link after it was
    listed is not followed. Not caught: a folder above it that is swapped for a link in that moment.

    Raises:
        UnreadableError: a pipe or device, larger than `max_bytes`, or the system says no.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(file, flags)
    except OSError as error:
        raise UnreadableError(f"cannot be opened: {error.strerror}") from None
    try:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            raise UnreadableError("not a plain file (a pipe, socket or device)")
        if about.st_size > max_bytes:
            raise UnreadableError(_too_large(about.st_size, max_bytes))
        data = _read(descriptor, size=about.st_size, at_most=max_bytes + 1)
    except OSError as error:
        raise UnreadableError(f"cannot be read: {error.strerror}") from None
    finally:
        os.close(descriptor)
    if len(data) > max_bytes:
        raise UnreadableError(_too_large(len(data), max_bytes))
    return Raw(data=data, day=_day(about.st_mtime))


def _read(descriptor: int, *, size: int, at_most: int) -> bytes:
    """All bytes to the end of the file, or `at_most`; `size` is how many are likely."""
    data = os.read(descriptor, min(size + 1, at_most))
    if len(data) <= size and (len(data) == size or not data):
        return data  # one byte more was asked for than there is: that was the end
    parts = [data]
    while data and (left := at_most - sum(map(len, parts))) > 0:
        data = os.read(descriptor, left)
        parts.append(data)
    return b"".join(parts)


def _day(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds, tz=UTC).date().isoformat()
    except (OverflowError, OSError, ValueError):
        return "1970-01-01"


def _too_large(size: int, max_bytes: int) -> str:
    return f"too large: {size:,} bytes or more, at most {max_bytes:,} are read (`sncp.max_bytes`)"


def decode(data: bytes) -> str:
    r"""Text of a note, with `\n` alone at the end of lines (`\r\n` and a lone `\r` count as one, as in editors).

    Raises:
        UnreadableError: binary, or neither UTF-8 nor UTF-16 with a byte order mark.
    """
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) and not data.startswith(codecs.BOM_UTF32_LE)
    if b"\0" in data and not wide:
        raise UnreadableError(f"binary: a NUL byte at byte {data.index(0) + 1}")
    try:
        text = data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        name = "UTF-16" if wide else "UTF-8"
        raise UnreadableError(f"not {name}: byte {error.start + 1}, line {line}; save it as UTF-8") from None
    if "\0" in text:
        raise UnreadableError("binary: NUL characters in UTF-16")
    return text.replace("\r\n", "\n").replace("\r", "\n")
