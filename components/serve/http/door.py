"""What every request passes: it is counted, a strange host or origin is refused, and the answer gets its headers.

A request that the server cuts off at its end is answered here too: its task is cancelled, wherever it waits.

Without keys only this machine may ask, so a page of somewhere else, open in a browser here, must not either: the name
in Host has to be this machine's own (a foreign name that points here is refused), and so has Origin.
Not covered: other users and programs of this machine, which reach loopback without keys.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse

from components.hosts import is_loopback
from components.serve.http.errors import HttpError, http_error

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Door"]

_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Door:
    """Around the application.

    Args:
        app: the application.
        keyless: whether no key is needed.
        counted: called with path and status of each answer.
        settle: waits for answers that are still at work when the server has ended, so many seconds at most: then they
            are in the usage log.
    """

    def __init__(
        self, app: ASGIApp, *, keyless: bool, counted: Callable[[str, int], None], settle: Callable[[float], None]
    ) -> None:
        self._app, self._keyless, self._counted, self.settle = app, keyless, counted, settle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        begun = False

        async def counting(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                self._counted(scope["path"], message["status"])
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        if self._keyless and (why := _strange(Headers(scope=scope))):
            refused = HttpError(403, why, type="invalid_request_error", code="not_from_here")
            await JSONResponse(refused.body(), status_code=403)(scope, receive, counting)
            return
        try:
            await self._app(scope, receive, counting)
        except asyncio.CancelledError as error:
            if not begun:
                shown = http_error(error, id="")
                await JSONResponse(shown.body(), shown.status, shown.headers())(scope, receive, counting)


def _strange(headers: Headers) -> str | None:
    """Why this is no request of this machine; None: it is one."""
    host, origin = headers.get("host", ""), headers.get("origin")
    named = _split(f"//{host}")
    if named is None or not is_loopback((named.hostname or "").rstrip(".")):
        return "Without keys only this machine may ask, by its own name: 127.0.0.1 or localhost."
    if origin is not None:
        asks = _split(origin)
        if asks is None or asks.netloc.lower() != host.lower():
            return "Without keys no page of another site may ask."
    return None


def _split(url: str) -> SplitResult | None:
    """None: it is no URL, such as http://[."""
    try:
        return urlsplit(url)
    except ValueError:
        return None
