"""A file of JSON objects, one a line, that is only ever added to: what people decided.

State after a hard crash: every record that `_append` returned for (its line is flushed to disk before that), and at
most one torn line after them, which no reader takes for a record and the next one removes. A last record that lacks
only its end of line (an editor, a merge) is a record.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from components.errors import InputError
from components.store.files import sync_folder
from components.store.locks import hold

__all__ = ["AppendLog"]


class AppendLog:
    """The log at `path`, which need not be there yet; several processes may add to it at once.

    A subclass says what a record is (`_kind`, `_expected`: for error texts), takes one in (`_take`), and forgets all
    (`_reset`, called before the first one, too). It writes within `_writing`.
    """

    _read: int
    _lines: int
    _open: bool
    _kind = "record"
    _expected = "a JSON object"

    def __init__(self, path: Path) -> None:
        """Read it. Raises InputError for a line that is no record, except for a torn last one."""
        self.path = path
        self._lock = path.with_name(f"{path.name}.lock")
        self._begin()
        self.refresh()

    def refresh(self) -> None:
        """Take in what was added to the file since."""
        try:
            with self.path.open("rb") as file:
                if os.fstat(file.fileno()).st_size < self._read:  # replaced by an older copy
                    self._begin()
                file.seek(self._read)
                added = file.read()
        except FileNotFoundError:
            self._begin()
            return
        except OSError as error:
            raise InputError(f"{self.path}: cannot be read ({error.strerror})") from error
        if self._open and added[:1] == b"\n":
            added, self._read = added[1:], self._read + 1
        self._open = self._open and not added
        whole = added.rfind(b"\n") + 1
        for line in added[:whole].splitlines():
            self._lines += 1
            if line.strip():
                self._take_line(line)
        self._read += whole
        if _is_object(added[whole:]):  # an editor or a merge left the last line without its end
            self._lines += 1
            self._take_line(added[whole:])
            self._read += len(added) - whole
            self._open = True

    def _reset(self) -> None:
        """Forget all records."""
        raise NotImplementedError

    def _take(self, record: Any) -> None:
        """Take in a record. Raises ValueError, KeyError or TypeError for what is none."""
        raise NotImplementedError

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Nobody else adds anything meanwhile, and what others added before is seen."""
        with hold(self._lock, what=self._kind):
            self.refresh()
            yield

    def _append(self, record: Mapping[str, Any]) -> None:
        """Write a record, on disk when this returns. Within `_writing` alone."""
        line = (b"\n" if self._open else b"") + json.dumps(record).encode() + b"\n"
        new = not self.path.exists()
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            os.ftruncate(descriptor, self._read)  # a torn line, never told as written
            at = 0
            while at < len(line):
                at += os.pwrite(descriptor, line[at:], self._read + at)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if new:
            sync_folder(self.path.parent)
        self.refresh()

    def _begin(self) -> None:
        self._read = 0  # bytes
        self._lines = 0
        self._open = False  # whether the last record has no end of line
        self._reset()

    def _take_line(self, line: bytes) -> None:
        try:
            self._take(json.loads(line))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise InputError(
                f"{self.path}:{self._lines}: no {self._kind}; expected {self._expected}. Remove the line, or take the "
                "file from your backup"
            ) from error


def _is_object(tail: bytes) -> bool:
    """Whether it is a whole JSON object: a torn one lacks its last brace."""
    if not tail.rstrip().endswith(b"}"):
        return False
    try:
        return isinstance(json.loads(tail), dict)
    except (ValueError, RecursionError):
        return False
