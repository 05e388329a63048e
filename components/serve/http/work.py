"""A question in a thread of its own: whoever answers blocks there, and its pieces come to the event loop.

One thread begins and ends a desk's stream. A thread cannot be killed, so it is told: once nobody waits any more (the
time is up, the client is gone) it stops at the next piece, closes the stream, and only then gives its slot back. A
partner's stream gives an empty piece twice a second while its model has nothing to show, so that is soon. What blocks
longer (a search, a desk without beats) keeps its slot until it comes back: threads that nobody waits for are at most
as many as there are slots, and the next requests wait or are refused.

Who has the whole answer waits for its row in the usage log too, so that feedback finds it; not once the time is up.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass

from components.errors import CervellaError, TransientError
from components.serve.desk import Desk, Served, Wanted
from components.serve.http.errors import http_error
from components.store import logger

__all__ = ["Ended", "Work"]

Piece = str | Served | BaseException | None
"""Text, the whole answer after it, or an error; None: that was all."""


@dataclass(frozen=True)
class Ended:
    """A question that is done with, for the usage log and the metrics.

    Attributes:
        wanted: the question.
        served: the answer; None: there is no whole one.
        fault: why there is none: kind of the error, `TimedOut` or `ClientGone`; None: there is one.
        seconds: from the request to the end of the answer.
        first_seconds: to its first piece; None: there was none, or nobody saw it before the end.
    """

    wanted: Wanted
    served: Served | None
    fault: str | None
    seconds: float
    first_seconds: float | None


class Work:
    """A question that is being answered.

    Args:
        desk: whoever answers.
        wanted: the question.
        begun: when its request came (`time.perf_counter()`).
        held: entered around the answer; what it raises is a TransientError.
        ended: called in the thread, once, when all is done.
        free: called in the loop after that, once; the slot is free again.
    """

    def __init__(
        self, desk: Desk, wanted: Wanted, *, begun: float, held: Callable[[], AbstractContextManager[object]],
        ended: Callable[[Ended], None], free: Callable[[], None],
    ) -> None:  # fmt: skip
        self.wanted = wanted
        self._desk, self._begun, self._held, self._ended, self._free = desk, begun, held, ended, free
        self._loop = asyncio.get_running_loop()
        self._pieces: asyncio.Queue[Piece] = asyncio.Queue()
        self._lock = threading.Lock()  # one of them is first: the whole answer, or that nobody waits any more
        self._why: str | None = None
        self._complete = False
        self._first: float | None = None
        self._thread = threading.Thread(target=self._work, name=f"answer {wanted.id}", daemon=True)

    @property
    def first_seconds(self) -> float | None:
        """From the request to the first piece that was shown; None: there was none yet."""
        return self._first

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def join(self, seconds: float) -> None:
        """Wait for its end, so long at most; of one that was stopped that is soon, see above."""
        self._thread.join(max(seconds, 0.0))

    async def next(self) -> str | Served | None:
        """The next piece, of a whole answer there is none; then `Served`, then None.

        Raises HttpError for what the desk raises.
        """
        piece = await self._pieces.get()
        if isinstance(piece, BaseException):
            raise piece
        return piece

    def stop(self, why: str, error: BaseException | None = None) -> None:
        """Nobody waits any more. Of an answer that was handed over whole: not for its row in the usage log either.

        Args:
            why: TimedOut, ClientGone or ServerEnds.
            error: what `next` raises after the pieces that are there; None: nobody calls it again.
        """
        with self._lock:
            if self._complete:
                self._hand(None)
                return
            self._why = self._why or why
            if error:
                self._hand(error)

    def _work(self) -> None:
        served: Served | None = None
        fault: str | None = None
        try:
            with ExitStack() as held:  # also while it is recorded: what is forgotten meanwhile would come back
                try:
                    self._enter(held)
                    served = self._answered()
                    fault = None if served else self._why
                except BaseException as error:
                    fault = self._why or type(error).__name__
                    self._tell(error)
                    self._hand(http_error(error, id=self.wanted.id))
                seconds = time.perf_counter() - self._begun
                try:
                    self._ended(Ended(self.wanted, served, fault, seconds, self._first))
                except Exception:  # what counts an answer never takes it away
                    logger.exception("%s could not be recorded", self.wanted.id)
        finally:
            self._hand(None)
            self._call(self._free)

    def _enter(self, held: ExitStack) -> None:
        try:
            held.enter_context(self._held())
        except CervellaError as error:  # the workspace is being cleaned: that passes
            raise TransientError(str(error)) from error

    def _answered(self) -> Served | None:
        """Hand the pieces over; None: it was stopped."""
        served: Served | None = None
        stream: Iterator[str | Served] = self._desk.stream(self.wanted)
        try:
            for piece in stream:
                with self._lock:
                    if self._why is not None:
                        return None
                    if isinstance(piece, Served):
                        served, self._complete = piece, True
                    elif not piece or self.wanted.whole:
                        continue  # a beat: the model has nothing to show yet; or nobody looks before the end
                    elif self._first is None:
                        self._first = time.perf_counter() - self._begun
                    self._hand(piece)
        finally:
            if close := getattr(stream, "close", None):
                close()
        if served is None:
            raise RuntimeError("a desk's stream ended without Served")
        return served

    def _tell(self, error: BaseException) -> None:
        if isinstance(error, CervellaError):
            logger.warning("%s: %s: %s", self.wanted.id, type(error).__name__, error)
        else:
            logger.error("%s: no answer", self.wanted.id, exc_info=error)

    def _hand(self, piece: Piece) -> None:
        self._call(self._pieces.put_nowait, piece)

    def _call(self, what: Callable[..., object], *arguments: object) -> None:
        with suppress(RuntimeError):  # the loop has ended, and with it whoever waited
            self._loop.call_soon_threadsafe(what, *arguments)
