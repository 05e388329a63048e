"""`python -m tests.flows.watched_run FILE run ...`: the command, and what it imported and asked of Prefect's server.

FILE gets JSON: `modules`, and `requests` with "METHOD path" of each, ids left out, in order.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import httpx

from flows import cli

REQUESTS: list[str] = []
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def _told(request: httpx.Request) -> None:
    REQUESTS.append(f"{request.method} {_ID.sub('ID', request.url.path)}")


def main() -> None:
    """See above."""
    file = Path(sys.argv.pop(1))
    plain, waiting = httpx.Client.send, httpx.AsyncClient.send

    def send(self: httpx.Client, request: httpx.Request, **options: Any) -> httpx.Response:
        _told(request)
        return plain(self, request, **options)

    async def asend(self: httpx.AsyncClient, request: httpx.Request, **options: Any) -> httpx.Response:
        _told(request)
        return await waiting(self, request, **options)

    httpx.Client.send, httpx.AsyncClient.send = send, asend  # type: ignore[method-assign]
    try:
        cli.main()
    finally:
        file.write_text(json.dumps({"modules": sorted(sys.modules), "requests": REQUESTS}), encoding="utf-8")


if __name__ == "__main__":
    main()
