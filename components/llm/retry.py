"""Second tries after transient errors, and deadlines that hold whatever a library does with its own."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from components.errors import TransientError

__all__ = ["RetryLater", "seconds_to_wait", "with_deadline", "with_retries"]

log = logging.getLogger(__name__)
T = TypeVar("T")


class RetryLater(TransientError):
    """A transient error whose sender said when to come back."""

    def __init__(self, message: str, *, after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.after_seconds = after_seconds


def with_retries(
    call: Callable[[], T],
    *,
    retries: int,
    base_seconds: float,
    longest_seconds: float = 60.0,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """Return what `call` returns; after a TransientError try again up to `retries` times.

    Waits a random time between half and all of `base_seconds` x 2^n ("equal jitter"), or what the sender asked
    for, never longer than `longest_seconds`.

    Raises:
        TransientError: the last one, when all tries failed.
    """
    for attempt in range(retries + 1):
        try:
            return call()
        except TransientError as error:
            if attempt == retries:
                raise
            wait = seconds_to_wait(error, attempt=attempt, base_seconds=base_seconds, longest_seconds=longest_seconds)
            log.info("try %d of %d failed (%s); next in %.1f s", attempt + 1, retries + 1, error, wait)
            sleep(wait)
    raise AssertionError("unreachable")


def seconds_to_wait(
    error: TransientError, *, attempt: int, base_seconds: float, longest_seconds: float = 60.0
) -> float:
    """How long `with_retries` waits after the try `attempt` (from 0) failed with this error."""
    wait: float = base_seconds * 2**attempt * random.uniform(0.5, 1.0)  # noqa: S311
    asked = error.after_seconds if isinstance(error, RetryLater) else None
    return min(max(wait, asked or 0.0), longest_seconds)


def with_deadline(call: Callable[[], T], *, seconds: float, what: str) -> T:
    """Return what `call` returns within `seconds`, connection included.

    The call runs in a daemon thread: a server that sends a byte now and then outlives every time-out of httpx, which
    count silence, not time. Past the deadline its thread is left behind and its result is dropped.

    Raises:
        TransientError: not done within `seconds`. Whatever `call` raises is raised as it is.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            results.append(call())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work, name=f"deadline of {what}", daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if results:
        return results[0]
    raise TransientError(f"{what}: no answer within {seconds:g} s. Raise timeout_seconds if this is how long it takes.")
