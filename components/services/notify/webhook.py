"""A POST with JSON to an address.

The address may be a secret (whoever knows it can write to the chat): no error, log or journal names more of it than
the machine.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from components.services.notify.attempts import NotTaken, hidden

__all__ = ["post", "shown"]

_CONNECT_SECONDS = 3.0
_AGAIN = (408, 425, 429, 500, 502, 503, 504)


def shown(url: str) -> str:
    """The machine of an address, which is all of it that anybody is told."""
    try:
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
    except ValueError:
        return "an address that cannot be read"


def _secrets(url: str) -> list[str]:
    """Whatever of an address a server may say back."""
    parts = urlsplit(url)
    pieces = [piece for piece in (*parts.path.split("/"), *parts.query.split("&"), parts.password) if piece]
    return [url, parts.path, f"{parts.path}?{parts.query}", *(piece for piece in pieces if len(piece) > 3)]


def post(url: str, body: Mapping[str, Any], *, seconds: float) -> None:
    """Post `body` once; another status than 2xx, a redirect included, is a fault.

    Raises NotTaken.
    """
    import httpx

    try:
        timeout = httpx.Timeout(seconds, connect=min(seconds, _CONNECT_SECONDS))
        with _unheard("httpx"), httpx.Client(timeout=timeout, follow_redirects=False) as client:
            content = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
            headers = {
                "Content-Type": "application/json", "User-Agent": "cervella", "Idempotency-Key": body["cervella"]["id"],
            }  # fmt: skip
            request = client.build_request("POST", url, content=content, headers=headers)
            response = client.send(request, stream=True)
            try:
                if not response.is_success:
                    said = hidden(next(response.iter_bytes(300), b"").decode("utf-8", "replace"), *_secrets(url))
                    why = f"{shown(url)} answers {response.status_code}" + (f": {said}" if said else "")
                    raise NotTaken(why, again=response.status_code in _AGAIN)
            finally:
                response.close()
    except (httpx.ReadTimeout, httpx.ReadError, httpx.RemoteProtocolError) as error:
        raise NotTaken(f"{shown(url)} took it and did not answer ({type(error).__name__})", maybe=True) from None
    except httpx.TransportError as error:
        why = f"{shown(url)} cannot be reached: {hidden(str(error) or type(error).__name__, *_secrets(url))}"
        raise NotTaken(why, again=not isinstance(error, httpx.UnsupportedProtocol)) from None
    except (httpx.InvalidURL, ValueError, UnicodeError):
        raise NotTaken("its address cannot be read") from None


@contextmanager
def _unheard(name: str) -> Iterator[None]:
    """Keep the library from logging addresses: it writes each one, whole, at level INFO."""

    def silent(record: logging.LogRecord) -> bool:
        return record.levelno > logging.INFO

    logger = logging.getLogger(name)
    logger.addFilter(silent)
    try:
        yield
    finally:
        logger.removeFilter(silent)
