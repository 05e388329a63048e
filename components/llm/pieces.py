"""An answer in pieces: made in a thread of its own, taken one after the other, ended when the taker has had enough.

State after a hard crash: none; what runs in the thread ends with the process.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from components.errors import CervellaError, TransientError

__all__ = ["LeftBehind", "Line", "pieces_of", "resting"]

T = TypeVar("T")


@dataclass(frozen=True)
class _Made(Generic[T]):
    value: T


class _Begun:
    """It is one's turn."""


class Line:
    """Between the thread that makes an answer and whoever takes it."""

    def __init__(self) -> None:
        self.items: queue.SimpleQueue[str | _Begun | _Made[Any] | BaseException] = queue.SimpleQueue()
        self.stop = False
        """Nobody takes anything any more: the maker is to end."""
        self._lock = threading.Lock()
        self._hang_up: Callable[[], None] | None = None

    def begin(self) -> None:
        """It is one's turn: from now on time counts."""
        self.items.put(_Begun())

    def put(self, piece: str) -> None:
        """Hand on a piece; an empty one is dropped."""
        if piece:
            self.items.put(piece)

    def hang_up_by(self, hang_up: Callable[[], None]) -> None:
        """Say what ends a wait of the maker from another thread. It is called when nobody takes anything any more."""
        with self._lock:
            self._hang_up = hang_up
            stopped = self.stop
        if stopped:
            hang_up()

    def give_up(self) -> None:
        """Nobody takes anything any more."""
        with self._lock:
            self.stop = True
            hang_up = self._hang_up
        if hang_up is not None:
            hang_up()


class LeftBehind:
    """Threads of calls that were given up and cannot be ended: they wait for a first word, and for their time-out.

    Args:
        most: that there may be; then no call is begun until one of them ends.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    def __len__(self) -> int:
        with self._lock:
            self._threads = [thread for thread in self._threads if thread.is_alive()]
            return len(self._threads)

    def add(self, thread: threading.Thread) -> None:
        """One more; it goes by itself when it ends."""
        with self._lock:
            self._threads.append(thread)


def pieces_of(
    make: Callable[[Line], T], *, name: str, seconds: float, late: Callable[[], CervellaError],
    beat_seconds: float | None, wait_for_end: bool, left_behind: LeftBehind | None = None,
) -> Generator[str, None, T]:  # fmt: skip
    """The pieces that `make` puts on its line; what it returns is returned.

    Args:
        make: called in a daemon thread; it calls `begin` once, and looks at `stop` as often as it can.
        name: of the thread.
        seconds: from `begin` to the end; pieces that are there already are given even then.
        late: what is raised when it takes longer.
        beat_seconds: how often an empty piece is given while none comes, so that the taker can end it; None: never.
        wait_for_end: whether the thread is waited for at the end, once it has begun: for what must not outlive the
            interpreter, such as calls into C.
        left_behind: keeps the thread when it is not waited for; see there.

    Raises:
        What `make` raises, and what `late` gives; TransientError when too many were left behind.
    """
    if left_behind is not None and len(left_behind) >= left_behind.most:
        raise TransientError(
            f"{name}: {left_behind.most} calls that were given up still wait for its first word; it is asked again "
            "when one of them ends, after timeout_seconds at the latest"
        )
    line = Line()

    def work() -> None:
        try:
            line.items.put(_Made(make(line)))
        except BaseException as error:
            line.items.put(error)

    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    end: float | None = None
    over = False
    try:
        while True:
            left = None if end is None else max(0.0, end - time.monotonic())
            waits = [wait for wait in (left, beat_seconds) if wait is not None]
            try:
                item = line.items.get(timeout=min(waits) if waits else None)
            except queue.Empty:
                if end is not None and time.monotonic() >= end:
                    raise late() from None
                yield ""
                continue
            if isinstance(item, str):
                yield item
                continue
            if isinstance(item, _Begun):
                end = time.monotonic() + seconds
                continue
            over = True  # its connection may serve others already
            if isinstance(item, _Made):
                made: T = item.value
                return made
            raise item
    finally:
        if not over:
            line.give_up()
        if wait_for_end and end is not None:
            thread.join()
        elif left_behind is not None and thread.is_alive():
            left_behind.add(thread)


def resting(seconds: float, *, beat_seconds: float | None) -> Generator[str, None, None]:
    """Wait, and give an empty piece every `beat_seconds`; None: never."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if beat_seconds is None:
            time.sleep(left)
        else:
            time.sleep(min(left, beat_seconds))
            yield ""
