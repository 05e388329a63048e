"""What keeps pages of Prefect's UI from asking anybody else; a browser obeys it in tests/flows/test_ui.py."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from components.services.pages import asks_nobody, policy


def answered(kind: str) -> list[dict[str, Any]]:
    """What an application sends for a request of a kind, as it comes out."""
    sent: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Callable[..., Any]) -> None:
        await send({"type": f"{kind}.response.start", "status": 200, "headers": [(b"x", b"y")]})
        await send({"type": f"{kind}.response.body", "body": b"page"})

    async def send(message: Any) -> None:
        sent.append(dict(message))

    async def receive() -> dict[str, Any]:
        return {}

    asyncio.run(asks_nobody(app, port=4242)({"type": kind}, receive, send))
    return sent


def test_every_answer_has_the_policy_beside_its_own_headers() -> None:
    start, body = answered("http")
    assert start["headers"] == [(b"x", b"y"), (b"content-security-policy", policy(4242).encode())]
    assert body == {"type": "http.response.body", "body": b"page"}


@pytest.mark.parametrize("kind", ["websocket", "lifespan"])
def test_what_is_no_page_passes_as_it_is(kind: str) -> None:
    assert answered(kind)[0]["headers"] == [(b"x", b"y")]


def test_the_policy_names_this_server_and_no_other() -> None:
    allowed = {word for word in policy(4242).replace(";", " ").split() if "//" in word}
    assert allowed == {f"{kind}://{host}:4242" for kind in ("http", "ws") for host in ("127.0.0.1", "localhost")}
    assert "*" not in policy(4242)
