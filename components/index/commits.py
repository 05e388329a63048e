"""What a sync does to a table, one commit each: merge rows, move the tag, go back. And what it takes from it."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from typing import Any

from components.index import table as tables

__all__ = ["known_vectors", "merge", "move_tag", "restore"]

_FEW = 1000  # ids in one filter
_BATCH = 1000  # rows read at once
_HEX = frozenset("0123456789abcdef")


def known_vectors(table: Any, texts: Collection[str], *, among: Collection[str]) -> dict[str, Any]:
    """Vectors of texts that the table holds already, so that a renamed note is not embedded again.

    `among`: ids of the rows that can have them.
    """
    if not texts or not among or not table.count_rows():
        return {}
    import numpy as np

    query = table.search()
    if len(among) <= _FEW:
        query = query.where(_any_of(among))
    wanted, found = set(texts), dict[str, Any]()
    for batch in query.select(["embed_text", "vector"]).to_batches(_BATCH):
        flat = np.asarray(batch.column("vector").flatten(), dtype=np.float32).reshape(batch.num_rows, -1)
        for number, text in enumerate(batch.column("embed_text").to_pylist()):
            if text in wanted:
                found[text] = flat[number].copy()
    return found


def _any_of(keys: Collection[str]) -> str:
    """A filter of hex digests alone, never of a text of the user."""
    if any(not _HEX.issuperset(key) for key in keys):
        raise tables.Damaged("the table holds a chunk id that is no hex digest")
    return "chunk_id IN (" + ",".join(f"'{key}'" for key in keys) + ")"


def merge(table: Any, rows: Any, gone: list[str]) -> None:
    """Insert, update and delete in one commit. `rows`: batches, which are read once.

    Into an empty table they are written as they come. To merge, LanceDB holds all of them at once, several times over.
    """
    if not gone and not table.count_rows():
        table.add(rows)
        return
    commit = table.merge_insert("chunk_id").when_matched_update_all(where="target.row_hash != source.row_hash")
    commit = commit.when_not_matched_insert_all()
    if gone:
        commit = commit.when_not_matched_by_source_delete(_any_of(gone))
    commit.execute(rows)


def move_tag(table: Any) -> None:
    """Move `live` to the newest version."""
    current = tables.live_version(table)
    table.checkout_latest()
    if current is None:
        table.tags.create(tables.LIVE, table.version)
    elif current != table.version:
        table.tags.update(tables.LIVE, table.version)


def restore(table: Any, version: int | None) -> None:
    """Make the published rows the newest again. Without published rows there is nothing to return to."""
    if version is None:
        return
    with suppress(Exception):  # the error to be told is the one before; the next sync compares with what it finds
        table.checkout_latest()
        if table.version != version:
            table.checkout(version)
            table.restore()
            move_tag(table)
