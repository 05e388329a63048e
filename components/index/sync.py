"""Make the table equal to a list of chunks: plan, embed what is new, one commit, check, publish.

The order of events, and what a kill leaves after each, is in `table`.
"""

from __future__ import annotations

import hashlib
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.errors import CervellaError, InputError, TerminalError
from components.index import table as tables
from components.index.chunk import Chunk
from components.index.rows import FTS_COLUMN, LANGUAGE, row_hash, rows_digest, to_arrow
from components.store import hold

if TYPE_CHECKING:
    from components.llm import Embedder

__all__ = ["SyncReport", "sync"]

_SLICE = 32  # texts between two reports of progress
_KEEP = timedelta(minutes=30)  # old versions that readers may still hold
_SMALL = 10  # notes: below this number any share may vanish
_HEX = frozenset("0123456789abcdef")


@dataclass(frozen=True)
class SyncReport:
    """What a sync did. Counts are chunks, `embedded` is texts, `seconds` wall time by stage."""

    added: int
    updated: int
    removed: int
    unchanged: int
    embedded: int
    version: int
    live_digest: str
    degraded: bool
    seconds: dict[str, float]


def sync(
    chunks: Sequence[Chunk],
    *,
    uri: Path,
    embedder: Embedder | None,
    max_removed_share: float,
    progress: Callable[[int, int], None] | None = None,
    lock_seconds: float = 60.0,
    root: str | None = None,
) -> SyncReport:
    """Publish exactly these chunks. See `Index.sync` for arguments and errors."""
    generation = tables.Generation.of(embedder)
    wanted = {chunk.chunk_id: chunk for chunk in chunks}
    if len(wanted) != len(chunks) or any(len(key) != 64 or not _HEX.issuperset(key) for key in wanted):
        raise InputError("chunk ids must be distinct SHA-256 hex digests, as `chunk_documents` makes them")
    hashes = {key: row_hash(chunk, generation.embedder) for key, chunk in wanted.items()}
    uri.mkdir(parents=True, exist_ok=True, mode=0o700)
    clock = _Clock()
    with hold(uri / ".lock", what="index sync", timeout_seconds=lock_seconds):
        clock.lap("lock")
        database = tables.connect(uri)
        pointer = tables.read_pointer(uri)
        root = root or (pointer or {}).get("root")
        if (pointer or {}).get("root") in (None, root):
            _guard(database, pointer, chunks, max_removed_share)  # those of another folder do not vanish
        table = tables.ensure_table(database, generation)
        present = tables.row_hashes(table)
        changed = [chunk for key, chunk in wanted.items() if present.get(key) != hashes[key]]
        gone = [key for key in present if key not in wanted]
        clock.lap("plan")
        embedded = 0
        if changed or gone:
            vectors, embedded = _vectors(table, changed, embedder, progress)
            clock.lap("embed")
            rows = to_arrow(changed, hashes=hashes, vectors=vectors, dimensions=generation.dimensions)
            _merge(table, rows, gone)
            clock.lap("write")
        version = _publish(table, uri, tables.pointer_of(generation, digest=rows_digest(hashes), root=root))
        clock.lap("publish")
    updated = sum(chunk.chunk_id in present for chunk in changed)
    return SyncReport(
        added=len(changed) - updated,
        updated=updated,
        removed=len(gone),
        unchanged=len(wanted) - len(changed),
        embedded=embedded,
        version=version,
        live_digest=rows_digest(hashes),
        degraded=embedder is None,
        seconds=clock.laps,
    )


def _vectors(
    table: Any, chunks: list[Chunk], embedder: Embedder | None, progress: Callable[[int, int], None] | None
) -> tuple[Any, int]:
    """Vectors (n, dimensions) of chunks, from rows with the same text or from the embedder; how many of the latter."""
    if embedder is None:
        return None, 0
    import numpy as np

    texts = list(dict.fromkeys(chunk.embed_text for chunk in chunks))
    known = _known_vectors(table, set(texts))
    missing = [text for text in texts if text not in known]
    for start in range(0, len(missing), _SLICE):
        some = missing[start : start + _SLICE]
        made = np.asarray(embedder.embed_passages(some), dtype=np.float32)
        if made.shape != (len(some), embedder.dimensions) or not np.isfinite(made).all():
            raise TerminalError(
                f"{embedder.id} gave an array of shape {made.shape} for {len(some)} texts, "
                f"expected finite numbers of shape ({len(some)}, {embedder.dimensions})"
            )
        known.update(zip(some, made, strict=True))
        if progress:
            progress(start + len(some), len(missing))
    vectors = np.stack([known[chunk.embed_text] for chunk in chunks]) if chunks else np.zeros((0, embedder.dimensions))
    return vectors.astype(np.float32), len(missing)


def _known_vectors(table: Any, texts: set[str]) -> dict[str, Any]:
    """Vectors of texts that the table holds already, so that a renamed note is not embedded again."""
    if not table.count_rows():
        return {}
    import numpy as np

    rows = table.search().select(["embed_text", "vector"]).to_arrow().combine_chunks()
    found = {text: number for number, text in enumerate(rows["embed_text"].to_pylist()) if text in texts}
    if not found:
        return {}
    flat = np.asarray(rows["vector"].combine_chunks().flatten(), dtype=np.float32)
    vectors = flat.reshape(rows.num_rows, -1)
    return {text: vectors[number] for text, number in found.items()}


def _merge(table: Any, rows: Any, gone: list[str]) -> None:
    """Insert, update and delete in one commit. The filter holds hex digests alone, never a text of the user."""
    merge = table.merge_insert("chunk_id").when_matched_update_all(where="target.row_hash != source.row_hash")
    merge = merge.when_not_matched_insert_all()
    if gone:
        if any(not _HEX.issuperset(key) for key in gone):
            raise TerminalError("the table holds a chunk id that is no hex digest; remove its folder and run a reindex")
        merge = merge.when_not_matched_by_source_delete("chunk_id IN (" + ",".join(f"'{key}'" for key in gone) + ")")
    merge.execute(rows)


def _publish(table: Any, uri: Path, pointer: dict[str, Any]) -> int:
    """Index, check and tag the newest rows; on a fault return to the rows that readers see. The live version."""
    before = tables.live_version(table)
    table.checkout_latest()
    if before != table.version:
        try:
            _cover(table)
            faults = tables.check(table, digest=pointer["digest"])
        except CervellaError as error:
            faults = [str(error)]
        except Exception as error:  # whatever LanceDB raises, the old rows must stay the published ones
            faults = [f"{type(error).__name__}: {error}"]
        if faults:
            _restore(table, before)
            raise TerminalError(f"the new index was not published: {'; '.join(faults)}. The one before it stays.")
        _tag(table)
        with suppress(RuntimeError):  # housekeeping: what cannot be cleaned now is cleaned by a later sync
            table.optimize(cleanup_older_than=_KEEP)
        _tag(table)  # cleaning may compact, which is a new version of the same rows
    if tables.read_pointer(uri) != pointer:
        tables.write_pointer(uri, pointer)
    return int(tables.live_version(table) or table.version)


def _cover(table: Any) -> None:
    """Let the full-text index cover every row."""
    from lancedb.index import FTS

    if not table.count_rows():
        return
    if any(list(index.columns) == [FTS_COLUMN] for index in table.list_indices()):
        table.optimize(cleanup_older_than=timedelta(days=3650))
    else:
        table.create_index(FTS_COLUMN, config=FTS(language=LANGUAGE, with_position=False))


def _tag(table: Any) -> None:
    """Move `live` to the newest version."""
    current = tables.live_version(table)
    table.checkout_latest()
    if current is None:
        table.tags.create(tables.LIVE, table.version)
    elif current != table.version:
        table.tags.update(tables.LIVE, table.version)


def _restore(table: Any, version: int | None) -> None:
    """Make the published rows the newest again. Without published rows there is nothing to return to."""
    if version is None:
        return
    with suppress(Exception):  # the error to be told is the one before; the next sync compares with what it finds
        table.checkout(version)
        table.restore()
        _tag(table)


def _guard(database: Any, pointer: dict[str, Any] | None, chunks: Iterable[Chunk], max_removed_share: float) -> None:
    """Refuse, before anything is written, to lose a larger share of the published notes than is allowed.

    A note counts as lost when no chunk of it remains under its path or, renamed, with its text.
    """
    table = tables.open_table(database, pointer["table"]) if pointer else None
    version = tables.live_version(table) if table is not None else None
    if table is None or version is None:
        return
    table.checkout(version)
    old: dict[str, set[str]] = defaultdict(set)
    for row in table.search().select(["path", "text"]).to_arrow().to_pylist():
        old[row["path"]].add(hashlib.sha256(row["text"].encode()).hexdigest())
    chunks = list(chunks)
    paths = {path for chunk in chunks for path in chunk.paths}
    texts = {hashlib.sha256(chunk.text.encode()).hexdigest() for chunk in chunks}
    lost = sorted(path for path, marks in old.items() if path not in paths and not marks & texts)
    if len(old) >= _SMALL and len(lost) > max_removed_share * len(old):
        raise TerminalError(
            f"{len(lost)} of {len(old)} published notes would vanish from the index ({lost[0]}, ...), more than "
            f"index.max_removed_share = {max_removed_share:g} allows; nothing was changed. Check sncp.root and its "
            "globs, or raise index.max_removed_share"
        )


class _Clock:
    """Seconds of each stage."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._at = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name] = round(now - self._at, 4)
        self._at = now
