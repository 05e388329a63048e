"""How much is taken at once: requests of a key in a minute, answers at the same time, bytes of a request."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable

from components.serve.http.errors import HttpError, invalid

__all__ = ["Rate", "Slots", "read_body"]

_MINUTE = 60.0


class Rate:
    """Requests of one key in any 60 seconds. For one thread.

    Args:
        per_minute: how many.
        clock: seconds, growing.
    """

    def __init__(self, per_minute: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._clock = per_minute, clock
        self._times: dict[str, deque[float]] = {}

    def count(self, key: str) -> None:
        """Count a request of the key of this name. Raises HttpError 429: one too many; then it is not counted."""
        now = self._clock()
        times = self._times.setdefault(key, deque())
        while times and times[0] <= now - _MINUTE:
            times.popleft()
        if len(times) >= self._most:
            raise HttpError(
                429, f"At most {self._most} requests a minute are taken from one key.", type="rate_limit_error",
                code="rate_limit_exceeded", retry_after=times[0] + _MINUTE - now,
            )  # fmt: skip
        times.append(now)


class Slots:
    """So many answers at the same time, and so many requests that wait for their turn, first come first served.

    A slot is held as long as the thread that answers is at work, not as long as somebody waits for it: so threads that
    outlive their requests can never be more than there are slots. For one event loop.
    """

    def __init__(self, *, at_once: int, waiting: int) -> None:
        self._free = asyncio.Semaphore(at_once)
        self._at_once, self._most = at_once, waiting
        self.waiting = 0

    async def take(self) -> None:
        """Wait for a slot. Raises HttpError 503 where too many wait already."""
        if self._free.locked() and self.waiting >= self._most:
            raise HttpError(
                503, f"{self._at_once} questions are being answered and {self.waiting} wait; ask again in a while.",
                type="service_unavailable", code="full", retry_after=5,
            )  # fmt: skip
        self.waiting += 1
        try:
            await self._free.acquire()
        finally:
            self.waiting -= 1

    def give(self) -> None:
        """Give a slot back."""
        self._free.release()


async def read_body(chunks: AsyncIterator[bytes], *, length: str | None, most: int) -> bytes:
    """The body of a request, of which never more than `most` bytes (and one piece) are held.

    Args:
        chunks: of the body, as they come.
        length: header Content-Length, if there is one.
        most: bytes.

    Raises:
        HttpError: 413, before anything is read where the header says it.
    """
    large = invalid(f"The request is larger than {most // 1000} kB.", code="request_too_large", status=413)
    if length and length.isascii() and length.isdigit() and int(length[:20]) > most:
        raise large
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > most:
            raise large
    return bytes(body)
