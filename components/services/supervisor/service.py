"""The life of one service: started, watched, ended when it freezes, started again when it has gone, with growing waits.

State after a hard crash of the keeper: the sweeper ends what it left, and the next `up` begins anew.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from typing import Any, Protocol

from components.errors import CervellaError

__all__ = ["Service", "Telling"]

_TICK_SECONDS = 0.3
_LONGEST_WAIT = 60.0
_STEADY_SECONDS = 60.0  # who has lived so long is not taken for one that never comes up


class Telling(Protocol):
    """What a service tells of itself to, from a thread of its own; the keeper's is a `Board`."""

    def note(self, text: str) -> None:
        """Something has happened."""

    def tell(self, name: str, **values: Any) -> None:
        """What is known of a service has changed."""

    def ask(self, name: str) -> dict[str, Any]:
        """What is known of a service."""


class Service(ABC):
    """One service, kept by a thread of its own: `run` returns when `ending` is set and the service has ended."""

    patience = 30.0
    """Seconds without an answer after which a service that was up counts as frozen."""
    start_seconds = 180.0
    """Seconds that it may take to answer for the first time; MLflow's first start makes a database."""
    ask_seconds = 2.0
    """Seconds between two looks at its health."""

    def __init__(self, name: str, board: Telling, ending: threading.Event) -> None:
        self.name = name
        self.board = board
        self.ending = ending
        self.failed_starts = 0  # in a row, in which it never answered
        self.was_up = False  # in this life
        self.kind = ""  # of why it has ended: without what an error says, which may hold paths

    @abstractmethod
    def begin(self) -> None:
        """Start it; may wait. Raises CervellaError or OSError when it cannot be started."""

    @abstractmethod
    def gone(self) -> str | None:
        """Why it is not there any more, in words; None: it is."""

    @abstractmethod
    def fault(self) -> str | None:
        """Why it does not answer, in words; None: it does."""

    def counts(self, seconds: float) -> float:
        """How much of the time without an answer is silence; less where it works meanwhile."""
        return seconds

    @abstractmethod
    def end(self) -> None:
        """End it, and whatever it has started; waits until they are gone."""

    def run(self) -> None:
        """Keep it until `ending` is set."""
        failures = 0
        while not self.ending.is_set():
            self.board.tell(self.name, state="starting")
            began = time.monotonic()
            why = self._live()
            self.end()
            if self.ending.is_set():
                break
            failures = 1 if time.monotonic() - began > self.start_seconds + _STEADY_SECONDS else failures + 1
            wait = min(2.0 ** (failures - 1), _LONGEST_WAIT)
            self.failed_starts = 0 if self.was_up else self.failed_starts + 1
            self.board.tell(
                self.name, state="down", fault=why, kind=self.kind, pid=None, started=None,
                failed_starts=self.failed_starts,
            )  # fmt: skip
            self.board.note(f"{self.name}: {why}; started again in {wait:.0f} s")
            self.ending.wait(wait)
        self.board.tell(self.name, state="ended", pid=None, started=None)

    def _live(self) -> str:
        """From start to end; returns why it ended, and leaves the kind of that in `kind`."""
        self.was_up = False
        try:
            self.begin()
        except (CervellaError, OSError) as error:
            self.kind = f"it cannot be started ({type(error).__name__}, see the log)"
            return str(error)
        silent, asked, before = 0.0, 0.0, time.monotonic()
        fault: str | None = "it has not been asked yet"
        while not self.ending.wait(_TICK_SECONDS):
            if why := self.gone():
                self.kind = why
                return why
            now = time.monotonic()
            if now - asked < (self.ask_seconds if self.was_up else _TICK_SECONDS * 3):
                continue
            fault, asked = self.fault(), time.monotonic()
            # Capped: a machine that slept for a night has asked once in that time, not for hours.
            passed, before = min(time.monotonic() - before, self.patience / 3), time.monotonic()
            silent = silent + self.counts(passed) if fault else 0.0
            if not fault and not self.was_up:
                self.was_up = True
                self.board.tell(self.name, state="up", fault=None, failed_starts=0)
                self.board.note(f"{self.name}: up at {self.board.ask(self.name).get('url') or 'work'}")
            if silent > (self.patience if self.was_up else self.start_seconds):
                self.kind = f"no answer for {silent:.0f} s"
                return f"{self.kind} ({fault})"
        return "ended"
