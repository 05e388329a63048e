"""The log of paid replies: what was answered once is not asked again, whenever a run was killed.

A file of JSON lines, one a reply, each with a checksum; a line is on disk before `put` returns. State after a hard
crash: every reply that `put` returned for, and perhaps a torn last line, which is ignored and written over. A line
whose bits have changed counts as missing: that reply is asked again.

Not covered: two processes on one file (the lock of the step keeps them apart).
"""

from __future__ import annotations

import json
import os
import threading
import zlib
from hashlib import blake2b
from pathlib import Path
from typing import Any

from components.errors import TerminalError

__all__ = ["PaidLog"]


class PaidLog:
    """Replies by key, in an append-only file. Threads may share it.

    Only the place of each reply is kept in memory: about 150 bytes a key, whatever key and reply are. The file is open
    during `get` and `put` alone, so there is nothing to close.
    """

    def __init__(self, path: Path) -> None:
        """Read what is there. `path`: the file; it and its folder are made by the first `put`."""
        self._path = path
        self._lock = threading.Lock()
        self._places: dict[bytes, int] = {}
        self._end = self._read()

    def __len__(self) -> int:
        """How many keys have a reply."""
        return len(self._places)

    def get(self, key: str) -> dict[str, Any] | None:
        """The reply that was put last under `key`; None: there is none."""
        with self._lock:
            place = self._places.get(_short(key))
            if place is None:
                return None
            with self._path.open("rb") as file:
                file.seek(place)
                line = file.readline()
        found = _parsed(line)
        if found is None:
            raise TerminalError(f"{self._path} was changed by another program while it was read; run this again")
        return found[1] if found[0] == key else None

    def put(self, key: str, value: dict[str, Any]) -> None:
        """Keep a reply (a JSON object). An older one of the same key is not returned any more.

        Raises:
            OSError: the disk is full, say. What was there before is still there.
        """
        line = _line(key, value)
        with self._lock:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with os.fdopen(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666), "r+b") as file:
                file.truncate(self._end)  # the half of a line that a death or a full disk has left
                file.seek(self._end)
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
            self._places[_short(key)] = self._end
            self._end += len(line)

    def _read(self) -> int:
        """Where the next line goes: behind the last whole one."""
        end = 0
        try:
            file = self._path.open("rb")
        except FileNotFoundError:
            return end
        with file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                found = _parsed(line)
                if found:
                    self._places[_short(found[0])] = end
                end += len(line)
        return end


def _short(key: str) -> bytes:
    return blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _line(key: str, value: dict[str, Any]) -> bytes:
    body = json.dumps({"key": key, "value": value}, allow_nan=False)
    return f"{zlib.crc32(body.encode()):08x} {body}\n".encode()


def _parsed(line: bytes) -> tuple[str, dict[str, Any]] | None:
    """Key and value; None: it is torn or was changed."""
    try:
        body = line[9:-1]
        if line[-1:] != b"\n" or int(line[:8], 16) != zlib.crc32(body):
            return None
        found = json.loads(body)
        return found["key"], found["value"]
    except (ValueError, KeyError, TypeError):
        return None
