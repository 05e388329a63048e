"""One SQLite file of checked values by key: what the embedding cache and the response cache are made of.

What a crash leaves behind: nothing to mend. Values are written a batch per transaction with a write-ahead log, so
a kill loses at most the batch that was being written, and the next reader rolls the log back or forward. `-wal`
and `-shm` files beside the database are part of it. Each value carries a checksum: a value whose bits have changed
counts as missing. A file that is no database any more is moved aside to `NAME.corrupt-N` and begun anew: a cache
costs time, never the run. A full disk or a lock held longer than the busy time-out makes the cache miss or forget,
with one warning in the log.

Several threads share one connection under a lock; several processes may use the file at once.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["CacheFile"]

log = logging.getLogger(__name__)

_READ_AT_ONCE = 500  # SQLite's default limit is 32,766 variables; smaller statements are as fast
_BROKEN = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT)


class CacheFile:
    """Bytes by key in a SQLite file; opened at the first use, never a reason to fail."""

    def __init__(self, path: Path, *, busy_seconds: float = 30.0) -> None:
        self.path = path
        self._busy_seconds = busy_seconds
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._inode = 0
        self._warned = False

    def get(self, keys: Sequence[str]) -> dict[str, bytes]:
        """The values that are there and intact, by key."""
        with self._lock:
            try:
                return self._get(keys)
            except (sqlite3.Error, OSError) as error:
                self._mishap(error, "nothing is read from it")
                return {}

    def put(self, values: Mapping[str, bytes]) -> None:
        """Keep these values, in one transaction. An older value of the same key is replaced."""
        if not values:
            return
        rows = [(key, _seal(value)) for key, value in values.items()]
        with self._lock:
            for last in (False, True):
                try:
                    self._put(rows)
                    return
                except (sqlite3.Error, OSError) as error:
                    if not self._mishap(error, "nothing is kept in it") or last:
                        return

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        with self._lock:
            self._close()

    def _get(self, keys: Sequence[str]) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        connection = self._open()
        for start in range(0, len(keys), _READ_AT_ONCE):
            some = keys[start : start + _READ_AT_ONCE]
            marks = ",".join("?" * len(some))
            rows = connection.execute(f"SELECT key, value FROM cache WHERE key IN ({marks})", some)  # noqa: S608
            for key, sealed in rows:
                value = _unseal(sealed)
                if value is not None:
                    found[key] = value
        return found

    def _put(self, rows: list[tuple[str, bytes]]) -> None:
        connection = self._open()
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.executemany("INSERT OR REPLACE INTO cache (key, value) VALUES (?, ?)", rows)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(
                self.path, timeout=self._busy_seconds, isolation_level=None, check_same_thread=False
            )
            self._connection = connection
            self._inode = self.path.stat().st_ino
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute("CREATE TABLE IF NOT EXISTS cache (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID")
        return self._connection

    def _close(self) -> None:
        if self._connection is not None:
            try:
                self._connection.close()
            except sqlite3.Error as error:
                log.warning("closing the cache %s: %s", self.path, error)
            self._connection = None

    def _mishap(self, error: Exception, consequence: str) -> bool:
        """Note the error; True when the file was broken and a new one may be begun at once."""
        self._close()
        code = getattr(error, "sqlite_errorcode", None)
        if code is not None and code & 0xFF in _BROKEN:
            aside = self._move_aside()
            log.warning("the cache %s is broken (%s): moved to %s, a new one is begun", self.path, error, aside)
            return True
        if not self._warned:
            self._warned = True
            log.warning("the cache %s cannot be used (%s): %s", self.path, error, consequence)
        return False

    def _move_aside(self) -> Path:
        number = 1
        while (aside := self.path.with_name(f"{self.path.name}.corrupt-{number}")).exists():
            number += 1
        # Another process may have been quicker: only the very file that was seen broken is moved. The log goes
        # first, because a new database beside an old log would replay it.
        try:
            if self.path.stat().st_ino == self._inode:
                for suffix in ("-wal", "-shm"):
                    log_file = self.path.with_name(self.path.name + suffix)
                    if log_file.exists():
                        os.replace(log_file, aside.with_name(aside.name + suffix))
                os.replace(self.path, aside)
        except OSError as error:
            log.warning("moving %s aside: %s", self.path, error)
        return aside


def _seal(value: bytes) -> bytes:
    return zlib.crc32(value).to_bytes(4, "big") + value


def _unseal(sealed: object) -> bytes | None:
    if not isinstance(sealed, bytes) or len(sealed) < 4:
        return None
    value = sealed[4:]
    return value if zlib.crc32(value).to_bytes(4, "big") == sealed[:4] else None
