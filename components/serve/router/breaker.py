"""A model that keeps failing is left alone for a while, so that nobody waits for it in vain.

Closed: it is asked. Open: it is not. Half open: one question tries it; if that works it is closed, else open again,
as it is when the try has not come back in its time (a thread may hang for good).
A failure tells nothing where the model answered another one since that was begun: it is busy, not broken.
State after a hard crash: none; after a start every model is asked.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

__all__ = ["Breaker"]


class Breaker:
    """The breaker of one model. Threads may share it.

    Args:
        failures: in a row, after which it opens.
        seconds: that it stays open before one question may try.
        clock: seconds that never go back.
    """

    def __init__(self, *, failures: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._seconds, self._clock = failures, seconds, clock
        self._lock = threading.Lock()
        self._failed = 0
        self._opened: float | None = None
        self._trying: float | None = None  # until when the try that is under way has to come back
        self._worked = 0
        self._turn = 1  # one more with each change: what was asked before it tells nothing of now

    def may_ask(self, *, within: float = math.inf) -> tuple[int, int] | None:
        """Whether to ask it now: None is no, else a mark, which `worked`, `failed` or `gave_up` is given, once.

        `within`: seconds that asking it takes at most. A try of which nothing was heard by then has failed.
        """
        with self._lock:
            self._look()
            if self._opened is not None:
                if self._trying is not None or self._left() > 0:
                    return None
                self._trying = self._clock() + within
                self._turn += 1
            return self._turn, self._worked

    def worked(self, turn: tuple[int, int]) -> None:
        """It answered. Who was asked before it last opened, or was tried, is not listened to; nor below."""
        with self._lock:
            if turn[0] == self._turn:
                self._failed = 0
                self._worked += 1
                if self._trying is not None:
                    self._change(opened=None)

    def failed(self, turn: tuple[int, int]) -> None:
        """It did not answer, by its own fault (time-out, no connection, an error of the server)."""
        with self._lock:
            if turn == (self._turn, self._worked):
                self._failed += 1
                if self._trying is not None or self._failed >= self._most:
                    self._change(opened=self._clock())

    def gave_up(self, turn: tuple[int, int]) -> None:
        """Nobody knows: the client went away, or the question was at fault."""
        with self._lock:
            if turn[0] == self._turn and self._trying is not None:
                self._change(opened=self._opened)

    def _change(self, *, opened: float | None) -> None:
        self._opened, self._trying = opened, None
        self._turn += 1

    def _look(self) -> None:
        """A try that has not come back in its time has failed; what it says later is not listened to."""
        if self._trying is not None and self._clock() > self._trying:
            self._change(opened=self._trying)

    def seconds_left(self) -> float:
        """Until a question may try it; 0 when it may be asked, or is being tried."""
        with self._lock:
            self._look()
            return self._left()

    def state(self) -> str:
        """closed, open or half open, for people and metrics."""
        with self._lock:
            self._look()
            if self._opened is None:
                return "closed"
            return "open" if self._left() > 0 else "half open"

    def _left(self) -> float:
        return 0.0 if self._opened is None else max(0.0, self._opened + self._seconds - self._clock())
