"""The vectors of a version of a table in memory: the nearest rows, exactly, without asking LanceDB.

LanceDB compares every row as well, and reads and decodes them for each question. The table stays the truth: this is
read from one version of it and thrown away with it. Not covered: a table that is larger than `MOST_BYTES`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["MOST_BYTES", "Vectors"]

MOST_BYTES = 100_000_000
"""Of vectors that are kept in memory: 65,000 of 384 dimensions."""
_ROUNDING = 1e-5
"""More than a cosine of 32 bits may be wrong by."""
_NOT_NEAR = -2.0


@dataclass(frozen=True)
class Vectors:
    """`row_ids` (n) and `vectors` (n, dimensions) of rows, and the vectors' `lengths` (n)."""

    row_ids: NDArray[np.uint64]
    vectors: NDArray[np.float32]
    lengths: NDArray[np.float32]

    @classmethod
    async def read(cls, table: Any, *, dimensions: int) -> Vectors | None:
        """Of all rows of a LanceDB table (of its asynchronous kind); none: they would take more than `MOST_BYTES`."""
        import numpy as np

        rows = await table.count_rows()
        if 4 * rows * dimensions > MOST_BYTES:
            return None
        row_ids, vectors, at = np.empty(rows, np.uint64), np.empty((rows, dimensions), np.float32), 0
        async for batch in await table.query().select(["vector"]).with_row_id().to_batches():
            end = at + batch.num_rows
            row_ids[at:end] = batch.column("_rowid").to_numpy()
            vectors[at:end] = batch.column("vector").flatten().to_numpy().reshape(-1, dimensions)
            at = end
        return cls(row_ids[:at], vectors[:at], np.sqrt(np.vecdot(vectors[:at], vectors[:at])))

    def nearest(self, vector: NDArray[np.float32], *, limit: int) -> dict[int, float]:
        """Row id -> cosine of the nearest rows, nearest first; of equally near ones the first rows, as LanceDB does.

        A row whose cosine is no number (a vector of zeros) is none of them.
        """
        import numpy as np

        asked = np.asarray(vector, np.float32)
        with np.errstate(divide="ignore", invalid="ignore"):
            asked = asked / np.sqrt(np.vecdot(asked, asked))
            # One thread: those of a matrix product spin while they wait for each other, and keep others from work.
            near = np.vecdot(self.vectors, asked) / self.lengths
        near = np.where(np.isfinite(near), near, _NOT_NEAR)
        least = np.partition(near, -limit)[-limit] if limit < len(near) else -1.0
        rows = np.flatnonzero(near >= max(least, -1.0) - _ROUNDING)
        # Again with twice the digits: equal texts are equally near, in whatever order their numbers are added.
        exact = self.vectors[rows].astype(np.float64)
        lengths = np.sqrt(np.vecdot(exact, exact) * np.vecdot(asked, asked, dtype=np.float64))
        cosines = (np.vecdot(exact, asked.astype(np.float64)) / lengths).astype(np.float32)
        best = np.lexsort((self.row_ids[rows], -cosines))[:limit]
        return dict(zip(self.row_ids[rows[best]].tolist(), cosines[best].tolist(), strict=True))
