"""A double of Anthropic's Messages API on loopback: answers whole and in pieces, and misbehaves as it is told.

Made after the public reference (fields, order of the events, envelope of errors, headers), not after traffic with the
service: what the service does otherwise, no test here can know.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.loopback import JsonHandler, Loopback

__all__ = ["CLAUDE", "CLAUDE_KEY", "Claude", "claude_here"]

CLAUDE = "anthropic/claude-sonnet-4-5"
CLAUDE_KEY = "sk-ant-api03-9f8e7d6c5b4a39281706f5e4d3c2b1a0-double"
_FIELDS = {"model", "messages", "max_tokens", "system", "temperature", "stream"}
"""What this house may send. The service refuses a field that it does not know, and `seed` is one."""
_KINDS = {
    400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error",
    413: "request_too_large", 429: "rate_limit_error", 500: "api_error", 504: "timeout_error", 529: "overloaded_error",
}  # fmt: skip


class Claude:
    """`plan` is what the next requests get, in order; when it is empty, all is well.

    A number is the status of an error, with a second one its `retry-after` (seconds). "hang up" closes before a header,
    "mute" sends none until `heard` is set. After the first word, "silent" says no more until then, "reset" breaks the
    connection, "end" ends the body as if it were whole, "error" sends an event of an error; "error first" sends it
    before a word. An answer in one is broken by "reset" in its midst, and sent byte by byte by "drip".
    """

    def __init__(self) -> None:
        self.plan: list[Any] = []
        self.requests: list[dict[str, Any]] = []
        self.words = ["Una", " risposta", " in", " pezzi."]
        self.usage = {"input_tokens": 1000, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
        self.output_tokens = 100
        self.stop_reason = "end_turn"
        self.said_of_errors = "as it was told"
        self.heard = threading.Event()
        self.hung_up = threading.Event()
        double = self

        class Handler(JsonHandler):
            def do_POST(self) -> None:
                body = self.read_json()
                headers = {name.lower(): value for name, value in self.headers.items()}
                double.requests.append({"path": self.path, "headers": headers, "body": body})
                try:
                    double.answer(self, body, double.plan.pop(0) if double.plan else double.refused(headers, body))
                except OSError:
                    double.hung_up.set()
                    self.close_connection = True

        self.server = Loopback(Handler)
        self.url = self.server.url

    def close(self) -> None:
        self.heard.set()
        self.server.close()

    def refused(self, headers: dict[str, str], body: dict[str, Any]) -> int | None:
        """The status with which the service refuses such a request."""
        roles = [message["role"] for message in body.get("messages", [])]
        if "x-api-key" not in headers:
            return 401
        good = headers.get("anthropic-version") == "2023-06-01" and {"model", "messages", "max_tokens"} <= set(body)
        return None if good and set(body) <= _FIELDS and roles[:1] == ["user"] and "system" not in roles else 400

    def answer(self, handler: Any, body: dict[str, Any], step: Any) -> None:
        if step == "mute":
            self.heard.wait(60)
        if step == "hang up":
            self.reset(handler)
        elif isinstance(step, int | tuple):
            status, after = step if isinstance(step, tuple) else (step, None)
            self.send(handler, status, self.error(status), {} if after is None else {"retry-after": str(after)})
        elif body.get("stream"):
            self.stream(handler, step)
        else:
            content = [{"type": "text", "text": "".join(self.words)}] if self.words else []
            usage = {**self.usage, "output_tokens": self.output_tokens}
            whole = {**self.message(), "content": content, "stop_reason": self.stop_reason, "usage": usage}
            self.send(handler, 200, whole, {}, step=step)

    def stream(self, handler: Any, step: Any) -> None:
        handler.send_response(200)
        handler.send_header("content-type", "text/event-stream; charset=utf-8")
        handler.send_header("transfer-encoding", "chunked")
        handler.send_header("request-id", "req_double")
        handler.end_headers()
        self.event(handler, "message_start", message={**self.message(), "usage": {**self.usage, "output_tokens": 1}})
        if step == "error first":
            self.event(handler, "error", error=self.error(529)["error"])
            handler.wfile.write(b"0\r\n\r\n")
            return
        self.event(handler, "content_block_start", index=0, content_block={"type": "text", "text": ""})
        self.event(handler, "ping")
        for word in self.words:
            self.event(handler, "content_block_delta", index=0, delta={"type": "text_delta", "text": word})
            if step == "silent":
                self.heard.wait(60)
            elif step == "reset":
                self.reset(handler)
                return
            elif step in ("end", "error"):
                if step == "error":
                    self.event(handler, "error", error=self.error(529)["error"])
                handler.wfile.write(b"0\r\n\r\n")
                return
        self.event(handler, "content_block_stop", index=0)
        about = {"stop_reason": self.stop_reason, "stop_sequence": None}
        self.event(handler, "message_delta", delta=about, usage={"output_tokens": self.output_tokens})
        self.event(handler, "message_stop")
        handler.wfile.write(b"0\r\n\r\n")

    def message(self) -> dict[str, Any]:
        return {
            "id": "msg_double", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5-20250929",
            "content": [], "stop_reason": None, "stop_sequence": None,
        }  # fmt: skip

    def error(self, status: int) -> dict[str, Any]:
        told = {"type": _KINDS.get(status, "api_error"), "message": f"{_KINDS.get(status)}: {self.said_of_errors}"}
        return {"type": "error", "error": told, "request_id": "req_double"}

    def event(self, handler: Any, kind: str, **fields: Any) -> None:
        data = f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()
        handler.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        handler.wfile.flush()

    def send(self, handler: Any, status: int, told: dict[str, Any], headers: dict[str, str], step: Any = None) -> None:
        text = json.dumps(told).encode()
        handler.send_response(status)
        for name, value in {"content-type": "application/json", "content-length": str(len(text)), **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        if step == "reset":
            handler.wfile.write(text[: len(text) // 2])
            self.reset(handler)
            return
        for byte in (text[n : n + 1] for n in range(len(text))) if step == "drip" else (text,):
            handler.wfile.write(byte)
            handler.wfile.flush()
            time.sleep(0.05 if step == "drip" else 0)

    @staticmethod
    def reset(handler: Any) -> None:
        handler.wfile.flush()
        handler.connection.shutdown(socket.SHUT_RDWR)
        handler.close_connection = True


@contextmanager
def claude_here() -> Iterator[Claude]:
    """One that is up for the length of the block."""
    double = Claude()
    try:
        yield double
    finally:
        double.close()
