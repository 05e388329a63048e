"""The rows of one version of a table, opened once and searched by many threads.

What is made of them stays in memory: their vectors (`vectors.MOST_BYTES` at most) and the passages found last
(`passages.KEPT`). A version never changes, so none of it grows old: another publication is another snapshot.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Collection, Coroutine
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.index.chunk import Chunk
from components.index.passages import Passage, Passages
from components.index.rows import FTS_COLUMN, chunk_columns
from components.index.vectors import Vectors
from components.llm.machine import usable_cpus

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Snapshot"]


class Snapshot:
    """A table at the version that it is at when this is made.

    Args:
        uri: folder of the tables.
        table: checked out, or at its newest version; it is read, and moved by nobody any more.

    Attributes:
        uri: as it was given.
        table: as it was given.
        version: of it.
        digest: of its rows, once somebody has told it.
        turns: one for each processor, for work in this process. Searches that begin together would else only interrupt
            each other, and all end as late as the last.
    """

    def __init__(self, uri: Path, table: Any) -> None:
        self.uri, self.table, self.version = uri, table, int(table.version)
        self.digest: str | None = None
        self.turns = threading.BoundedSemaphore(usable_cpus())
        self._rows, self._has_text = _run(_open(uri, str(table.name), self.version))
        self._lock = threading.Lock()
        self._asked = False
        self._vectors: Vectors | None = None
        self._passages = Passages(partial(_read, self._rows))  # no method: who is let go is out of memory at once

    def full_text(self, words: str, *, where: Any | None, limit: int) -> Callable[[], dict[int, float]]:
        """Row id -> BM25 score of the best matches of some words, best first, from what is returned.

        LanceDB's own threads begin at once; what is returned waits for them. Not called, they end by themselves.
        `where`: a LanceDB expression that all must hold; None: any.
        """
        from lancedb.query import MatchQuery

        if not words or not self._has_text:
            return dict
        query = self._rows.query().nearest_to_text(MatchQuery(words, FTS_COLUMN))
        return self._begin(query, where, limit, "_score")

    def nearest(self, vector: NDArray[np.float32], *, where: Any | None, limit: int) -> dict[int, float]:
        """Row id -> cosine of the nearest rows, nearest first; every row is compared. `where`: see `full_text`."""
        if where is None and (vectors := self._in_memory(len(vector))) is not None:
            return vectors.nearest(vector, limit=limit)
        query = self._rows.query().nearest_to(vector).column("vector").distance_type("cosine").bypass_vector_index()
        found = self._begin(query, where, limit, "_distance")()
        return {key: 1.0 - value for key, value in found.items()}

    def passages(self, row_ids: Collection[int]) -> dict[int, Passage]:
        """What stands in these rows, by row id."""
        return self._passages.of(row_ids)

    def _begin(self, query: Any, where: Any | None, limit: int, value: str) -> Callable[[], dict[int, float]]:
        from lancedb.background_loop import LOOP

        if where is not None:
            query = query.where(where)
        work = query.select([value]).with_row_id().limit(limit).to_arrow()
        begun = asyncio.run_coroutine_threadsafe(work, LOOP.loop)

        def found() -> dict[int, float]:
            try:
                rows = begun.result()
            except BaseException:
                begun.cancel()
                raise
            return dict(zip(rows["_rowid"].to_pylist(), rows[value].to_pylist(), strict=True))

        return found

    def _in_memory(self, dimensions: int) -> Vectors | None:
        """The vectors, read by the first who asks; none: there are too many."""
        with self._lock:
            if not self._asked:
                self._vectors = _run(Vectors.read(self._rows, dimensions=dimensions))
                self._asked = True
            return self._vectors


def _read(table: Any, row_ids: Collection[int]) -> dict[int, Chunk]:
    query = table.take_row_ids(list(row_ids)).select(list(chunk_columns())).with_row_id()
    found = _run(query.to_arrow()).to_pylist()
    return {row.pop("_rowid"): Chunk.from_dict(row) for row in found}


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    """Wait for it; LanceDB's own thread works meanwhile, for as many threads as ask."""
    from lancedb.background_loop import LOOP

    return LOOP.run(work)


async def _open(uri: Path, name: str, version: int) -> tuple[Any, bool]:
    """The table for questions, and whether it has a full-text index.

    Its methods that wait for nothing make one way to LanceDB and back of a question, where those of the other kind
    make four.
    """
    from components.index.lance import lancedb

    table = await (await lancedb().connect_async(str(uri))).open_table(name)
    await table.checkout(version)
    return table, any(list(index.columns) == [FTS_COLUMN] for index in await table.list_indices())
