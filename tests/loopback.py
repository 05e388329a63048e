"""What the servers on loopback have in common that stand for somebody else's."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler
from typing import Any

__all__ = ["JsonHandler"]


class JsonHandler(BaseHTTPRequestHandler):
    """Keeps connections open, and the terminal quiet."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Nothing: what was asked is kept by the double."""

    def read(self) -> bytes:
        """The body of the request."""
        return self.rfile.read(int(self.headers.get("content-length") or 0))

    def read_json(self) -> dict[str, Any]:
        """The same, read as JSON."""
        body: dict[str, Any] = json.loads(self.read())
        return body
