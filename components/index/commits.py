"""What a sync does to a table, one commit each: merge rows, move the tag, go back. And what it takes from it."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from typing import Any

from components.index import table as tables

__all__ = ["known_vectors", "merge", "move_tag", "restore"]

_FEW = 1000  # ids in one filter
_HEX = frozenset("0123456789abcdef")


def known_vectors(table: Any, texts: Collection[str]) -> dict[str, Any]:
    """Vectors of texts that the table holds already, so that a renamed note is not embedded again."""
    if not texts or not table.count_rows():
        return {}
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    held = table.search().select(["chunk_id", "embed_text"]).to_arrow()
    held = held.filter(pc.is_in(held["embed_text"], value_set=pa.array(list(texts), pa.string())))
    of_text = dict(zip(held["embed_text"].to_pylist(), held["chunk_id"].to_pylist(), strict=True))
    if not of_text:
        return {}
    query = table.search()
    if len(of_text) <= _FEW:
        query = query.where(_any_of(of_text.values()))
    rows = query.select(["embed_text", "vector"]).to_arrow().combine_chunks()
    flat = np.asarray(rows["vector"].combine_chunks().flatten(), dtype=np.float32).reshape(rows.num_rows, -1)
    place = {text: number for number, text in enumerate(rows["embed_text"].to_pylist()) if text in of_text}
    return {text: flat[number] for text, number in place.items()}


def _any_of(keys: Collection[str]) -> str:
    """A filter of hex digests alone, never of a text of the user."""
    if any(not _HEX.issuperset(key) for key in keys):
        raise tables.Damaged("the table holds a chunk id that is no hex digest")
    return "chunk_id IN (" + ",".join(f"'{key}'" for key in keys) + ")"


def merge(table: Any, rows: Any, gone: list[str]) -> None:
    """Insert, update and delete in one commit."""
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
