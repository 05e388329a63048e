"""Waiting for what another process or thread does."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["soon"]


def soon(condition: Callable[[], object], seconds: float = 60.0, *, every: float = 0.05) -> bool:
    """Whether it becomes true within so many seconds; to wait longer than it takes costs nothing."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(every)
    return True
