"""Lets Python look for garbage more seldom while many objects are made that all stay."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["seldom_collecting"]

_THRESHOLDS = (50_000, 20, 100)


@contextmanager
def seldom_collecting() -> Iterator[None]:
    """For a block, or as a decorator.

    Documents and chunks have no circles: to look at them all, again and again while they become more, takes a sixth of
    the time of cutting and of comparing 10,000 notes.
    """
    before = gc.get_threshold()
    gc.set_threshold(*_THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)
