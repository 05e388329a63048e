"""A stream of server-sent events: begun once it is known that there is an answer, and ended with its client."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from starlette.types import Receive, Scope, Send

__all__ = ["Events", "as_event"]

_HEADERS = {"Content-Type": "text/event-stream; charset=utf-8", "X-Accel-Buffering": "no"}


def as_event(value: dict[str, Any]) -> bytes:
    """A value as one event; text outside of ASCII is escaped, so that halves of characters are JSON too."""
    return b"data: %s\n\n" % json.dumps(value).encode()


class Events(Response):
    """The events of a generator, which is closed whatever happens: also when the client goes, or the server ends.

    Args:
        events: bytes as they go out; it ends by itself once its client is gone.
        seconds: for all of it, so that a client that does not read holds nothing for longer; then it is broken off.
    """

    def __init__(self, events: AsyncGenerator[bytes], *, seconds: float) -> None:
        super().__init__(headers=_HEADERS)
        del self.headers["content-length"]
        self._events, self._seconds = events, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send them."""
        async with aclosing(self._events) as events:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._seconds):
                    await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                    async for event in events:
                        await send({"type": "http.response.body", "body": event, "more_body": True})
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
