"""What the embedding cache holds already, looked up without opening it for writing, or touching it at all."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from contextlib import closing
from pathlib import Path

from components.llm.embedder import Role, vector_key

__all__ = ["embedded_before"]

_AT_ONCE = 500


def embedded_before(cache: Path, *, embedder: str, texts: Collection[str], role: Role) -> set[str]:
    """Those of `texts` whose vectors are in the cache file; none of them when there is no file, or no good one.

    Args:
        cache: the SQLite file of the embedding cache.
        embedder: `Embedder.id`.
        texts: as they are embedded.
        role: a passage and a query have vectors of their own.

    Not looked at: whether a vector is intact and of the right length; one that is not is embedded again.
    """
    keys = {vector_key(embedder, text, role): text for text in texts}
    if not keys or not cache.is_file():
        return set()
    # Without a log beside it nobody is writing: immutable, and SQLite makes no file of its own. With one, what is in
    # the log counts too.
    log = cache.with_name(cache.name + "-wal")
    mode = "mode=ro" if log.exists() and log.stat().st_size else "immutable=1"
    found: set[str] = set()
    try:
        with closing(sqlite3.connect(f"{cache.absolute().as_uri()}?{mode}", uri=True, timeout=5)) as connection:
            names = list(keys)
            for start in range(0, len(names), _AT_ONCE):
                some = names[start : start + _AT_ONCE]
                marks = ",".join("?" * len(some))
                rows = connection.execute(f"SELECT key FROM cache WHERE key IN ({marks})", some)  # noqa: S608
                found |= {keys[key] for (key,) in rows}
    except (sqlite3.Error, OSError):
        return set()
    return found
