"""What must hold before rows are published, and whether what is published is still whole.

Not covered: a vector that is finite, of the right length and wrong; text that a note holds and the chunker dropped.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.errors import TerminalError
from components.index import table as tables
from components.index.chunk import Chunk
from components.index.cleanup import tail_allowed
from components.index.rows import FTS_COLUMN, LANGUAGE, chunk_columns, chunk_line, fts_text, row_of, rows_digest

if TYPE_CHECKING:
    from components.index.wanted import Wanted

__all__ = ["Head", "check_vectors", "faults", "read_head", "whole"]

UNCOVERED = "are not covered by the full-text index"
UNRECORDED = (
    "the rows that readers see are not those that live.json tells of: a sync was ended between the two, or another "
    "hand wrote; a reindex puts it right"
)
_NAMED = 3
_LONGEST = 2000  # characters of a chunk that are searched again as a trial
_BATCH = 1000  # rows read at once; one of each batch is searched as a trial


@dataclass(frozen=True)
class Head:
    """What a table's rows say of themselves: id -> row hash, and the files that they are from.

    `rows` are counted with those that are there twice; `columns` holds `chunk_id` and `paths` as they were read.
    """

    hashes: dict[str, str]
    rows: int
    columns: Any

    @cached_property
    def paths(self) -> frozenset[str]:
        """Files of all rows."""
        return _distinct(self.columns["paths"])

    def paths_of(self, keys: Collection[str]) -> frozenset[str]:
        """Files of some rows."""
        import pyarrow as pa
        import pyarrow.compute as pc

        some = self.columns.filter(pc.is_in(self.columns["chunk_id"], value_set=pa.array(list(keys), pa.string())))
        return _distinct(some["paths"])


def _distinct(paths: Any) -> frozenset[str]:
    import pyarrow.compute as pc

    return frozenset(pc.unique(pc.list_flatten(paths.combine_chunks())).to_pylist()) if len(paths) else frozenset()


def read_head(table: Any) -> Head:
    """Ids, hashes and paths of the version that `table` is at."""
    rows = table.search().select(["chunk_id", "row_hash", "paths"]).to_arrow()
    return Head(_hashes(rows), rows.num_rows, rows)


def _hashes(rows: Any) -> dict[str, str]:
    return dict(zip(rows["chunk_id"].to_pylist(), rows["row_hash"].to_pylist(), strict=True))


def faults(
    table: Any, *, wanted: Wanted, root: Path | None, written: Collection[Chunk], files: bool = True
) -> list[str]:
    """What is wrong with the newest rows; empty: they may be published.

    Args:
        table: at its newest version.
        wanted: the rows that are wanted.
        root: folder of the notes, none when it is not known.
        written: chunks that this sync has written: one of them is searched as a trial.
        files: whether every note must still be a file under `root`.
    """
    found = []
    rows = table.search().select(["chunk_id", "row_hash"]).to_arrow()
    hashes = _hashes(rows)
    if rows.num_rows != len(hashes):
        found.append(f"{rows.num_rows - len(hashes)} rows are there twice")
    if hashes != wanted.hashes:
        found.append(f"the {rows.num_rows} rows of the table are not the ones that were to be written")
    if files and root is not None:
        gone = sorted(path for path in wanted.paths if not path.startswith("@") and not _is_file(root, path))
        if gone:
            named = ", ".join(gone[:_NAMED]) + (", ..." if len(gone) > _NAMED else "")
            found.append(
                f"{len(gone)} notes are not in {root} any more ({named}): they were removed, or the disk went away, "
                "while the index was being built; run it again"
            )
    found += _full_text_faults(table, rows.num_rows)
    if not found and written:
        found += _trial(table, max(written, key=lambda chunk: len(chunk.text)))
    return found


def _is_file(root: Path, path: str) -> bool:
    """Whether a note is there, under this spelling of its name or, on disks that decompose accents, another."""
    return os.path.exists(f"{root}/{path}") or os.path.exists(f"{root}/{unicodedata.normalize('NFD', path)}")


def _full_text_faults(table: Any, rows: int) -> list[str]:
    index = tables.full_text_index(table)
    if index is None:
        return ["the full-text index is missing"] if rows else []
    stats = table.index_stats(index)
    left = stats.num_unindexed_rows
    if left > tail_allowed(rows):
        return [f"{left} rows {UNCOVERED}"]
    if stats.num_indexed_rows + left != rows:
        return [f"the full-text index knows {stats.num_indexed_rows + left} rows of {rows}"]
    return []


def _trial(table: Any, chunk: Chunk) -> list[str]:
    """Search a chunk by its own words: an index may say that it covers a row and not find it."""
    from lancedb import tokenize
    from lancedb.expr import col, lit
    from lancedb.query import MatchQuery

    text = fts_text(chunk)[:_LONGEST]
    if not list(tokenize(text, language=LANGUAGE)):
        return []
    query = table.search(MatchQuery(text, FTS_COLUMN), query_type="fts").where(col("chunk_id") == lit(chunk.chunk_id))
    hit = query.select(["chunk_id", "_score"]).limit(1).to_arrow().num_rows
    return [] if hit else [f"the full-text index does not find {chunk.path}:{chunk.first_line} by its own words"]


def check_vectors(vectors: Any, *, rows: int, dimensions: int, embedder: str) -> None:
    """Raise TerminalError unless there is one finite vector, not zero, of the right length for each row."""
    import numpy as np

    if vectors.shape != (rows, dimensions) or not np.isfinite(vectors).all() or not vectors.any(axis=1).all():
        raise TerminalError(
            f"{embedder} gave an array of shape {vectors.shape} for {rows} texts, "
            f"expected finite numbers of shape ({rows}, {dimensions}) and no zero vector; nothing was written"
        )


def whole(table: Any, *, embedder: str, dimensions: int, digest: str | None) -> list[str]:
    """What is wrong with the rows that `table` is at, all of them read: contents against hashes, hashes against digest.

    `digest` none: only what the rows say of each other.
    """
    import numpy as np

    found: list[str] = []
    hashes: dict[str, str] = {}
    rows = altered = bad = 0
    trials: list[dict[str, Any]] = []
    columns = ["row_hash", *chunk_columns()]
    reader = table.search().select([*columns, "vector"] if dimensions else columns).to_batches(_BATCH)
    for batch in reader:
        vectors = batch.column("vector") if dimensions else None
        values = batch.select(columns).to_pylist()
        rows += len(values)
        said = {row["chunk_id"]: row.pop("row_hash") for row in values}
        chunks = map(Chunk.from_dict, values)
        altered += sum(said[key] != found_hash for key, found_hash, _ in (row_of(c, chunk_line(c)) for c in chunks))
        hashes |= said
        trials.append(values[len(values) // 2])
        if vectors is not None:
            array = np.asarray(vectors.flatten(), dtype=np.float32).reshape(len(values), -1)
            bad += int((~np.isfinite(array).all(axis=1) | ~array.any(axis=1)).sum())
    if altered:
        found.append(f"{altered} rows do not hold what was written")
    if bad:
        found.append(f"{bad} vectors are zero or not numbers")
    if rows != len(hashes):
        found.append(f"{rows - len(hashes)} rows are there twice")
    if digest is not None and rows_digest(hashes, embedder) != digest:
        found.append(UNRECORDED)
    found += _full_text_faults(table, rows)
    for trial in [] if found else trials:
        found += _trial(table, Chunk.from_dict(trial))
    return found


def lost_notes(old: Mapping[str, Collection[str]], *, paths: Collection[str], texts: Collection[str]) -> list[str]:
    """Notes (path -> marks of their texts) of which nothing remains, under their path or, renamed, with their text."""
    return sorted(path for path, marks in old.items() if path not in paths and not set(marks) & set(texts))
