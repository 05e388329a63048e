"""The few questions that a keeper asks Prefect's server, over HTTP: importing Prefect would cost it 100 MB for good."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from datetime import datetime
from typing import Any
from urllib.parse import quote

__all__ = ["last_heartbeat", "make_pool"]

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


def _ask(api_url: str, path: str, body: dict[str, Any], *, pool: str) -> Any:
    client = f"cervella-keeper-{pool}"  # the server keeps one token for each name, and a new one ends the one before
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{api_url}/csrf-token?client={client}", timeout=_ASK_SECONDS) as answer:
        token = json.load(answer)["token"]
    headers = {
        "Content-Type": "application/json", "Prefect-Csrf-Token": token, "Prefect-Csrf-Client": client,
    }  # fmt: skip
    request = urllib.request.Request(f"{api_url}{path}", json.dumps(body).encode(), headers)  # noqa: S310 (ours)
    with opener.open(request, timeout=_ASK_SECONDS) as answer:
        return json.load(answer)
