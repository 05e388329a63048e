"""The few questions that a keeper asks Prefect's server, over HTTP: importing Prefect would cost it 100 MB for good."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from base64 import b64encode
from datetime import datetime
from typing import Any
from urllib.parse import quote

from components.services.watch import opener_to

__all__ = ["AUTH", "folders_of", "last_heartbeat", "make_pool", "pool_of", "version_of"]

AUTH = "PREFECT_API_AUTH_STRING"
"""Environment variable with user:password of a server that asks for one."""

_ASK_SECONDS = 10.0


def make_pool(api_url: str, name: str, *, concurrency_limit: int | None, description: str) -> None:
    """Make the work pool for processes, unless it is there: then it stays as it is. Raises OSError, ValueError."""
    body = {
        "name": name, "type": "process", "concurrency_limit": concurrency_limit, "description": description,
    }  # fmt: skip
    try:
        _ask(api_url, "/work_pools/", body, pool=name)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code != 409:
            raise


def last_heartbeat(api_url: str, *, pool: str, worker: str) -> float | None:
    """When the server last heard of the worker, in seconds since 1970; None: never. Raises OSError, ValueError."""
    for row in _ask(api_url, f"/work_pools/{quote(pool)}/workers/filter", {}, pool=pool):
        if row["name"] == worker and row.get("last_heartbeat_time"):
            return datetime.fromisoformat(row["last_heartbeat_time"]).timestamp()
    return None


def pool_of(api_url: str, name: str) -> dict[str, Any] | None:
    """The work pool as the server has it (`type`, `concurrency_limit`, ...); None: none. Raises OSError, ValueError."""
    try:
        found: dict[str, Any] = _ask(api_url, f"/work_pools/{quote(name, safe='')}", None, pool=name)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 404:
            return None
        raise
    return found


def folders_of(api_url: str, pool: str) -> dict[str, str]:
    """Deployment -> folder that its flow is run in, for those of a pool that name one. Raises OSError, ValueError."""
    found = {}
    for one in _ask(
        api_url, "/deployments/filter", {"work_pools": {"name": {"any_": [pool]}}, "limit": 200}, pool=pool
    ):
        steps = [step for entry in one.get("pull_steps") or [] for step in entry.values() if isinstance(step, dict)]
        folders = [step["directory"] for step in steps if isinstance(step.get("directory"), str)]
        if folders or one.get("path"):
            found[str(one["name"])] = str((folders or [one["path"]])[0])
    return found


def version_of(api_url: str) -> str:
    """Version of the server's Prefect. Raises OSError, ValueError."""
    return str(_ask(api_url, "/admin/version", None, pool=""))


def _ask(api_url: str, path: str, body: dict[str, Any] | None, *, pool: str) -> Any:
    client = f"cervella-keeper-{pool}"  # the server keeps one token for each name, and a new one ends the one before
    opener = opener_to(api_url)
    headers = {"Content-Type": "application/json"}
    if password := os.environ.get(AUTH):
        headers["Authorization"] = f"Basic {b64encode(password.encode()).decode()}"
    if body is not None and (token := _token(opener, api_url, client, headers)):
        headers |= {"Prefect-Csrf-Token": token, "Prefect-Csrf-Client": client}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{api_url}{path}", data, headers)  # noqa: S310 (checked by who calls)
    with opener.open(request, timeout=_ASK_SECONDS) as answer:
        return json.load(answer)


def _token(opener: urllib.request.OpenerDirector, api_url: str, client: str, headers: dict[str, str]) -> str | None:
    """The token against forged requests; None where the server wants none (422)."""
    request = urllib.request.Request(  # noqa: S310
        f"{api_url}/csrf-token?client={quote(client, safe='')}", headers=headers
    )
    try:
        with opener.open(request, timeout=_ASK_SECONDS) as answer:
            return str(json.load(answer)["token"])
    except urllib.error.HTTPError as error:
        error.close()
        if error.code != 422:
            raise
        return None
