"""The index of the notes: one folder, written by one process at a time, read by many."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from components.errors import TerminalError
from components.index import table as tables
from components.index.checks import read_head
from components.index.chunk import Chunk
from components.index.probe import Probed
from components.index.published import LIVE_FILE, read_published
from components.index.rows import rows_digest
from components.index.search import Filters, Hit, search_rows
from components.index.snapshot import Snapshot
from components.index.status import index_status
from components.index.sync import sync
from components.index.terms import SyncReport, Terms
from components.index.wanted import Wanted
from components.sncp.redact import mask_secrets

if TYPE_CHECKING:
    from components.llm import Embedder

__all__ = ["Index"]


class Index:
    """Chunks, vectors and full text in LanceDB under one folder.

    Readers see what the tag `live` of the published table names, and nothing else: a sync in progress, killed or
    refused is invisible to them. Threads may search the same one. What was opened for a search stays open for the
    next, until something else is published. Not covered: file systems without flock; writers that go around `sync`.
    """

    def __init__(self, uri: Path, embedder: Embedder | None, *, newest: Callable[[], Path] | None = None) -> None:
        self.uri = uri
        self.embedder = embedder
        self._newest = newest
        self.generation = tables.Generation.of(embedder)
        self._database: Any = None
        self._lock = threading.Lock()  # one at a time looks what is published
        self._opened: tuple[object, Snapshot] | None = None

    @classmethod
    def open(cls, uri: Path, embedder: Embedder | None, *, newest: Callable[[], Path] | None = None) -> Index:
        """An index in the folder `uri`, which the first sync makes.

        Args:
            uri: folder of the tables.
            embedder: none: full text alone (degraded).
            newest: asked before each reading for the folder to read, where another one takes its place with each
                publication (a copy of what is in a bucket). Such an index is only read.
        """
        return cls(uri, embedder, newest=newest)

    @property
    def degraded(self) -> bool:
        """Whether there are no vectors: questions in other words, or another language, will not be found."""
        return self.embedder is None

    def sync(
        self,
        chunks: Sequence[Chunk] | Wanted,
        *,
        terms: Terms | None = None,
        probe: Callable[[Index], Probed] | None = None,
        progress: Callable[[int, int], None] | None = None,
        before_embedding: Callable[[Sequence[str]], None] | None = None,
        lock_seconds: float = 60.0,
        max_removed_share: float = 1.0,
        root: str | None = None,
    ) -> SyncReport:
        """Make the index hold exactly these chunks, and publish it: one commit, checked before readers see it.

        Nothing is written when nothing changed. Only texts that neither the table nor the embedder's cache know are
        embedded. A damaged table is put aside, told, and built anew.

        Args:
            chunks: all chunks of all notes, with distinct ids.
            terms: what must hold before they are published; none: `max_removed_share` and `root` alone.
            probe: golden questions that are asked of the new rows first.
            progress: called with (texts embedded, texts to embed).
            before_embedding: called with the texts that would be embedded; may raise.
            lock_seconds: how long to wait for another writer.
            max_removed_share: see `Terms`.
            root: see `Terms`.

        Raises:
            InputError: ids that are not distinct SHA-256 digests; the folder is a file.
            TerminalError: too many notes vanish; the new rows fail the checks or find fewer golden questions (the old
                ones stay published); another writer holds the index. Whatever the embedder raises passes through,
                before anything is written.
        """
        return sync(
            chunks if isinstance(chunks, Wanted) else Wanted.of_chunks(chunks),
            uri=self.uri,
            embedder=self.embedder,
            terms=terms or Terms(max_removed_share=max_removed_share, root=root),
            searcher=lambda table: _Rows(self.uri, self.embedder, Snapshot(self.uri, table)),
            probe=probe,
            progress=progress,
            before_embedding=before_embedding,
            lock_seconds=lock_seconds,
        )

    def live_digest(self) -> str | None:
        """Digest of the published rows, as `chunks_digest` computes it; none when this embedder published nothing."""
        table = self._live(strict=False)
        if table is None:
            return None
        with tables.told_as_damage(self.uri):
            return rows_digest(read_head(table).hashes, self.generation.embedder)

    def live_version(self) -> int:
        """Version of the table that is published: while it is the same, so are the rows. Raises as `search` does."""
        return self._snapshot().version

    def paths(self) -> list[str]:
        """All paths of the published notes, exact duplicates included, sorted. Raises as `search` does."""
        table: Any = self._live(strict=True)
        with tables.told_as_damage(self.uri):
            return sorted(read_head(table).paths)

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
            question: in any words and any length, secrets in it are masked; 1.0 = the best that either leg found.
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
        rows = self._snapshot()
        with tables.told_as_damage(self.uri):
            return search_rows(
                rows,
                mask_secrets(question),  # an embedder may be far away
                embedder=self.embedder,
                k=k,
                fusion=fusion,
                dense_weight=dense_weight,
                candidates=candidates,
                filters=filters,
            )

    def searched(self, question: str, **options: Any) -> tuple[list[Hit], str]:
        """As `search`, and the digest of the published rows that were searched, as `live_digest` tells it."""
        rows = self._snapshot()
        hits = _Rows(self.uri, self.embedder, rows).search(question, **options)
        if rows.digest is None:
            rows.digest = self._digest(rows)
        return hits, rows.digest

    def _digest(self, rows: Snapshot) -> str:
        published = read_published(self.uri)
        for one in reversed(published.history if published else ()):
            if (one.table, one.version) == (self.generation.table, rows.version):
                return one.digest
        with tables.told_as_damage(self.uri):  # shown, and not written down yet
            return rows_digest(read_head(rows.table).hashes, self.generation.embedder)

    def status(self) -> dict[str, Any]:
        """Facts for people: see `index_status`."""
        return index_status(self.uri) | {"ours": self._live(strict=False) is not None}

    def _snapshot(self) -> Snapshot:
        """The published rows, opened anew only when something else is published. Raises as `search`."""
        with self._lock:
            self._follow()
            mark = self._mark()
            if mark is not None and self._opened is not None and self._opened[0] == mark:
                return self._opened[1]
            self._opened = None  # what it holds in memory goes before the next comes
            table = self._live(strict=True)
            with tables.told_as_damage(self.uri):
                rows = Snapshot(self.uri, table)
            self._opened = (mark, rows)
            return rows

    def _mark(self) -> object | None:
        """Another one with each publication, also with one that was killed half-way; none: that cannot be told.

        Of the files that a publication replaces: the tag, which LanceDB keeps in the table's folder, and the pointer.
        """
        files = [tables.tag_file(self.uri, self.generation.table), self.uri / LIVE_FILE]
        try:
            stats = [os.stat(file) for file in files]
        except OSError:
            return None
        return self.uri, [(stat.st_ino, stat.st_size, stat.st_mtime_ns) for stat in stats]

    def _follow(self) -> None:
        """Take the folder that is the newest."""
        if self._newest is not None and (uri := self._newest()) != self.uri:
            self.uri, self._database = uri, None

    def _live(self, *, strict: bool) -> Any | None:
        """The published rows of this embedder's generation, fresh from disk."""
        self._follow()
        published = read_published(self.uri)
        if published is None or published.now.table != self.generation.table:
            if not strict:
                return None
            if published is None:
                raise TerminalError(f"nothing is published in {self.uri} yet: run the recipe, or a reindex, first")
            raise TerminalError(
                f"the index in {self.uri} was built with the embedder {published.now.embedder}, not with "
                f"{self.generation.embedder}: "
                + ("name that one in index.embedding.model" if self._newest else "run a reindex with this recipe first")
            )
        with tables.told_as_damage(self.uri):
            if self._database is None:
                self._database = tables.connect(self.uri)
            table = tables.open_table(self._database, self.generation.table)
            version = None if table is None else tables.live_version(table)
            if table is None or version is None:
                raise tables.Damaged(
                    f"{self.uri} names a table that is not there; `cervella reindex RECIPE` builds it anew from the "
                    "embedding cache"
                )
            table.checkout(version)
        return table


class _Rows(Index):
    """Some version of a table, searched as if it were published: for golden questions before it is."""

    def __init__(self, uri: Path, embedder: Embedder | None, rows: Snapshot) -> None:
        super().__init__(uri, embedder)
        self._rows = rows

    def _snapshot(self) -> Snapshot:
        return self._rows

    def _live(self, *, strict: bool) -> Any | None:
        return self._rows.table
