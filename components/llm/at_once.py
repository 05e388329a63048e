"""Several questions under way at a time, answers in the order of the questions, in bounded memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence
from contextvars import copy_context
from typing import TYPE_CHECKING, Generic, TypeVar

from components.store import logger

if TYPE_CHECKING:
    from components.llm.chat import Chat

__all__ = ["ask_at_once", "most_at_once"]

Item = TypeVar("Item")
Result = TypeVar("Result")


def most_at_once(chat: Chat, at_once: int) -> int:
    """How many questions `chat` is asked at a time: one for each worker of a Ray cluster that it has.

    Without, a model of this process answers one after the other. Raises TerminalError: the cluster cannot be opened.
    """
    workers = getattr(chat, "workers", None)  # a chat that wraps another need not have it
    if workers is not None:
        return int(workers.count)
    return 1 if chat.model.startswith("local/") else at_once


def ask_at_once(
    items: Sequence[Item], ask: Callable[[Item], Result], *, at_once: int, progress: Callable[[int, int], None]
) -> Generator[Result]:
    """What `ask` returns for each item, in their order; at most `at_once` are under way.

    No more than `2 * at_once` results are kept for their turn: a slow first item holds the others back. With
    `at_once` 1 the caller's own thread asks, so Ctrl-C reaches the call itself; otherwise threads do, each with a copy
    of the caller's context variables. `progress` is called in the caller's thread, with (done, all).

    When the caller is interrupted or closes the iterator, or `ask` raises, no further item is begun, and those under
    way are waited for, so that what they cost is not lost; a second Ctrl-C leaves them. Close the iterator
    (`contextlib.closing`) where the loop around it may end early.

    Raises:
        whatever `ask` raises, in the order of the items: results before it are returned first.
    """
    if at_once < 2 or len(items) < 2:
        for done, item in enumerate(items, start=1):
            result = ask(item)
            progress(done, len(items))
            yield result
        return
    window = _Window(items, ask, at_once)
    try:
        window.begin(min(at_once, len(items)))
        for number in range(len(items)):
            yield window.take(number, progress)
    finally:
        window.end()


class _Window(Generic[Item, Result]):
    """The items under way and the results that wait for their turn."""

    def __init__(self, items: Sequence[Item], ask: Callable[[Item], Result], at_once: int) -> None:
        self._items = items
        self._ask = ask
        self._room = 2 * at_once
        self._changed = threading.Condition()
        self._results: dict[int, Result] = {}
        self._errors: dict[int, BaseException] = {}
        self._begun = self._done = self._taken = self._told = 0
        self._stopped = False

    def begin(self, threads: int) -> None:
        for number in range(threads):
            # Daemons: whoever leaves them (see `end`) shall not meet them again at the end of the program.
            threading.Thread(
                target=copy_context().run, args=(self._work,), name=f"asking {number + 1}", daemon=True
            ).start()

    def take(self, number: int, progress: Callable[[int, int], None]) -> Result:
        """The result of an item, once it is there; tells progress meanwhile."""
        while True:
            with self._changed:
                self._changed.wait_for(
                    lambda: self._done > self._told or number in self._results or number in self._errors
                )
                done = self._done
                here = done == self._told
                if here and number in self._errors:
                    raise self._errors[number]
                if here:
                    self._taken += 1
                    self._changed.notify_all()
                    return self._results.pop(number)
            self._told = done
            progress(done, len(self._items))

    def end(self) -> None:
        """Begin nothing more, and wait for what is under way."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
            under_way = self._begun - self._done
            if under_way:
                logger.info("waiting for the %d that are under way; Ctrl-C leaves them", under_way)
                self._changed.wait_for(lambda: self._begun == self._done)

    def _next(self) -> int | None:
        with self._changed:
            self._changed.wait_for(
                lambda: self._stopped or self._begun == len(self._items) or self._begun < self._taken + self._room
            )
            if self._stopped or self._begun == len(self._items):
                return None
            self._begun += 1
            return self._begun - 1

    def _work(self) -> None:
        while (number := self._next()) is not None:
            error: BaseException | None = None
            try:
                result = self._ask(self._items[number])
            except BaseException as raised:  # it is the caller's to see
                error = raised
            with self._changed:
                if error is None:
                    self._results[number] = result
                else:
                    self._errors[number] = error
                    self._stopped = True
                self._done += 1
                self._changed.notify_all()
