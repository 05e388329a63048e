"""What pages of Prefect's UI may ask for in a browser: this server alone.

Prefect 3.8 serves two UIs. The newer one, which it opens by itself, asks a host of its makers for the settings of their
statistics, at each page, whatever PREFECT_SERVER_ANALYTICS_ENABLED says; nothing of a run is in that request, but
nobody asked for it. A policy in the answers' headers keeps it in the browser, and with it every picture, font or script
that a text in an artifact could name. Not covered: a link that a person clicks, and a Prefect server that others run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    Message = MutableMapping[str, Any]
    App = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]

__all__ = ["asks_nobody", "policy"]


def policy(port: int) -> str:
    """The Content-Security-Policy of a UI on `port` of this machine, which may call it by its name or its number."""
    here = " ".join(f"{kind}://{host}:{port}" for host in ("127.0.0.1", "localhost") for kind in ("http", "ws"))
    # The UIs are built with styles and workers in the text, and a parser of formulas and diagrams that writes code.
    return (
        f"default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; connect-src 'self' data: blob: {here}; "
        "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
    )


def asks_nobody(app: App, *, port: int) -> App:
    """The same ASGI application, with the policy in the headers of its pages."""
    header = (b"content-security-policy", policy(port).encode("ascii"))

    async def answered(scope: Message, receive: Any, send: Callable[[Message], Awaitable[None]]) -> None:
        async def with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), header]
            await send(message)

        await app(scope, receive, with_policy if scope["type"] == "http" else send)

    return answered
