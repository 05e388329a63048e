"""Forgetting: what the record of comparisons loses of a note: its paths, and the texts that were made with it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection
from contextlib import closing
from pathlib import Path

from components.errors import TerminalError
from components.store.purge import vacuum
from components.usage.log import label_of

__all__ = ["forget_compared"]


def forget_compared(file: Path, paths: Collection[str], *, do: bool) -> int:
    """Count the answers that had one of these notes among their sources, and with `do` take paths and texts from them.

    What each took stays. Afterwards neither free pages nor the write-ahead log hold what was taken.

    Raises:
        TerminalError: the record is in use by another program, or broken.
    """
    if not paths or not file.is_file():
        return 0
    gone = {label_of(path) for path in paths}
    try:
        with closing(sqlite3.connect(file, timeout=30, isolation_level=None)) as connection:
            connection.execute("PRAGMA secure_delete=ON")
            connection.execute("BEGIN IMMEDIATE")
            changed = []
            for number, *told in connection.execute("SELECT id, sources, cited FROM answer WHERE sources <> '[]'"):
                before = [json.loads(places) for places in told]
                kept = [[place for place in places if place.rpartition(":")[0] not in gone] for places in before]
                if kept != before:
                    changed.append((*(json.dumps(places, ensure_ascii=False) for places in kept), number))
            if do:
                connection.executemany(
                    "UPDATE answer SET sources = ?, cited = ?, question = NULL, text = NULL WHERE id = ?", changed
                )
            connection.execute("COMMIT")
        if do and changed:
            vacuum(file)
    except (sqlite3.Error, ValueError) as error:
        raise TerminalError(
            f"{file}: {error}; end what uses it, or remove the file: a comparison begins anew"
        ) from error
    return len(changed)
