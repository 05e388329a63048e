"""Chunks as rows: what a row is made of, when two rows are the same, and the digest of a whole index."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from components.index.chunk import Chunk

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "FTS_COLUMN",
    "LANGUAGE",
    "ROW_BYTES",
    "Row",
    "chunk_columns",
    "chunk_line",
    "chunks_digest",
    "fts_text",
    "parse_rows",
    "row_line",
    "row_of",
    "rows_digest",
    "schema",
    "to_arrow",
]

SCHEMA_VERSION = 3
"""Part of a table's name: a change of columns is a new table, never a migration in place."""

FTS_COLUMN = "fts_text"
LANGUAGE = "Italian"
"""Of the full-text index: how words are stemmed and which are left out."""

Row = tuple[str, str, str]
"""Chunk id, row hash, digest of what is embedded: all that comparing needs. The row hash is the SHA-256 of all that the
row holds but the vector, which the embedder and the text determine; it is the same for every embedder."""

ROW_BYTES = 64 + 64 + 32 + len('"  "\n')
"""Of a row's line: all are as long, so that a row is found by its number."""

_BATCH = 1000  # rows
_LISTS = ("paths", "supersedes", "heading")
_FLAGS = ("local",)
_NULLABLE = ("project", "date")
_WORDS = re.compile(r"[\W_]+")
_BEGUN = json.dumps(SCHEMA_VERSION).encode()


def chunk_columns() -> tuple[str, ...]:
    """Names of the columns that make a `Chunk`."""
    return tuple(Chunk.__dataclass_fields__)


def fts_text(chunk: Chunk) -> str:
    """What full-text search sees: the words of the file's name, then what is embedded.

    The name is not embedded, so a renamed note needs no new vector.
    """
    name = _WORDS.sub(" ", PurePosixPath(chunk.path).stem).strip()
    return f"{name}\n{chunk.embed_text}"


def chunk_line(chunk: Chunk) -> bytes:
    """A chunk as its line in `chunks.jsonl`, without the line's end."""
    return json.dumps(chunk.to_dict(), ensure_ascii=False, allow_nan=False).encode("utf-8", "surrogatepass")


def row_of(chunk: Chunk, line: bytes) -> Row:
    """The row of a chunk; `line`: see `chunk_line`."""
    text = chunk.embed_text.encode("utf-8", "surrogatepass")
    return chunk.chunk_id, hashlib.sha256(_BEGUN + line).hexdigest(), hashlib.sha256(text).hexdigest()[:32]


def row_line(row: Row) -> bytes:
    """A row as a line of JSON, with its end."""
    return f'"{row[0]} {row[1]} {row[2]}"\n'.encode()


def parse_rows(lines: bytes) -> tuple[list[str], list[str], list[str]]:
    """Ids, row hashes and digests of what is embedded, of the lines that `row_line` wrote."""
    words = lines.decode().replace('"', "").split()
    return words[::3], words[1::3], words[2::3]


def rows_digest(hashes: Mapping[str, str], embedder_id: str) -> str:
    """SHA-256 over the embedder, and chunk id and row hash, sorted by id."""
    lines = list(map(" ".join, hashes.items()))
    lines.sort()
    return hashlib.sha256("\n".join([embedder_id, *lines, ""]).encode()).hexdigest()


def chunks_digest(chunks: Iterable[Chunk], embedder_id: str) -> str:
    """The digest that an index of exactly these chunks has: equal to `Index.live_digest()` when it is up to date.

    `embedder_id` is the embedder's `id`, or `NO_EMBEDDER` for a full-text index.
    """
    rows = (row_of(chunk, chunk_line(chunk)) for chunk in chunks)
    return rows_digest({key: row_hash for key, row_hash, _ in rows}, embedder_id)


def schema(dimensions: int) -> pa.Schema:
    """Arrow schema of the table; `dimensions` 0: without vectors."""
    import pyarrow as pa

    fields = [pa.field("row_hash", pa.string(), nullable=False), pa.field(FTS_COLUMN, pa.string(), nullable=False)]
    for name in chunk_columns():
        kind = pa.int32() if name.endswith("_line") else pa.bool_() if name in _FLAGS else pa.string()
        kind = pa.list_(pa.string()) if name in _LISTS else kind
        fields.append(pa.field(name, kind, nullable=name in _NULLABLE))
    if dimensions:
        fields.append(pa.field("vector", pa.list_(pa.float32(), dimensions), nullable=False))
    return pa.schema(fields)


def to_arrow(
    chunks: Sequence[Chunk], *, hashes: Mapping[str, str], vectors: Any, dimensions: int
) -> pa.RecordBatchReader:  # fmt: skip
    """Rows for the table, made a batch at a time as they are read: all at once they take as much as all chunks again.

    Args:
        chunks: n chunks.
        hashes: row hashes by chunk id.
        vectors: float32 array (n, dimensions), or none when `dimensions` is 0.
        dimensions: length of a vector.
    """
    import pyarrow as pa

    made = schema(dimensions)

    def batches() -> Iterator[pa.RecordBatch]:
        for start in range(0, len(chunks), _BATCH):
            some = chunks[start : start + _BATCH]
            columns: dict[str, Any] = {name: [getattr(chunk, name) for chunk in some] for name in chunk_columns()}
            columns |= {name: [list(value) for value in columns[name]] for name in _LISTS}
            columns["row_hash"] = [hashes[chunk.chunk_id] for chunk in some]
            columns[FTS_COLUMN] = [fts_text(chunk) for chunk in some]
            if dimensions:
                flat = pa.array(vectors[start : start + _BATCH].reshape(-1), type=pa.float32())
                columns["vector"] = pa.FixedSizeListArray.from_arrays(flat, dimensions)
            yield pa.record_batch(columns, schema=made)

    return pa.RecordBatchReader.from_batches(made, batches())
