"""Rows of answers, each paid for once: those that are in the log are taken from it, the others are asked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from components.errors import TerminalError
from components.evaluate.asking.paid import PaidLog
from components.llm.at_once import ask_at_once

if TYPE_CHECKING:
    from components.index import Index
    from components.store import Artefact, Run, Step

__all__ = ["IndexMovedError", "Turn", "ask_once", "open_log", "write_rows"]

Item = TypeVar("Item")
_MOVED = "the published index was changed by another run meanwhile; run this one again"


class IndexMovedError(TerminalError):
    """Another run published another index: what is found in it is no answer of this step."""


class Turn:
    """A lock for searches, one at a time, that lets none pass which was made in another index.

    Raises:
        IndexMovedError: when it is made or left, and something else is published than `built` says.
    """

    def __init__(self, index: Index, built: Artefact) -> None:
        """`built`: the `index.build` that is searched."""
        self._index = index
        self._lock = threading.Lock()
        self._rows = index.published_rows()
        self._digest = built.read_json("index.json")["digest"]
        self.check_digest()

    def check_digest(self) -> None:
        """Compare all published rows, not only the version of their table."""
        if self._index.live_digest() != self._digest:
            raise IndexMovedError(_MOVED)

    def __enter__(self) -> Turn:
        self._lock.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            # While they are the same now, they were the same when they were searched.
            if error is None and self._index.published_rows() is not self._rows:
                raise IndexMovedError(_MOVED)
        finally:
            self._lock.release()


def ask_once(
    items: Sequence[Item], ask: Callable[[Item], dict[str, Any]], *, key: Callable[[Item], str], log: PaidLog,
    at_once: int, progress: Callable[[int, int], None],
) -> Generator[dict[str, Any]]:  # fmt: skip
    """A row for each item, in their order; see `ask_at_once`.

    A row whose `error` is None is in the log before another item is begun in its place; a row with an error is in no
    log, and is asked again by the next run. `key`: unique among the items.
    """

    def once(item: Item) -> dict[str, Any]:
        name = key(item)
        row = log.get(name)
        if row is None:
            row = ask(item)
            if row["error"] is None:
                log.put(name, row)
        return row

    with closing(ask_at_once(items, once, at_once=at_once, progress=progress)) as rows:
        yield from rows


def open_log(
    step: Step, run: Run, *, before: Artefact | None, output: str, key: Callable[[Mapping[str, Any]], str]
) -> PaidLog:
    """The log of paid replies of a step at work.

    Args:
        step: not sealed yet.
        run: that it is a step of.
        before: an artefact of this very step in which rows failed: its other rows are taken over, unless the user
            forces the step. None: there is none.
        output: its rows.
        key: of a row, as `ask_once` has it.
    """
    log = PaidLog(step.scratch / "paid.jsonl")
    if before is not None and step.spec.name not in run.read().get("force", []):
        for row in before.read_jsonl(output):
            name = key(row)
            if row["error"] is None and log.get(name) is None:
                log.put(name, row)
    return log


def write_rows(step: Step, output: str, rows: Generator[dict[str, Any]]) -> int:
    """Write rows as they come, and end them whatever happens. Returns how many have an error."""
    failed = 0

    def counted() -> Iterator[dict[str, Any]]:
        nonlocal failed
        for row in rows:
            failed += row["error"] is not None
            yield row

    with closing(rows):
        step.write_jsonl(output, counted())
    return failed
