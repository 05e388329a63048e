"""The index of the notes: one folder, written by one process at a time, read by many."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from components.errors import TerminalError
from components.index import table as tables
from components.index.chunk import Chunk
from components.index.rows import rows_digest
from components.index.search import Filters, Hit, search_rows
from components.index.sync import SyncReport, sync

if TYPE_CHECKING:
    from components.llm import Embedder

__all__ = ["Index"]


class Index:
    """Chunks, vectors and full text in LanceDB under one folder.

    Readers see what the tag `live` of the published table names, and nothing else: a sync in progress, killed or
    refused is invisible to them. Not covered: file systems without flock; writers that go around `sync`.
    """

    def __init__(self, uri: Path, embedder: Embedder | None) -> None:
        self.uri = uri
        self.embedder = embedder
        self.generation = tables.Generation.of(embedder)
        self._database: Any = None

    @classmethod
    def open(cls, uri: Path, embedder: Embedder | None) -> Index:
        """An index in the folder `uri`, which the first sync makes. `embedder` none: full text alone (degraded)."""
        return cls(uri, embedder)

    @property
    def degraded(self) -> bool:
        """Whether there are no vectors: questions in other words, or another language, will not be found."""
        return self.embedder is None

    def sync(
        self,
        chunks: Sequence[Chunk],
        *,
        max_removed_share: float = 1.0,
        progress: Callable[[int, int], None] | None = None,
        lock_seconds: float = 60.0,
        root: str | None = None,
    ) -> SyncReport:
        """Make the index hold exactly these chunks, and publish it: one commit, checked before readers see it.

        Nothing is written when nothing changed. Only texts that neither the table nor the embedder's cache
        know are embedded.

        Args:
            chunks: all chunks of all notes, with distinct ids.
            max_removed_share: of the published notes (0..1) that may vanish, once there are 10 of them.
            progress: called with (texts embedded, texts to embed).
            lock_seconds: how long to wait for another writer.
            root: the folder that the notes are from. Where the published ones are known to be from another folder, all
                of them may vanish.

        Raises:
            InputError: ids that are not distinct SHA-256 digests.
            TerminalError: too many notes vanish; the new rows fail the checks (the old ones stay published); another
                writer holds the index. Whatever the embedder raises passes through, before anything is written.
        """
        return sync(
            chunks,
            uri=self.uri,
            embedder=self.embedder,
            max_removed_share=max_removed_share,
            progress=progress,
            lock_seconds=lock_seconds,
            root=root,
        )

    def live_digest(self) -> str | None:
        """Digest of the published rows, as `chunks_digest` computes it; none when this embedder published nothing."""
        table = self._live(strict=False)
        return None if table is None else rows_digest(tables.row_hashes(table))

    def paths(self) -> list[str]:
        """All paths of the published notes, exact duplicates included, sorted. Raises as `search` does."""
        table: Any = self._live(strict=True)
        rows = table.search().select(["paths"]).to_arrow()
        return sorted({path for paths in rows["paths"].to_pylist() for path in paths})

    def search(
        self,
        question: str,
        *,
        k: int = 8,
        fusion: Literal["minmax", "rrf"] = "minmax",
        dense_weight: float | None = None,
        candidates: int = 50,
        kind: str | Sequence[str] | None = None,
        project: str | Sequence[str] | None = None,
        since: str | None = None,
        until: str | None = None,
        status: str | Sequence[str] | None = None,
        exclude: Sequence[str] = (),
    ) -> list[Hit]:
        """The `k` best chunks for a question, best first.

        Args:
            question: in any words and any length; 1.0 = the best that either leg found.
            k: chunks returned.
            fusion: how the two legs are joined (see `ranking.fuse`).
            dense_weight: share of the vectors in minmax, 0..1; none: the embedder's own.
            candidates: taken from each leg.
            kind: one kind of note, or several.
            project: one project, or several.
            since: first day (ISO) of a note's date.
            until: last day (ISO).
            status: one status, or several.
            exclude: chunk ids that are not wanted.

        Raises:
            InputError: an empty question, an unknown kind or status, a day that is none.
            TerminalError: nothing is published yet, or it was built with another embedder.
        """
        filters = Filters(kind=kind, project=project, since=since, until=until, status=status, exclude=exclude)
        return search_rows(
            self._live(strict=True),
            question,
            embedder=self.embedder,
            k=k,
            fusion=fusion,
            dense_weight=dense_weight,
            candidates=candidates,
            filters=filters,
        )

    def status(self) -> dict[str, Any]:
        """Facts for people: what is published, how large it is, whether it is whole."""
        pointer = tables.read_pointer(self.uri)
        table = self._live(strict=False)
        facts: dict[str, Any] = {
            "uri": str(self.uri),
            "published": pointer,
            "degraded": self.degraded,
            "ours": table is not None,
        }
        if table is not None:
            rows = table.search().select(["path", "chunk_id"]).to_arrow()
            facts |= {
                "version": table.version,
                "chunks": rows.num_rows,
                "notes": len(set(rows["path"].to_pylist())),
                "versions": len(table.list_versions()),
                "digest": self.live_digest(),
            }
        return facts

    def _live(self, *, strict: bool) -> Any | None:
        """The published rows of this embedder's generation, fresh from disk."""
        pointer = tables.read_pointer(self.uri)
        if pointer is None or pointer["table"] != self.generation.table:
            if not strict:
                return None
            if pointer is None:
                raise TerminalError(f"nothing is published in {self.uri} yet: run the recipe, or a reindex, first")
            raise TerminalError(
                f"the index in {self.uri} was built with the embedder {pointer['embedder']}, not with "
                f"{self.generation.embedder}: run a reindex with this recipe first"
            )
        if self._database is None:
            self._database = tables.connect(self.uri)
        table = tables.open_table(self._database, self.generation.table)
        version = None if table is None else tables.live_version(table)
        if table is None or version is None:
            raise TerminalError(f"{self.uri} names a table that is not there: remove the folder and run a reindex")
        table.checkout(version)
        return table
