"""The index of the notes: one folder, written by one process at a time, read by many."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
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

_OLD_SECONDS = 600.0  # a folder named longer ago may have been tidied away (see `bucket.mirror.KEEP`)


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
        self._asking = threading.Lock()  # one at a time asks for the newest folder
        self._told = float("-inf")  # when that was last told
        self.generation = tables.Generation.of(embedder)
        self._database: tuple[Path, Any] | None = None  # one value, for threads read and replace it without a lock
        self._lock = threading.Lock()  # one at a time opens what is published
        self._opened: tuple[object, Snapshot] | None = None

    @classmethod
    def open(cls, uri: Path, embedder: Embedder | None, *, newest: Callable[[], Path] | None = None) -> Index:
        """An index in the folder `uri`, which the first sync makes.

        Args:
            uri: folder of the tables.
            embedder: none: full text alone (degraded).
            newest: asked before a reading for the folder to read, where another one takes its place with each
                publication (a copy of what is in a bucket). One thread at a time asks; others read meanwhile what was
                named last. Such an index is only read.
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
        uri = self._where()
        table = self._live(uri, strict=False)
        if table is None:
            return None
        with tables.told_as_damage(uri):
            return rows_digest(read_head(table).hashes, self.generation.embedder)

    def published_rows(self) -> Snapshot:
        """The published rows: another object once anything else is published. Raises as `search` does."""
        return self._snapshot()

    def paths(self) -> list[str]:
        """All paths of the published notes, exact duplicates included, sorted. Raises as `search` does."""
        uri = self._where()
        table: Any = self._live(uri, strict=True)
        with tables.told_as_damage(uri):
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
        elsewhere = self.embedder is not None and not self.embedder.is_local  # others need not wait for it
        with nullcontext() if elsewhere else rows.turns, tables.told_as_damage(rows.uri):
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
        hits = _Rows(rows.uri, self.embedder, rows).search(question, **options)
        if rows.digest is None:
            # Of the rows themselves: versions of a table that was built anew begin again, and what `live.json` tells
            # of the same version is of the one before, until that is replaced as well.
            with tables.told_as_damage(rows.uri):
                rows.digest = rows_digest(read_head(rows.table).hashes, self.generation.embedder)
        return hits, rows.digest

    def status(self) -> dict[str, Any]:
        """Facts for people: see `index_status`."""
        uri = self._where()
        return index_status(uri) | {"ours": self._live(uri, strict=False) is not None}

    def let_go_of_old(self) -> None:
        """Let go of what was opened for a search, if it is not what is published any more.

        For processes that serve: texts and vectors of rows that were removed are then out of memory, but for searches
        that are at work, without waiting for the next one. Not covered: what is newer in a bucket and was not brought
        yet; the next search asks for that.
        """
        with self._lock:
            if self._opened is not None and self._opened[0] != (self._mark(self.uri) or object()):
                self._opened = None

    def _snapshot(self) -> Snapshot:
        """The published rows, opened anew only when something else is published. Raises as `search`."""
        self._where()  # without the lock: a storage may be slow, and others need not wait for it
        with self._lock:
            uri = self.uri  # once: another thread may be told of a newer one
            mark = self._mark(uri)
            if mark is not None and self._opened is not None and self._opened[0] == mark:
                return self._opened[1]
            self._opened = None  # what it holds in memory goes before the next comes
            table = self._live(uri, strict=True)
            with tables.told_as_damage(uri):
                rows = Snapshot(uri, table)
            self._opened = (mark, rows)
            return rows

    def _mark(self, uri: Path) -> object | None:
        """Another one with each publication, also with one that was killed half-way; none: that cannot be told.

        Of the files that a publication replaces: the tag, which LanceDB keeps in the table's folder, and the pointer.
        """
        files = [tables.tag_file(uri, self.generation.table), uri / LIVE_FILE]
        try:
            stats = [os.stat(file) for file in files]
        except OSError:
            return None
        return uri, [(stat.st_ino, stat.st_size, stat.st_mtime_ns) for stat in stats]

    def _where(self) -> Path:
        """The folder to read now. Whoever comes while another thread asks for it gets the one that was named last."""
        if self._newest is not None and self._asking.acquire(blocking=time.monotonic() - self._told > _OLD_SECONDS):
            try:
                self.uri = self._newest()
                self._told = time.monotonic()
            finally:
                self._asking.release()
        return self.uri

    def _live(self, uri: Path, *, strict: bool) -> Any | None:
        """The published rows of this embedder's generation in a folder, fresh from disk. No state is moved by it."""
        published = read_published(uri)
        if published is None or published.now.table != self.generation.table:
            if not strict:
                return None
            if published is None:
                raise TerminalError(f"nothing is published in {uri} yet: run the recipe, or a reindex, first")
            raise TerminalError(
                f"the index in {uri} was built with the embedder {published.now.embedder}, not with "
                f"{self.generation.embedder}: "
                + _what_to_do(published.now.embedder, self.generation.embedder, is_elsewhere=self._newest is not None)
            )
        with tables.told_as_damage(uri):
            opened = self._database
            if opened is None or opened[0] != uri:
                opened = self._database = (uri, tables.connect(uri))
            table = tables.open_table(opened[1], self.generation.table)
            version = None if table is None else tables.live_version(table)
            if table is None or version is None:
                raise tables.Damaged(
                    f"{uri} names a table that is not there; `cervella reindex RECIPE` builds it anew from the "
                    "embedding cache"
                )
            table.checkout(version)
        return table


def _what_to_do(built_with: str, ours: str, *, is_elsewhere: bool) -> str:
    """Where an index was built with another embedder. `is_elsewhere`: it is made by another machine.

    The engine of a packaged embedder, behind a `+` of its id, is chosen by the machine and cannot be named.
    """
    is_same = built_with != ours and built_with.partition("+")[0] == ours.partition("+")[0]
    if is_same and ours.startswith("local/"):
        anew = "anew here, in a folder (leave index.uri out)" if is_elsewhere else "anew here, with a reindex"
        return (
            "the same model, by another engine than this machine's processor takes (`cervella doctor` says which). "
            f"Build it on a machine that takes the same one as this, or {anew}"
        )
    return "name that one in index.embedding.model" if is_elsewhere else "run a reindex with this recipe first"


class _Rows(Index):
    """Some version of a table, searched as if it were published: for golden questions before it is."""

    def __init__(self, uri: Path, embedder: Embedder | None, rows: Snapshot) -> None:
        super().__init__(uri, embedder)
        self._rows = rows

    def _snapshot(self) -> Snapshot:
        return self._rows

    def _live(self, uri: Path, *, strict: bool) -> Any | None:
        return self._rows.table
