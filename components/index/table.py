"""The LanceDB tables of an index: one for each generation (embedder, dimensions, schema), one of them published.

State after a hard crash. A commit of LanceDB is whole or absent. Between a commit and the move of the tag `live`,
readers still see the old rows; the next sync compares with the newest rows, finds nothing to write and moves the tag.
Between the tag and the pointer file, a first sync of a new generation is not published; the next sync publishes it.
Nothing but `live` is ever tagged: a tag on an old version would keep LanceDB from cleaning up.

An empty file `TABLE.public` beside a table says that no row marked `local` was ever written into it, so that nothing of
such a row is in its files: LanceDB keeps deleted rows, older versions and words of both. It is made with the table and
removed before the first such row is written; without it nobody knows.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.errors import CervellaError, TerminalError
from components.index.rows import FTS_COLUMN, SCHEMA_VERSION, schema
from components.store import sync_folder

if TYPE_CHECKING:
    from components.llm import Embedder

__all__ = [
    "LIVE",
    "NO_EMBEDDER",
    "Damaged",
    "Generation",
    "connect",
    "ensure_table",
    "full_text_index",
    "holds_local",
    "live_version",
    "never_local",
    "open_table",
    "tag_file",
    "told_as_damage",
]

LIVE = "live"
NO_EMBEDDER = "none"
_TOLD = 300  # characters of LanceDB's own words
_LANCE = re.compile(
    r"\b[Ll]ance(DB)?\b.{0,20}error|\bLanceError\b|\.lance\b|/_(versions|indices|deletions)/"
    r"|^Version \d+ no longer exists"
)
_MACHINE = ("No space left", "Permission denied", "Read-only file system", "Too many open files")


class Damaged(TerminalError):
    """Files of a table are missing, cut short or foreign. A sync builds it anew."""


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


def connect(uri: Path) -> Any:
    """A LanceDB connection whose tables see other processes' commits."""
    from components.index.lance import lancedb

    return lancedb().connect(str(uri), read_consistency_interval=timedelta(0))


def open_table(database: Any, name: str) -> Any | None:
    """The table, or none when it does not exist."""
    try:
        return database.open_table(name)
    except (ValueError, FileNotFoundError) as error:
        if "not found" in str(error).lower() or "does not exist" in str(error).lower():
            return None
        raise


def ensure_table(database: Any, uri: Path, generation: Generation) -> Any:
    """The generation's table, made with `chunk_id` as its primary key when it is missing.

    The key matters: without it two merges of the same new rows silently keep both.
    """
    table = open_table(database, generation.table)
    if table is None and (uri / f"{generation.table}.lance").exists():
        raise Damaged(f"{uri}/{generation.table}.lance holds no table any more")
    if table is None:
        table = database.create_table(generation.table, schema=schema(generation.dimensions))
        never_local(uri, generation.table).touch()
    if table.schema.names != schema(generation.dimensions).names:
        raise TerminalError(
            f"{uri}/{generation.table}.lance is a table with other columns than ours, and is left as it is: move it "
            "away, or name another folder in index.uri"
        )
    metadata = table.schema.field("chunk_id").metadata or {}
    if not any(b"primary-key" in key for key in metadata):
        table.set_unenforced_primary_key("chunk_id")
    return table


def never_local(uri: Path, name: str) -> Path:
    """The file that says that no row marked `local` was ever written into a table."""
    return uri / f"{name}.public"


def holds_local(uri: Path, name: str) -> None:
    """Note, before it happens, that rows marked `local` are written into a table."""
    never_local(uri, name).unlink(missing_ok=True)
    sync_folder(uri)


def live_version(table: Any) -> int | None:
    """The version that readers see, or none when nothing was published."""
    found = table.tags.list().get(LIVE)
    return None if found is None else int(found["version"])


def tag_file(uri: Path, name: str) -> Path:
    """Where LanceDB keeps which version of a table readers see."""
    return uri / f"{name}.lance" / "_refs" / "tags" / f"{LIVE}.json"


def full_text_index(table: Any) -> str | None:
    """Name of the full-text index, none when there is none."""
    return next((index.name for index in table.list_indices() if list(index.columns) == [FTS_COLUMN]), None)


@contextmanager
def told_as_damage(uri: Path) -> Iterator[None]:
    """Turn what LanceDB raises about files that are missing, cut short or foreign into `Damaged`."""
    try:
        yield
    except CervellaError:
        raise
    except BaseException as error:
        text = " ".join(str(error).split())[:_TOLD]
        if type(error).__name__ != "PanicException" and not _LANCE.search(text):
            raise
        if any(mark in text for mark in _MACHINE):
            raise TerminalError(f"the index in {uri} cannot be used: {text}") from error
        raise Damaged(
            f"the index in {uri} is damaged ({type(error).__name__}: {text}). `cervella reindex RECIPE` puts the "
            "damaged table aside and builds it anew from the embedding cache"
        ) from error
