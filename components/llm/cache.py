"""One SQLite file of checked values by key: what the embedding cache and the response cache are made of.

State after a hard crash: see `components.store.sqlite_file`; a kill loses at most the batch that was being written.
Each value carries a checksum: a value whose bits have changed counts as missing. A cache costs time, never the run.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from components.store.sqlite_file import SqliteFile

__all__ = ["CacheFile"]

_SCHEMA = "CREATE TABLE IF NOT EXISTS cache (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID"
_READ_AT_ONCE = 500  # SQLite's default limit is 32,766 variables; smaller statements are as fast


class CacheFile(SqliteFile):
    """Bytes by key in a SQLite file; opened at the first use, never a reason to fail."""

    def __init__(self, path: Path, *, busy_seconds: float = 30.0) -> None:
        super().__init__(path, schema=[_SCHEMA], what="cache", busy_seconds=busy_seconds)

    def get(self, keys: Sequence[str]) -> dict[str, bytes]:
        """The values that are there and intact, by key."""
        return self._try_read(lambda connection: _read(connection, keys), instead={})

    def put(self, values: Mapping[str, bytes]) -> None:
        """Keep these values, in one transaction. An older value of the same key is replaced."""
        if values:
            self._put([(key, _seal(value)) for key, value in values.items()])

    def _put(self, rows: list[tuple[str, bytes]]) -> None:
        self._try_write(
            lambda connection: connection.executemany("INSERT OR REPLACE INTO cache (key, value) VALUES (?, ?)", rows)
        )


def _read(connection: sqlite3.Connection, keys: Sequence[str]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for start in range(0, len(keys), _READ_AT_ONCE):
        some = keys[start : start + _READ_AT_ONCE]
        marks = ",".join("?" * len(some))
        rows = connection.execute(f"SELECT key, value FROM cache WHERE key IN ({marks})", some)  # noqa: S608
        for key, sealed in rows:
            value = _unseal(sealed)
            if value is not None:
                found[key] = value
    return found


def _seal(value: bytes) -> bytes:
    return zlib.crc32(value).to_bytes(4, "big") + value


def _unseal(sealed: object) -> bytes | None:
    if not isinstance(sealed, bytes) or len(sealed) < 4:
        return None
    value = sealed[4:]
    return value if zlib.crc32(value).to_bytes(4, "big") == sealed[:4] else None
