"""What is published: `live.json` beside the tables, one file, replaced whole or not at all.

It names the table that readers open, keeps a bounded history of publications, and says how the table's folder looked
when it was published, so that an index that nobody touched is recognised without opening it. The tag `live` inside the
table is the truth: after a kill between the two this file tells of older rows, until the next sync.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from components.errors import TerminalError
from components.store import write_atomic

__all__ = [
    "LIVE_FILE",
    "DamagedFile",
    "Publication",
    "Published",
    "read_published",
    "readable",
    "seal_of",
    "write_published",
]

LIVE_FILE = "live.json"
_FORMAT = 2
_KEPT = 50  # publications in the history


class DamagedFile(TerminalError):
    """`live.json` is not one of ours any more. A sync puts it aside and writes it anew."""


@dataclass(frozen=True)
class Publication:
    """One publication, for people, for the way back and for comparing.

    Attributes:
        number: counted from 1.
        at: when, ISO, UTC.
        how: `rollback` where an older state was published again.
        state: number of the publication whose rows it has: its own, or the one that was gone back to.
        digest: of its rows (see `rows_digest`).
        table: name of its table; with `embedder` and `dimensions` its generation.
        version: of the table, for cleaning up.
        chunks_id: artefact with its chunks, none when it was made without one.
        settings: digest of what the recipe says about cutting and embedding, none when it is not known.
        chunks: how many.
        notes: how many.
        added: rows.
        updated: rows.
        removed: rows.
        recall: share of the golden questions whose note was among the first files (0..1), none when not measured.
        questions: how many golden questions.
        golden: digest of the questions and of the search that found them.
    """

    number: int
    at: str
    how: Literal["reindex", "rollback"]
    state: int
    digest: str
    table: str
    embedder: str
    dimensions: int
    version: int
    chunks_id: str | None = None
    settings: str | None = None
    chunks: int = 0
    notes: int = 0
    added: int = 0
    updated: int = 0
    removed: int = 0
    recall: float | None = None
    questions: int = 0
    golden: str | None = None


@dataclass(frozen=True)
class Published:
    """The file. `root`: folder of the notes; `seal`: see `seal_of`; `generations`: table -> last day of use (ISO)."""

    root: str | None
    seal: str
    generations: dict[str, str]
    history: tuple[Publication, ...] = field(default=())

    @property
    def now(self) -> Publication:
        """What readers see."""
        return self.history[-1]

    @property
    def undone(self) -> Publication | None:
        """The publication that a rollback took out of service, none when the newest reindex is what readers see."""
        newest = next((old for old in reversed(self.history) if old.how == "reindex"), None)
        return None if newest is None or newest.digest == self.now.digest else newest

    def to_dict(self) -> dict[str, Any]:
        """As JSON: what readers need first, then the history."""
        now = self.now
        return {
            "format": _FORMAT, "table": now.table, "embedder": now.embedder, "dimensions": now.dimensions,
            "digest": now.digest, "root": self.root, "seal": self.seal, "generations": self.generations,
            "history": [asdict(publication) for publication in self.history[-_KEPT:]],
        }  # fmt: skip


def read_published(uri: Path) -> Published | None:
    """What is published; none when nothing is yet.

    Raises:
        TerminalError: the file is damaged, not ours, or of a newer version.
    """
    path = uri / LIVE_FILE
    try:
        found = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(path, f"cannot be read ({error})") from error
    if isinstance(found, dict) and isinstance(found.get("format"), int) and found["format"] > _FORMAT:
        raise TerminalError(
            f"{path} has format {found['format']}, this version reads {_FORMAT}: a newer version wrote it. Use that "
            "one, or name another folder in index.uri"
        )
    try:
        if found.get("format") != _FORMAT:
            raise ValueError(f"format {found.get('format')!r}")
        history = tuple(Publication(**publication) for publication in found["history"])
        if not history or any(not isinstance(entry.number, int) for entry in history):
            raise ValueError("no history")
        if (found["table"], found["digest"]) != (history[-1].table, history[-1].digest):
            raise ValueError("its parts contradict each other")
        return Published(found["root"], str(found["seal"]), dict(found["generations"]), history)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise _damaged(path, f"does not say what is published ({type(error).__name__}: {error})") from error


def readable(uri: Path) -> Published | None:
    """What is published; none also when the file is damaged, which a sync tells and mends."""
    try:
        return read_published(uri)
    except DamagedFile:
        return None


def _damaged(path: Path, what: str) -> DamagedFile:
    return DamagedFile(
        f"{path} {what}. `cervella reindex RECIPE` puts it aside and writes it anew from the embedding cache"
    )


def write_published(uri: Path, published: Published) -> None:
    """Publish: the file is replaced whole, or not at all. The caller holds the writer's lock."""
    for leftover in uri.glob(f".{LIVE_FILE}.*"):  # of a writer that was killed half-way
        leftover.unlink(missing_ok=True)
    write_atomic(uri / LIVE_FILE, json.dumps(published.to_dict(), indent=1).encode())


def put_aside(uri: Path, name: str = LIVE_FILE) -> Path:
    """Rename a damaged file or folder of the index to `NAME.damaged-N`; the new name."""
    number = 1
    while (aside := uri / f"{name}.damaged-{number}").exists():
        number += 1
    os.replace(uri / name, aside)
    return aside


def seal_of(uri: Path, table: str) -> str:
    """SHA-256 over names and sizes of the files in a table's folder: equal means that nothing was written there.

    Not noticed: bytes that changed without changing a file's length. `index status` reads the rows themselves.
    """
    folder = uri / f"{table}.lance"
    entries = sorted(
        (os.path.relpath(os.path.join(at, name), folder), os.stat(os.path.join(at, name)).st_size)
        for at, _, names in os.walk(folder)
        for name in names
    )
    return hashlib.sha256(json.dumps(entries).encode("utf-8", "surrogatepass")).hexdigest()


def utc_now() -> str:
    """This moment, ISO, to the microsecond."""
    return datetime.now(UTC).isoformat()
