"""A line of the log that anybody can cause is written once in a while, and the next one says how many were left out.

State after a hard crash: none; what was left out since the last line of its kind is told by nobody.
**Not covered**: kinds that differ in every line; only the first of them are told apart, all others share one turn.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

__all__ = ["Seldom"]

_KINDS = 50  # that are told apart


class Seldom(logging.Filter):
    """Lets one record of a kind through in so many seconds. A kind: logger, level and text without its arguments.

    Args:
        seconds: between two of a kind.
        clock: seconds that never go back.
    """

    def __init__(self, *, seconds: float = 60.0, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._seconds, self._clock = seconds, clock
        self._lock = threading.Lock()
        self._last: dict[tuple[str, int, str] | None, float] = {}
        self._left_out: dict[tuple[str, int, str] | None, int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it is written; then with how many like it were not."""
        kind: tuple[str, int, str] | None = (record.name, record.levelno, str(record.msg))
        with self._lock:
            if kind not in self._last and len(self._last) >= _KINDS:
                kind = None
            last, now = self._last.get(kind), self._clock()
            if last is not None and now - last < self._seconds:
                self._left_out[kind] = self._left_out.get(kind, 0) + 1
                return False
            self._last[kind] = now
            left_out = self._left_out.pop(kind, 0)
        if left_out:
            more = f" (and {left_out} more like it since the last line of this kind)"
            record.msg, record.args = record.getMessage() + more, ()
        return True
