"""Make the table equal to the rows that are wanted: plan, embed what is new, one commit, check, publish.

The order of events, and what a kill leaves after each, is in `table`.
"""

from __future__ import annotations

import hashlib
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.errors import HeldBackError, InputError
from components.index import checks, cleanup, commits
from components.index import published as live
from components.index import table as tables
from components.index.chunk import Chunk
from components.index.probe import Probed, lost_questions
from components.index.published import Publication, Published
from components.index.rows import to_arrow
from components.index.terms import SyncReport, Terms
from components.index.wanted import Wanted
from components.llm.embedder import CachedEmbedder
from components.store import hold, logger

if TYPE_CHECKING:
    from components.index.index import Index
    from components.llm import Embedder

__all__ = ["sync"]

_SLICE = 4096  # texts that are asked for at a time: what the cache has of them is read at once
_SMALL = 10  # notes: below this number any share may vanish
_NAMED = 5


def sync(
    wanted: Wanted,
    *,
    uri: Path,
    embedder: Embedder | None,
    terms: Terms,
    searcher: Callable[[Any], Index],
    probe: Callable[[Index], Probed] | None = None,
    progress: Callable[[int, int], None] | None = None,
    before_embedding: Callable[[Sequence[str]], None] | None = None,
    lock_seconds: float = 60.0,
) -> SyncReport:
    """Publish exactly these rows. See `Index.sync` for arguments and errors; `searcher`: an index that is a table."""
    try:
        uri.mkdir(parents=True, exist_ok=True, mode=0o700)
    except (FileExistsError, NotADirectoryError):
        raise InputError(f"index.uri {uri} is a file, or lies below one; expected a folder for the tables") from None
    waiting = _tell_waiting
    with hold(uri / ".lock", what="index sync", timeout_seconds=lock_seconds, waiting=waiting):
        options = (wanted, uri, embedder, terms, searcher, probe, progress, before_embedding)
        work = _Sync(*options)
        try:
            return work.run()
        except tables.Damaged as error:
            aside = live.put_aside(uri, f"{work.generation.table}.lance") if work.folder.exists() else None
            logger.warning("%s. %s", error, f"It is now {aside.name}; building anew" if aside else "Building anew")
        return _Sync(*options).run()


def _tell_waiting(holder: str) -> None:
    logger.info("index: waiting for %s", holder)


class _Sync:
    """One sync, under the writer's lock."""

    def __init__(
        self,
        wanted: Wanted,
        uri: Path,
        embedder: Embedder | None,
        terms: Terms,
        searcher: Callable[[Any], Index],
        probe: Callable[[Index], Probed] | None,
        progress: Callable[[int, int], None] | None,
        before_embedding: Callable[[Sequence[str]], None] | None,
    ) -> None:
        self.wanted, self.uri, self.embedder, self.terms = wanted, uri, embedder, terms
        self.searcher, self.probe, self.progress = searcher, probe, progress
        self.before_embedding = before_embedding
        self.generation = tables.Generation.of(embedder)
        self.folder = uri / f"{self.generation.table}.lance"
        self.hashes = wanted.hashes
        self.digest = wanted.digest(self.generation.embedder)
        self.published = _read(uri)
        self.root = terms.root or (self.published.root if self.published else None)
        self.embedded = 0
        self.probed: Probed | None = None
        self._compared: checks.Head | None = None
        self._differs: tuple[list[str], list[str]] = ([], [])
        self.laps: dict[str, float] = {}
        self._at = time.perf_counter()

    def run(self) -> SyncReport:
        """Do it."""
        if self._is_published():
            return self._report(added=0, updated=0, removed=0, version=self.published.now.version)  # type: ignore[union-attr]
        database = tables.connect(self.uri)
        with self._reading():
            table = tables.ensure_table(database, self.uri, self.generation)
            head = checks.read_head(table)
            if head.rows != len(head.hashes):
                raise tables.Damaged(f"{head.rows - len(head.hashes)} rows of {self.folder} are there twice")
            self._was_touched(table)
            is_live = tables.live_version(table) == table.version
        self._guard(database, head if is_live else None)
        changed, gone = self._difference(head)
        written = self.wanted.chunks(changed)
        self._lap("plan")
        if changed or gone:
            vectors = self._vectors(table, written, gone=gone)
            self._lap("embed")
            dimensions = self.generation.dimensions
            rows = to_arrow(written, hashes=self.hashes, vectors=vectors, dimensions=dimensions)
            if any(chunk.local for chunk in written):
                tables.holds_local(self.uri, self.generation.table)
            with self._reading():
                commits.merge(table, rows, gone)
            self._lap("write")
        updated = sum(key in head.hashes for key in changed)
        counts = {"added": len(changed) - updated, "updated": updated, "removed": len(gone)}
        version = self._publish(database, table, written, counts)
        self._lap("publish")
        return self._report(**counts, version=version)

    def _difference(self, head: checks.Head) -> tuple[list[str], list[str]]:
        """Ids that are wanted and not there as they are wanted; ids that are there and not wanted."""
        if head is not self._compared:
            there = head.hashes.get
            changed = [key for key, value in self.hashes.items() if there(key) != value]
            self._differs = changed, sorted(head.hashes.keys() - self.hashes.keys())
            self._compared = head
        return self._differs

    def _reading(self) -> AbstractContextManager[None]:
        return tables.told_as_damage(self.uri)

    def _lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name] = round(now - self._at, 4)
        self._at = now

    def _report(self, *, added: int, updated: int, removed: int, version: int) -> SyncReport:
        return SyncReport(
            added=added, updated=updated, removed=removed, unchanged=len(self.wanted) - added - updated,
            embedded=self.embedded, version=version, live_digest=self.digest, degraded=self.embedder is None,
            seconds=self.laps, recall=self.probed.recall if self.probed else None,
            questions=len(self.probed.found) if self.probed else 0,
        )  # fmt: skip

    def _is_published(self) -> bool:
        """Whether there is nothing to do, told without opening the table."""
        now = self.published.now if self.published else None
        return (
            now is not None
            and (now.table, now.digest) == (self.generation.table, self.digest)
            and self.terms.how == "reindex"
            and not self.terms.verify
            and self.published is not None
            and self.published.root == self.root
            and self.published.seal == live.seal_of(self.uri, now.table)
        )

    def _was_touched(self, table: Any) -> None:
        """Read all rows of a published table whose files are not those that were left: a kill, or another hand."""
        if self.published is None or self.published.now.table != self.generation.table:
            return
        if self.terms.verify or self.published.seal != live.seal_of(self.uri, self.generation.table):
            wrong = checks.whole(table, **vars(self.generation), digest=None)
            wrong = [text for text in wrong if checks.UNCOVERED not in text]  # a kill before covering
            if wrong:
                raise tables.Damaged(f"the index in {self.uri} is damaged: {'; '.join(wrong)}")

    def _guard(self, database: Any, head: checks.Head | None) -> None:
        """Refuse, before anything is written, to lose a larger share of the published notes than is allowed.

        A note counts as lost when no chunk of it remains under its path or, renamed, with its text. `head`: of the
        rows that are published, none when they are not those that were just read.
        """
        known = self.published.root if self.published else None
        if known not in (None, self.root):
            if self.terms.keep_root:
                raise HeldBackError(
                    f"the index in {self.uri} has the notes of {known}, and this scheduled run would replace them by "
                    f"those of {self.root}; nothing was changed. Name one sncp.root for all scheduled recipes, such as "
                    "in recipes/_base.yaml, or give this recipe an index.uri of its own. If it is meant, run it once "
                    "by hand"
                )
            return  # those of another folder do not vanish
        name = self.published.now.table if self.published else self.generation.table
        try:
            with tables.told_as_damage(self.uri):
                self._guard_rows(tables.open_table(database, name), head)
        except tables.Damaged:
            if name == self.generation.table:
                raise
            logger.warning("index: %s cannot be read, so nobody knows which notes would vanish", name)

    def _guard_rows(self, table: Any | None, head: checks.Head | None) -> None:
        version = None if table is None else tables.live_version(table)
        if table is None or version is None:
            return
        if head is None or table.version != version or table.name != self.generation.table:
            table.checkout(version)
            head = checks.read_head(table)
        allowed = self.terms.max_removed_share * len(head.paths)
        changed, gone = self._difference(head)
        touched = [key for key in changed if key in head.hashes] + gone
        if len(head.paths) < _SMALL or len(head.paths_of(touched)) <= allowed:
            return
        missing = head.paths - self.wanted.paths
        if len(missing) <= allowed:
            return
        marks: dict[str, set[str]] = defaultdict(set)
        for row in table.search().select(["paths", "text"]).to_arrow().to_pylist():
            for path in missing.intersection(row["paths"]):
                marks[path].add(_mark(row["text"]))
        texts = {_mark(chunk.text) for chunk in self.wanted.chunks(self.hashes)}
        lost = checks.lost_notes(marks, paths=self.wanted.paths, texts=texts)
        if len(lost) > allowed:
            raise HeldBackError(
                f"{len(lost)} of {len(head.paths)} published notes would vanish from the index ({lost[0]}, ...), more "
                f"than index.max_removed_share = {self.terms.max_removed_share:g} allows; nothing was changed. Check "
                "sncp.root and its globs, or raise index.max_removed_share"
            )

    def _vectors(self, table: Any, chunks: Sequence[Chunk], *, gone: Sequence[str]) -> Any:
        """Vectors (n, dimensions) of chunks, from rows with the same text or from the embedder."""
        embedder = self.embedder
        if embedder is None:
            return None
        import numpy as np

        texts = list(dict.fromkeys(chunk.embed_text for chunk in chunks))
        changed = {chunk.chunk_id for chunk in chunks}
        with self._reading():
            known = commits.known_vectors(table, texts, among={*changed, *gone, *self.wanted.same_texts(changed)})
        missing = [text for text in texts if text not in known]
        wanted = set(missing)
        local = sorted({chunk.path for chunk in chunks if chunk.local and chunk.embed_text in wanted})
        if missing and self.before_embedding:
            self.before_embedding(missing)
        batched = embedder if isinstance(embedder, CachedEmbedder) else CachedEmbedder(embedder, cache=None)
        for start in range(0, len(missing), _SLICE):
            some = missing[start : start + _SLICE]
            ends = start + len(some)
            tell = partial(self._tell, ends, len(missing))
            known.update(zip(some, batched.embed_passages(some, local_notes=local, progress=tell), strict=True))
            tell(0, 0)
        self.embedded = len(missing)
        if not chunks:
            return np.zeros((0, embedder.dimensions), dtype=np.float32)
        vectors = np.stack([known[chunk.embed_text] for chunk in chunks]).astype(np.float32, copy=False)
        checks.check_vectors(vectors, rows=len(chunks), dimensions=embedder.dimensions, embedder=embedder.id)
        return vectors

    def _tell(self, ends: int, all_texts: int, done: int, of: int) -> None:
        """Tell how far embedding is: of the slice that `ends` there, `of` texts were not in the cache."""
        if self.progress:
            self.progress(ends - of + done, all_texts)

    def _publish(self, database: Any, table: Any, written: Sequence[Chunk], counts: dict[str, int]) -> int:
        """Cover, check and tag the newest rows; on a fault return to the rows that readers see. The live version."""
        before = tables.live_version(table)
        table.checkout_latest()
        now = self.published.now if self.published else None
        if before != table.version or now is None or now.table != self.generation.table:
            try:
                with self._reading():
                    cleanup.cover(table)
                    found = checks.faults(table, wanted=self.wanted, root=self._notes_folder(), written=written)
                found = found or self._ask(database, table, before)
                if found:
                    raise HeldBackError(
                        f"the new index was not published: {'; '.join(found)}. The one before it stays."
                    )
            except BaseException:
                commits.restore(table, before)
                raise
            commits.move_tag(table)
        history = self._history(table, counts)
        cleanup.prune(table, history)
        commits.move_tag(table)  # cleaning may join files, which is a new version of the same rows
        version = int(table.version)
        if history[-1].version != version:
            history = (*history[:-1], replace(history[-1], version=version))
        used = self.published.generations if self.published else {}
        left = cleanup.drop_generations(self.uri, used, keep=self.generation.table)
        published = Published(self.root, live.seal_of(self.uri, self.generation.table), left, history)
        live.write_published(self.uri, published)
        return version

    def _notes_folder(self) -> Path | None:
        """Where every note must still be, none when that is not known, or for an older state."""
        if self.terms.root is None or self.terms.how == "rollback":
            return None
        return Path(self.terms.root)

    def _ask(self, database: Any, table: Any, before: int | None) -> list[str]:
        """Ask the golden questions of the new rows, and of the published ones where not all of them were found."""
        if self.probe is None:
            return []
        now = self.published.now if self.published else None
        self.probed = after = self.probe(self.searcher(table))
        logger.info(
            "index: %d golden questions asked before publishing in %.1f s, recall %.3f",
            len(after.found), after.seconds, after.recall,
        )  # fmt: skip
        if now is None or after.recall == 1 or self.published.root not in (None, self.root):  # type: ignore[union-attr]
            return []
        recall, lost = now.recall if now.golden == after.golden else None, []
        if now.table == self.generation.table and before is not None:
            shown = tables.open_table(database, now.table)
            shown.checkout(before)  # type: ignore[union-attr]
            old = self.probe(self.searcher(shown))
            recall, lost = old.recall, lost_questions(old, after)
        if recall is None or recall - after.recall <= self.terms.max_recall_drop + 1e-9:
            return []
        lost = lost or [f'{key} "{after.questions[key]}"' for key, found in after.found.items() if not found]
        text = (
            f"recall of the golden questions would fall from {recall:.3f} to {after.recall:.3f} "
            f"(index.max_recall_drop = {self.terms.max_recall_drop:g}); not found any more: "
            f"{', '.join(lost[:_NAMED])}{', ...' if len(lost) > _NAMED else ''}"
        )
        if self.terms.settings_are_judged and now.settings not in (None, self.terms.settings):
            logger.warning("index: %s. The settings are others, so the scorecard decides", text)
            return []
        return [f"{text}. To publish it nevertheless: -o index.max_recall_drop=1"]

    def _history(self, table: Any, counts: dict[str, int]) -> tuple[Publication, ...]:
        """The history with this publication, unless it is the one that is already told."""
        old = self.published.history if self.published else ()
        same = bool(old) and (old[-1].table, old[-1].digest) == (self.generation.table, self.digest)
        if same and self.terms.how == "reindex":
            return old
        number = old[-1].number + 1 if old else 1
        terms, probed = self.terms, self.probed
        return (
            *old,
            Publication(
                number=number, at=live.utc_now(), how=terms.how, state=terms.state or number, digest=self.digest,
                table=self.generation.table, embedder=self.generation.embedder, dimensions=self.generation.dimensions,
                version=int(table.version), chunks_id=terms.chunks_id, settings=terms.settings,
                chunks=len(self.wanted), notes=self.wanted.notes, **counts,
                recall=round(probed.recall, 6) if probed else None, questions=len(probed.found) if probed else 0,
                golden=probed.golden if probed else None,
            ),
        )  # fmt: skip


def _read(uri: Path) -> Published | None:
    """What is published; a damaged file is put aside, and told."""
    try:
        return live.read_published(uri)
    except live.DamagedFile as error:
        logger.warning("%s. It is now %s", error, live.put_aside(uri).name)
        return None


def _mark(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
