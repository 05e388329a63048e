"""The LanceDB tables of an index: one for each generation (embedder, dimensions, schema), one of them published.

State after a hard crash. A commit of LanceDB is whole or absent. Between a commit and the move of the tag `live`,
readers still see the old rows; the next sync compares with the newest rows, finds nothing to write and moves the tag.
Between the tag and the pointer file, a first sync of a new generation is not published; the next sync publishes it.
Nothing but `live` is ever tagged: a tag on an old version would keep LanceDB from cleaning up.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.errors import TerminalError
from components.index.rows import FTS_COLUMN, SCHEMA_VERSION, rows_digest, schema
from components.store import write_atomic

if TYPE_CHECKING:
    from components.llm import Embedder

__all__ = ["LIVE", "NO_EMBEDDER", "Generation", "check", "connect", "ensure_table", "live_version", "row_hashes"]

LIVE = "live"
NO_EMBEDDER = "none"
_POINTER = "live.json"


@dataclass(frozen=True)
class Generation:
    """Rows that can be compared with each other: same embedder, same dimensions, same columns."""

    embedder: str
    dimensions: int

    @classmethod
    def of(cls, embedder: Embedder | None) -> Generation:
        """The generation that an embedder writes; none: full text only."""
        return cls(NO_EMBEDDER, 0) if embedder is None else cls(embedder.id, embedder.dimensions)

    @property
    def table(self) -> str:
        """Name of its table: hex only, whatever the embedder is called."""
        key = json.dumps([self.embedder, self.dimensions, SCHEMA_VERSION])
        return f"chunks-{hashlib.sha256(key.encode()).hexdigest()[:16]}"


def read_pointer(uri: Path) -> dict[str, Any] | None:
    """What is published: {table, embedder, dimensions, digest, root}; none when nothing is yet."""
    try:
        found = json.loads((uri / _POINTER).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise TerminalError(f"{uri / _POINTER} cannot be read ({error}); remove it and run a reindex") from error
    if not isinstance(found, dict) or not {"table", "embedder", "dimensions"} <= set(found):
        raise TerminalError(f"{uri / _POINTER} does not name a table; remove it and run a reindex")
    return found


def pointer_of(generation: Generation, *, digest: str, root: str | None) -> dict[str, Any]:
    """What the pointer file says of published rows; `root`: the folder of the notes, none when it is not known."""
    return {**vars(generation), "table": generation.table, "digest": digest, "root": root}


def write_pointer(uri: Path, pointer: dict[str, Any]) -> None:
    """Publish a generation: the file is replaced whole, or not at all.

    `digest` is that of the published rows, for those who plan without opening the table. The tag is the truth: after
    a kill between the two the file tells of older rows, until the next sync.
    """
    write_atomic(uri / _POINTER, json.dumps(pointer, indent=1).encode())


def connect(uri: Path) -> Any:
    """A LanceDB connection whose tables see other processes' commits."""
    import lancedb

    return lancedb.connect(str(uri), read_consistency_interval=timedelta(0))


def open_table(database: Any, name: str) -> Any | None:
    """The table, or none when it does not exist."""
    try:
        return database.open_table(name)
    except (ValueError, FileNotFoundError) as error:
        if "not found" in str(error).lower() or "does not exist" in str(error).lower():
            return None
        raise


def ensure_table(database: Any, generation: Generation) -> Any:
    """The generation's table, made with `chunk_id` as its primary key when it is missing.

    The key matters: without it two merges of the same new rows silently keep both.
    """
    table = open_table(database, generation.table)
    if table is None:
        table = database.create_table(generation.table, schema=schema(generation.dimensions))
    if table.schema.names != schema(generation.dimensions).names:
        raise TerminalError(f"table {generation.table} has other columns than this version writes; remove its folder")
    metadata = table.schema.field("chunk_id").metadata or {}
    if not any(b"primary-key" in key for key in metadata):
        table.set_unenforced_primary_key("chunk_id")
    return table


def live_version(table: Any) -> int | None:
    """The version that readers see, or none when nothing was published."""
    found = table.tags.list().get(LIVE)
    return None if found is None else int(found["version"])


def row_hashes(table: Any) -> dict[str, str]:
    """Chunk id -> row hash of the version that `table` is at. Raises TerminalError on a repeated id."""
    rows = table.search().select(["chunk_id", "row_hash"]).to_arrow()
    ids, hashes = rows["chunk_id"].to_pylist(), rows["row_hash"].to_pylist()
    found = dict(zip(ids, hashes, strict=True))
    if len(found) != len(ids):
        raise TerminalError(f"the index holds {len(ids) - len(found)} rows twice; remove its folder and run a reindex")
    return found


def check(table: Any, *, digest: str) -> list[str]:
    """What is wrong with the newest rows; empty: they may be published. `digest`: of the rows that are wanted."""
    faults = []
    hashes = row_hashes(table)
    if rows_digest(hashes) != digest:
        faults.append(f"the {len(hashes)} rows of the table are not the ones that were to be written")
    for index in table.list_indices():
        if list(index.columns) == [FTS_COLUMN]:
            rows = table.index_stats(index.name).num_unindexed_rows
            if rows:
                faults.append(f"{rows} rows are not covered by the full-text index")
            break
    else:
        if hashes:
            faults.append("the full-text index is missing")
    return faults
