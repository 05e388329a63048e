"""Talking to a Prefect server about deployments: plain JSON through Prefect's own client, errors in words.

Prefect's client brings what a server may ask for: its token against forged requests, its password, its retries.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from components.errors import InputError, TerminalError, TransientError
from components.services.watch import HUNG_SECONDS, fault_of

__all__ = ["Remote", "check_address", "connected"]

_PAGE = 200


class Remote:
    """An open connection."""

    def __init__(self, client: Any, api_url: str) -> None:
        self._client = client
        self.api_url = api_url

    def ask(self, method: str, path: str, body: Any = None, *, missing_is_none: bool = False) -> Any:
        """The JSON that the server answers; None for an empty answer.

        Raises:
            TransientError: it does not answer.
            TerminalError: it refuses; with its words.
        """
        import httpx

        try:
            answer = self._client.request(method, path, json=body)
        except httpx.HTTPStatusError as error:
            status = error.response.status_code
            if status == 404 and missing_is_none:
                return None
            if status in (401, 403):
                raise TerminalError(
                    f"{self.api_url} asks for a password ({status}): put user:password of the server into "
                    "PREFECT_API_AUTH_STRING"
                ) from None
            raise TerminalError(
                f"{self.api_url} answers {status} to {method} {path}: {error.response.text[:500]}"
            ) from None
        except httpx.HTTPError as error:
            raise TransientError(
                f"{self.api_url} does not answer to {method} {path} ({type(error).__name__}); try again"
            ) from None
        return answer.json() if answer.content else None

    def all(self, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
        """Everything that a filter finds, page after page."""
        found: list[dict[str, Any]] = []
        while True:
            page = self.ask("POST", path, {**body, "limit": _PAGE, "offset": len(found)})
            found += page
            if len(page) < _PAGE:
                return found


@contextmanager
def connected(api_url: str) -> Iterator[Remote]:
    """A connection to the server at `api_url`, as in `http://127.0.0.1:4200/api`, while the block works.

    Prefect reads its settings when it is imported: put them into the environment before (`apply_environment`).

    Raises:
        InputError: it is no address.
        TerminalError: nobody answers there, not as Prefect does, or as a Prefect of another major version.
    """
    check_address(api_url)
    if fault := fault_of(api_url, patience_seconds=HUNG_SECONDS):
        raise TerminalError(
            f"the Prefect server {api_url} cannot be used: {fault}. Start it (cervella up), or correct the address: "
            "it ends in /api"
        )
    from prefect.client.orchestration import SyncPrefectClient

    with SyncPrefectClient(api_url, auth_string=os.environ.get("PREFECT_API_AUTH_STRING")) as client:
        remote = Remote(client, api_url)
        _check_version(remote)
        yield remote


def check_address(api_url: str) -> None:
    """Raise InputError when it is no address of an API."""
    said = ""
    try:
        parts = urlsplit(api_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            said = "it does not begin with http:// or https:// and a host"
        elif parts.username or parts.password:
            said = "it holds a user or a password; PREFECT_API_AUTH_STRING is the place for them"
        elif parts.query or parts.fragment or any(mark.isspace() for mark in api_url):
            said = "it holds more than host, port and path"
        elif parts.port == 0:
            said = "port 0 is none"
    except ValueError as error:
        said = str(error)
    if said:
        shown = api_url.rpartition("@")[2] if "@" in api_url else api_url
        raise InputError(f"{shown!r} is no address of a Prefect server: {said}; expected one such as "
                         "http://127.0.0.1:4200/api")  # fmt: skip


def _check_version(remote: Remote) -> None:
    from importlib.metadata import version

    ours, theirs = version("prefect"), str(remote.ask("GET", "/admin/version"))
    if theirs.split(".")[0] != ours.split(".")[0]:
        raise TerminalError(
            f"the server {remote.api_url} is Prefect {theirs}, and here is {ours}: their major versions have to be "
            "the same. Start a server of this installation (cervella up), or one of the same version"
        )
