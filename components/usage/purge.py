"""Forgetting: what the usage log loses of a note: its path among the sources, and what was said of those answers."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection
from contextlib import closing
from pathlib import Path

from components.errors import TerminalError
from components.store.purge import vacuum
from components.usage.log import label_of
from components.usage.schema import prepare, version_of

__all__ = ["forget_paths"]


def forget_paths(log: Path, paths: Collection[str], *, do: bool) -> int:
    """Count the queries that had one of these notes among their sources, and with `do` take the paths out of them.

    Without `do` the file stays as it is, byte for byte, of an earlier version too.

    What was said of these answers goes too; good or bad stays, and how many sources a query had. Afterwards neither
    free pages nor the write-ahead log hold what was taken.

    Raises:
        TerminalError: the log is in use by another program, of a newer version, or broken.
    """
    if not paths or not log.is_file():
        return 0
    gone = set(map(label_of, paths))
    try:
        with closing(sqlite3.connect(log, timeout=30, isolation_level=None)) as connection:
            if do:
                connection.execute("PRAGMA secure_delete=ON")
                prepare(connection)  # a log of an earlier version has no feedback
            elif version_of(connection) is None:
                return 0
            connection.execute("BEGIN IMMEDIATE" if do else "BEGIN")
            changed = []
            for number, sources in connection.execute("SELECT id, sources FROM query WHERE sources <> '[]'"):
                told = json.loads(sources)
                kept = [path for path in told if path not in gone]
                if len(kept) < len(told):
                    changed.append((json.dumps(kept, ensure_ascii=False), number))
            if do:
                connection.executemany("UPDATE query SET sources = ?, comment = NULL WHERE id = ?", changed)
            connection.execute("COMMIT")
        if do and changed:
            vacuum(log)
    except (sqlite3.Error, ValueError) as error:
        raise TerminalError(f"{log}: {error}; end what uses it, or remove the file: then nothing is counted") from error
    return len(changed)
