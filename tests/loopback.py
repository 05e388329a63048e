"""What the servers on loopback have in common that stand for somebody else's."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["JsonHandler", "Loopback"]


class Loopback(ThreadingHTTPServer):
    """Answers from the moment it is made until `close`, in a thread for each connection."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, handler: type[BaseHTTPRequestHandler], *, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), handler)
        self.port: int = self.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def handle_error(self, *_: Any) -> None:
        """Nothing: clients that go away are what a test wants."""

    def close(self) -> None:
        """Listen no more: whoever connects is refused."""
        self.shutdown()
        self.server_close()


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
