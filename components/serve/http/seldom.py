"""A line of the log that anybody can cause is written once in a while, and the next one says how many were left out.

State after a hard crash: none; what was left out since the last line of its kind is told by nobody.
**Not covered**: more kinds in one interval than are told apart, all others share one turn; what was left out of a kind
whose place another one took.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable
from types import TracebackType

__all__ = ["Seldom"]

_KINDS = 50  # that are told apart
_OF_ONE = re.compile(r"<.*>|'[^']*'|\"[^\"]*\"|0x[0-9a-fA-F]+|\d+")  # a repr, a value, an address, a number
_Kind = tuple[str, int, str, str]


class Seldom(logging.Filter):
    """Lets one record of a kind through in so many seconds.

    A kind: logger, level, first line of the text without its arguments and the reprs in it, and where there is an
    exception its type and where it was raised.

    Args:
        seconds: between two of a kind; a kind that was not written for so long gives its place to another one.
        clock: seconds that never go back.
    """

    def __init__(self, *, seconds: float = 60.0, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._seconds, self._clock = seconds, clock
        self._lock = threading.Lock()
        self._last: dict[_Kind | None, float] = {}
        self._left_out: dict[_Kind | None, int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it is written; then with how many like it were not."""
        kind: _Kind | None = _kind_of(record)
        with self._lock:
            now = self._clock()
            if kind not in self._last and not self._has_room(now):
                kind = None
            last = self._last.get(kind)
            if last is not None and now - last < self._seconds:
                self._left_out[kind] = self._left_out.get(kind, 0) + 1
                return False
            self._last[kind] = now
            left_out = self._left_out.pop(kind, 0)
        if left_out:
            record.msg = f"{record.msg} (and {left_out} more like it since the last line of this kind)"
        return True

    def _has_room(self, now: float) -> bool:
        """Whether one more kind can be told apart; one whose time is over makes room, best one with nothing to tell."""
        if len(self._last) - (None in self._last) < _KINDS:
            return True
        over = [kind for kind, last in self._last.items() if kind is not None and now - last >= self._seconds]
        if not over:
            return False
        gone = min(over, key=lambda kind: (kind in self._left_out, self._last[kind]))
        del self._last[gone]
        self._left_out.pop(gone, None)
        return True


def _kind_of(record: logging.LogRecord) -> _Kind:
    first = str(record.msg).partition("\n")[0]
    error = record.exc_info[1] if record.exc_info else None
    return record.name, record.levelno, _OF_ONE.sub("*", first[:500]), _fault_of(error) if error else ""


def _fault_of(error: BaseException) -> str:
    """Its type and where it was raised; of a group, those of its first one: a group is always raised in one place."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    last: TracebackType | None = error.__traceback__
    while last and last.tb_next:
        last = last.tb_next
    where = f"{last.tb_frame.f_code.co_filename}:{last.tb_lineno}" if last else ""
    return f"{type(error).__module__}.{type(error).__qualname__} {where}"
