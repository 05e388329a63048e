"""Lets Python look for garbage more seldom while many objects are made that all stay."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType

__all__ = ["imported", "seldom_collecting"]

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


def imported(name: str) -> ModuleType:
    """The module `name`, imported now unless it was before.

    What is there then stays for good and is never looked at again: importing makes half a million objects, among which
    Python would look for garbage some three hundred times meanwhile, and later with each whole collection.
    """
    if name in sys.modules:
        return import_module(name)  # whole: another thread may be at it
    collecting = gc.isenabled()
    gc.disable()
    try:
        return import_module(name)
    finally:
        gc.freeze()
        if collecting:
            gc.enable()
