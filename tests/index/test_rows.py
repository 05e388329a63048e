"""Rows on their way into a table: made as they are read, and all of them or none are there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from components.index import commits, table
from components.index.chunk import Chunk
from components.index.rows import chunk_line, row_of, to_arrow
from tests.index.support import cut, note

DIMENSIONS = 4


@pytest.fixture(scope="module")
def chunks() -> list[Chunk]:
    text = "\n\n".join(f"## Sezione {number}\n\nRiga numero {number} del quaderno.\n" for number in range(2500))
    return cut(note("a.md", f"# Quaderno\n\n{text}"))


def rows_of(chunks: list[Chunk]) -> pa.RecordBatchReader:
    hashes = {chunk.chunk_id: row_of(chunk, chunk_line(chunk))[1] for chunk in chunks}
    vectors = np.arange(len(chunks) * DIMENSIONS, dtype=np.float32).reshape(-1, DIMENSIONS) + 1
    return to_arrow(chunks, hashes=hashes, vectors=vectors, dimensions=DIMENSIONS)


def new_table(folder: Path) -> Any:
    return table.ensure_table(table.connect(folder), folder, table.Generation("e", DIMENSIONS))


def test_rows_are_made_a_batch_at_a_time(chunks: list[Chunk]) -> None:
    assert len(chunks) > 2000
    taken: list[slice] = []

    class Watched(list[Chunk]):
        def __getitem__(self, key: Any) -> Any:
            taken.append(key)
            return super().__getitem__(key)

    reader = rows_of(Watched(chunks))
    assert not taken
    first = reader.read_next_batch()
    assert first.num_rows == 1000
    assert len(taken) == 1
    rest = reader.read_all()
    assert first.num_rows + rest.num_rows == len(chunks)
    assert [*first["chunk_id"].to_pylist(), *rest["chunk_id"].to_pylist()] == [chunk.chunk_id for chunk in chunks]
    assert rest["vector"].to_pylist()[-1] == [len(chunks) * DIMENSIONS - 3 + at for at in range(DIMENSIONS)]


def test_the_first_rows_are_one_commit_and_later_ones_are_merged(tmp_path: Path, chunks: list[Chunk]) -> None:
    made = new_table(tmp_path)
    before = made.version
    commits.merge(made, rows_of(chunks), [])
    assert (made.version, made.count_rows()) == (before + 1, len(chunks))
    commits.merge(made, rows_of(chunks[:10]), [])  # the same rows again are not there twice
    assert made.count_rows() == len(chunks)


def test_rows_that_fail_half_way_leave_nothing(tmp_path: Path, chunks: list[Chunk]) -> None:
    made = new_table(tmp_path)
    before = made.version
    whole = rows_of(chunks)

    def fails() -> Iterator[pa.RecordBatch]:
        yield whole.read_next_batch()
        raise OSError("No space left on device")

    with pytest.raises(Exception, match="No space left"):
        commits.merge(made, pa.RecordBatchReader.from_batches(whole.schema, fails()), [])
    made.checkout_latest()
    assert (made.version, made.count_rows()) == (before, 0)
