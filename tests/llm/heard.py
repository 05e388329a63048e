"""A server on loopback that stands for a provider and keeps every byte that it is sent."""

from __future__ import annotations

import json

from tests.loopback import JsonHandler, Loopback


class Heard:
    """A server that keeps all bytes that it is sent, and answers like a model, or with a redirect to another place."""

    def __init__(self, *, redirect: str | None = None) -> None:
        self.bytes = b""
        heard = self

        class Handler(JsonHandler):
            def do_POST(self) -> None:
                body = self.read()
                heard.bytes += f"{self.command} {self.path} {self.headers}".encode() + body
                if redirect:
                    self.send_response(307)
                    self.send_header("location", redirect + self.path)
                    self.send_header("content-length", "0")
                    self.end_headers()
                    return
                texts = json.loads(body).get("input", [])
                answer = json.dumps({
                    "id": "1", "object": "list", "model": "m", "created": 1,
                    "data": [{"index": n, "object": "embedding", "embedding": [1.0, 2.0]} for n in range(len(texts))],
                    "choices": [
                        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Sì."}}
                    ],
                    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
                }).encode()  # fmt: skip
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_CONNECT = do_POST

        self._server = Loopback(Handler)
        self.port = self._server.port

    def url(self, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}/v1"

    def close(self) -> None:
        self._server.close()
