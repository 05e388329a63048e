"""How a run looks in a terminal: one line a step, with its progress while it works."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from components.store import Pace, logger, progress_logger

__all__ = ["told_in_terminal"]

SIGNS = {"done": "✓", "skipped": "=", "failed": "✗"}


class StepLines(logging.Handler):
    """Writes steps to stderr: redrawn in place on a terminal, a line every ten seconds elsewhere."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.live = sys.stderr.isatty()
        self.last = 0.0
        self.paces: dict[str, Pace] = {}
        self.drawn = False
        """Whether a line stands there that is to be drawn over."""

    def emit(self, record: logging.LogRecord) -> None:
        """Draw one record."""
        step, event = getattr(record, "step", None), getattr(record, "event", None)
        if event == "begin" and step:
            self.paces.pop(step, None)
            self.last = time.monotonic()
            if self.live:
                self.write(f"… {step}")
        elif event in SIGNS:
            told = f"  {text}" if (text := getattr(record, "told", "")) else ""
            self.write(f"{SIGNS[event]} {step:<20} {event:<8} {getattr(record, 'seconds', 0):7.1f} s{told}", end="\n")
        elif step and hasattr(record, "done"):
            self.progress(step, int(record.done), int(getattr(record, "total", 0)), str(getattr(record, "told", "")))
        elif record.levelno >= logging.INFO:
            self.write(record.getMessage(), end="\n")

    def progress(self, step: str, done: int, total: int, told: str = "") -> None:
        """Draw how far a step is, and what it tells of itself, or how fast it goes and how long it will take."""
        pace = self.paces.setdefault(step, Pace(done))
        now = time.monotonic()
        if now - self.last < (0.2 if self.live else 10):
            return
        self.last = now
        told = told or pace.words(done, total)
        self.write(f"… {step:<20} {done} of {total}" + (f", {told}" if told else ""))

    def write(self, text: str, *, end: str = "") -> None:
        """Replace the line that is drawn, or print one."""
        sys.stderr.write(f"\r\x1b[K{text}{end}" if self.live else f"{text}\n")
        sys.stderr.flush()
        self.drawn = self.live and not end

    def clear(self) -> None:
        """Take away the line that is drawn, so that what is printed next begins at the left."""
        if self.drawn:
            self.write("")
            self.drawn = False


@contextmanager
def told_in_terminal() -> Iterator[None]:
    """Show the steps of what runs inside on stderr (stdout is for results)."""
    handler = StepLines()
    level, propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    progress_logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        handler.clear()
        logger.removeHandler(handler)
        progress_logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate
