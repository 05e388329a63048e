"""SHA-256 of files, each file read once in a process for as long as it stays the same file.

A file counts as the same while device, inode, size, time of change and time of status change are: writing to it sets
the last of these, and no program can set it back. As the clock of a file system ticks every few milliseconds, what is
younger than that when it is read is not remembered. Not caught: a disk that changes bytes by itself while a run is at
work; the next run reads everything again.
"""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

__all__ = ["file_digest", "link_file"]

_TICK_NS = 50_000_000  # a tick is 1 to 10 ms on Linux and macOS
_MOST = 100_000  # files remembered
_Identity = tuple[int, int, int, int, int]
_known: dict[_Identity, str] = {}


def file_digest(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes. Raises OSError as `open` does."""
    with path.open("rb") as file:
        before = _identity(file.fileno())
        if before in _known:
            return _known[before]
        began = time.time_ns()
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        if began - before[4] > _TICK_NS and _identity(file.fileno()) == before:
            _remember(before, digest)
        return digest


def link_file(source: Path, target: Path) -> None:
    """Make `target` a hard link to `source`: the same bytes, and no room taken. Raises OSError where that cannot be."""
    before = _identity(source)
    os.link(source, target)
    after = _identity(target)
    if before in _known and before[:4] == after[:4]:  # only the time of status change is another, by the link itself
        _remember(after, _known[before])


def _identity(file: int | Path) -> _Identity:
    about = os.stat(file)
    return about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns


def _remember(identity: _Identity, digest: str) -> None:
    if len(_known) >= _MOST:
        _known.clear()
    _known[identity] = digest
