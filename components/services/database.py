"""Prefect's database before a server starts on it: one that is damaged is put aside, and its history begins anew.

It is a view for people, never the record of a run: the store is. So damage costs the view, and no run.
What is not seen here: damage within values, which the server may stumble on when that very run is looked at.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

__all__ = ["DATABASE", "put_aside", "put_aside_when_damaged"]

DATABASE = "prefect.db"
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_FULL,
         sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR)  # fmt: skip


def put_aside_when_damaged(folder: Path) -> Path | None:
    """Check the database in `folder`, which no server may have open; returns where a damaged one is now, else None.

    Reads the whole file: about a second for 500 MB.
    """
    path = folder / DATABASE
    if not path.is_file() or not path.stat().st_size:
        return None
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=5)) as connection:
            answer = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", None)
        if code is not None and code & 0xFF in _BUSY:  # somebody else looks at it, or the disk is at fault
            return None
        return put_aside(folder)
    return None if answer == ("ok",) else put_aside(folder)


def put_aside(folder: Path) -> Path:
    """Move the database of `folder` and its log to `prefect.db.corrupt-N`; returns the new path."""
    number = 1
    while (aside := folder / f"{DATABASE}.corrupt-{number}").exists():
        number += 1
    # The log first: a new database beside an old log would replay it.
    for suffix in ("-wal", "-shm", ""):
        with suppress(FileNotFoundError):
            os.replace(folder / f"{DATABASE}{suffix}", f"{aside}{suffix}")
    return aside
