"""A model that keeps failing is left alone for a while, so that nobody waits for it in vain.

Closed: it is asked. Open: it is not. Half open: one question tries it; if that works it is closed, else open again.
State after a hard crash: none; after a start every model is asked.
"""

from __future__ import annotations

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
        self._trying = False

    def may_ask(self) -> bool:
        """Whether to ask it now. A yes has to be answered by `worked`, `failed` or `gave_up`, once."""
        with self._lock:
            if self._opened is None:
                return True
            if self._trying or self._left() > 0:
                return False
            self._trying = True
            return True

    def worked(self) -> None:
        """It answered."""
        with self._lock:
            self._failed, self._opened, self._trying = 0, None, False

    def failed(self) -> None:
        """It did not answer, by its own fault (time-out, no connection, an error of the server)."""
        with self._lock:
            self._failed += 1
            # What was asked before it opened may fail long after: that does not keep it open for longer.
            if self._trying or (self._opened is None and self._failed >= self._most):
                self._opened = self._clock()
            self._trying = False

    def gave_up(self) -> None:
        """Nobody knows: the client went away, or the question was at fault."""
        with self._lock:
            self._trying = False

    def seconds_left(self) -> float:
        """Until a question may try it; 0 when it may be asked, or is being tried."""
        with self._lock:
            return self._left()

    def state(self) -> str:
        """closed, open or half open, for people and metrics."""
        with self._lock:
            if self._opened is None:
                return "closed"
            return "open" if self._left() > 0 else "half open"

    def _left(self) -> float:
        return 0.0 if self._opened is None else max(0.0, self._opened + self._seconds - self._clock())
