"""The workers of a run: what its tasks, which know the run alone, embed and ask with.

Kept for the life of a `with` block, in this process: a run that died has none.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from components.llm.spread.workers import Workers
from components.store import Run

__all__ = ["lend_workers", "workers_of"]

_lent: dict[Path, Workers] = {}


def workers_of(run: Run) -> Workers | None:
    """The workers that `run` was lent; None: it does its work in this process."""
    return _lent.get(run.folder.absolute())


@contextmanager
def lend_workers(run: Run, workers: Workers | None) -> Iterator[None]:
    """For the block, `run` has `workers`; None: it has none."""
    if workers is None:
        yield
        return
    _lent[run.folder.absolute()] = workers
    try:
        yield
    finally:
        _lent.pop(run.folder.absolute(), None)
