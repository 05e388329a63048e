"""Forgetting: what the caches of vectors and answers lose."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from pathlib import Path

from components.errors import TerminalError
from components.llm.embedder import vector_key
from components.store.purge import Words, blot_database, vacuum

__all__ = ["count_answers", "forget_answers", "forget_vectors"]


def forget_vectors(cache: Path, *, embedders: Collection[str], texts: Collection[str], do: bool) -> int:
    """Count the vectors of these texts, and with `do` delete them. `embedders` are ids.

    Keys are digests: the vector of a text that nobody remembers any more cannot be found, and does not tell the text.
    """
    keys = [vector_key(name, text, role) for name in embedders for text in texts for role in ("passage", "query")]
    if not keys or not cache.is_file():
        return 0
    try:
        connection = sqlite3.connect(cache, timeout=30, isolation_level=None)
        try:
            found = 0
            connection.execute("PRAGMA secure_delete=ON")
            for start in range(0, len(keys), 500):
                some = keys[start : start + 500]
                marks = ",".join("?" * len(some))
                query = f"FROM cache WHERE key IN ({marks})"  # noqa: S608
                found += connection.execute(f"SELECT count(*) {query}", some).fetchone()[0]
                if do:
                    connection.execute(f"DELETE {query}", some)
        finally:
            connection.close()
        if do:
            vacuum(cache)
    except sqlite3.Error as error:
        raise TerminalError(f"{cache}: {error}; remove the file, it is a cache") from error
    return found


def count_answers(cache: Path) -> int:
    """How many answers are kept; 0 where that cannot be told."""
    if not cache.is_file():
        return 0
    try:
        connection = sqlite3.connect(cache, timeout=30)
        try:
            return int(connection.execute("SELECT count(*) FROM cache").fetchone()[0])
        finally:
            connection.close()
    except sqlite3.Error:
        return 0


def forget_answers(cache: Path, *, words: Words, everything: bool) -> int:
    """Delete the answers that hold the words, or every answer: they may say in other words what a note said."""
    if not cache.is_file():
        return 0
    if not everything:
        return blot_database(words, cache, rows=True)
    connection = sqlite3.connect(cache, timeout=30, isolation_level=None)
    try:
        connection.execute("PRAGMA secure_delete=ON")
        found = connection.execute("DELETE FROM cache").rowcount
    except sqlite3.Error as error:
        raise TerminalError(f"{cache}: {error}; remove the file, it is a cache") from error
    finally:
        connection.close()
    vacuum(cache)
    return found
