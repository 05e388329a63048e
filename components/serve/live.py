"""What is in service, followed while questions are answered: the next is opened beside, then takes over.

State after a hard crash: none of its own; it is read anew from the champion's record and the published index.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from components.errors import CervellaError, TerminalError
from components.serve.desk import NotInServiceError, Opened
from components.store import logger

__all__ = ["InService"]

_AGAIN_SECONDS = 600.0  # what could not be opened may be possible by then: memory, a disk that was away


class _Lease:
    """One `Opened` and how many requests use it."""

    def __init__(self, opened: Opened, mark: str) -> None:
        self.opened, self.mark = opened, mark
        self.users = 0
        self.retired = False


class InService:
    """The partner in service, changed without a request that fails.

    A request keeps what it began with; what was in service before is closed when its last request is done, in a thread
    of its own: that may take long (the end of a model's server), and nobody waits for it but `close` and the end of the
    program. Something new that cannot be opened is told once and tried again now and then; what is in service stays.

    Args:
        look: a short text that differs when something else is in service (champion, published index). Cheap: it is
            asked every `look_seconds`. May raise CervellaError or OSError: then nothing changes.
        open_now: opens what is in service; may take long, and raise CervellaError or OSError. It is given what is in
            service, so that it can take over what stays the same (a loaded model); None at first.
        look_seconds: how often to look.
    """

    def __init__(
        self, *, look: Callable[[], str], open_now: Callable[[Opened | None], Opened], look_seconds: float = 2.0
    ) -> None:
        self._look, self._open, self._seconds = look, open_now, look_seconds
        self._lock = threading.Lock()
        self._lease: _Lease | None = None
        self._refused: str | None = None
        self._refused_at = 0.0
        self._fault: str | None = None
        self._faulty: str | None = None  # whose fault it is; None: nobody could tell what is in service
        self._swaps = 0
        self._end = threading.Event()
        self._turn = threading.Lock()  # one at a time looks and opens
        self._thread: threading.Thread | None = None
        self._leaving: list[threading.Thread] = []  # each closes one that is out of service

    def start(self) -> None:
        """Open what is in service and begin to follow it. Raises as `open_now`: then nothing was begun."""
        self.look(strict=True)
        self._thread = threading.Thread(target=self._follow, name="in service", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Follow it no longer, and let go of it once the last request is done; waits for what is being let go of."""
        self._end.set()
        if self._thread:
            self._thread.join()
        self._replace(None)
        self._wait_for_leaving()

    @contextmanager
    def use(self) -> Iterator[Opened]:
        """What is in service now, for the length of the block; it is not closed meanwhile.

        Raises:
            NotInServiceError: nothing is in service.
        """
        with self._lock:
            lease = self._lease
            if lease is None:
                raise NotInServiceError("nothing is in service")
            lease.users += 1
        try:
            yield lease.opened
        finally:
            with self._lock:
                lease.users -= 1
                done = lease.retired and not lease.users
            if done:
                self._let_go(lease.opened)

    def told(self) -> dict[str, Any]:
        """For `/health`: what is in service, how often it changed, and why something newer is not."""
        with self._lock:
            opened = self._lease.opened if self._lease else None
            return {
                "ready": opened is not None,
                "release": opened.release if opened else None,
                "index": opened.index if opened else None,
                "about": dict(opened.about) if opened else {},
                "changes": self._swaps,
                "fault": self._fault,
            }

    def look(self, *, strict: bool = False) -> bool:
        """Look once; whether something else is in service now. `strict`: what cannot be opened is raised."""
        with self._turn:
            mark: str | None = None
            try:
                mark = self._look()
                if self._lease and mark == self._lease.mark:
                    self._fault = self._refused = None  # gone back to what is in service
                    return False
                lately = time.monotonic() - self._refused_at < _AGAIN_SECONDS
                if mark == self._refused and lately and not strict:
                    return False  # told already
                if mark != self._faulty:
                    self._fault = None  # of another one: of this one nothing is known until it is open
                self._wait_for_leaving()  # at most two are in memory: what is in service, and the next
                opened = self._open(self._lease.opened if self._lease else None)
            except Exception as error:  # also a fault that nobody foresaw: what is in service stays
                if strict:
                    raise
                self._tell(error, mark)
                return False
            self._fault = self._refused = None
            self._replace(_Lease(opened, mark))
            return True

    def _tell(self, error: BaseException, mark: str | None) -> None:
        told = f"{type(error).__name__}: {error}"
        foreseen = isinstance(error, CervellaError | OSError)
        if told != self._fault:
            logger.warning(
                "what is in service now cannot be opened, the one before stays: %s", error,
                exc_info=None if foreseen else error,
            )  # fmt: skip
        # A fault of the disk or of a lock may pass: it is tried again. What cannot be understood stays so for a while.
        passes = foreseen and not isinstance(error, TerminalError)
        self._fault, self._faulty, self._refused = told, mark, None if passes else mark
        self._refused_at = time.monotonic()

    def _replace(self, lease: _Lease | None) -> None:
        with self._lock:
            before, self._lease = self._lease, lease
            self._swaps += before is not None and lease is not None
            if before:
                before.retired = True
            done = before is not None and not before.users
        if before and done:
            self._let_go(before.opened)

    def _let_go(self, opened: Opened) -> None:
        thread = threading.Thread(target=_close, args=(opened,), name="out of service")  # the program waits for it
        try:
            with self._lock:
                thread.start()
                self._leaving = [*filter(threading.Thread.is_alive, self._leaving), thread]
        except RuntimeError:  # no more threads on this machine
            _close(opened)

    def _wait_for_leaving(self) -> None:
        with self._lock:
            leaving = list(self._leaving)
        for thread in leaving:
            thread.join()

    def _follow(self) -> None:
        while not self._end.wait(self._seconds):
            self.look()


def _close(opened: Opened) -> None:
    try:
        opened.close()
    except Exception:  # it is out of service: nobody waits for it
        logger.exception("closing what was in service failed")
