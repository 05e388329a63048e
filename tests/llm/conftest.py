"""A real HTTP endpoint on loopback that speaks the OpenAI interface and misbehaves as it is told."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.loopback import JsonHandler, Loopback

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")

KEY = "sk-test-9f8e7d6c5b4a39281706f5e4d3c2b1a0"


class OpenAIDouble:
    """`plan` holds what the next requests get, in order; when it is empty, all is well."""

    def __init__(self) -> None:
        self.plan: list[Any] = []
        self.requests: list[dict[str, Any]] = []
        self.answering_model = "gpt-4o-mini-2024-07-18"
        self.usage: dict[str, int] | None = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
        self.embed: Callable[[list[str]], list[Any]] = lambda texts: [[float(len(text)), 1.0, 2.0] for text in texts]
        double = self

        class Handler(JsonHandler):
            def do_POST(self) -> None:
                body = self.read_json()
                double.requests.append({"path": self.path, "key": self.headers.get("authorization"), "body": body})
                try:
                    double._answer(self, body)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

        self._server = Loopback(Handler)
        self.url = f"{self._server.url}/v1"

    def close(self) -> None:
        self._server.close()

    def _answer(self, handler: JsonHandler, body: dict[str, Any]) -> None:
        step = self.plan.pop(0) if self.plan else None
        if isinstance(step, float):
            time.sleep(step)
        elif step == "hang up":
            handler.connection.shutdown(socket.SHUT_RDWR)
            handler.close_connection = True
            return
        elif step == "drip":
            handler.send_response(200)
            handler.send_header("content-type", "application/json")
            handler.send_header("content-length", "1000")
            handler.end_headers()
            for _ in range(100):
                handler.wfile.write(b" ")
                handler.wfile.flush()
                time.sleep(0.05)
            return
        elif isinstance(step, (dict, bytes)):
            self._send(handler, 200, step if isinstance(step, bytes) else json.dumps(step).encode())
            return
        elif isinstance(step, tuple):
            status, payload, headers = (*step, {})[:3]
            text = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
            self._send(handler, status, text, headers)
            return
        good = self._embedding(body) if handler.path.endswith("/embeddings") else self._completion()
        self._send(handler, 200, json.dumps(good).encode())

    def _completion(self) -> dict[str, Any]:
        message = {"role": "assistant", "content": f"answer {len(self.requests)}"}
        return {
            "id": "x", "object": "chat.completion", "created": 1, "model": self.answering_model,
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": self.usage,
        }  # fmt: skip

    def _embedding(self, body: dict[str, Any]) -> dict[str, Any]:
        data = [{"object": "embedding", "index": i, "embedding": v} for i, v in enumerate(self.embed(body["input"]))]
        return {
            "object": "list", "model": body["model"], "data": data[::-1],
            "usage": {"prompt_tokens": 10, "total_tokens": 10},
        }  # fmt: skip

    @staticmethod
    def _send(handler: JsonHandler, status: int, text: bytes, headers: Any = ()) -> None:
        handler.send_response(status)
        handler.send_header("content-type", "application/json")
        handler.send_header("content-length", str(len(text)))
        for name, value in dict(headers).items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(text)


@pytest.fixture
def openai(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIDouble]:
    double = OpenAIDouble()
    monkeypatch.setenv("MY_TEST_KEY", KEY)
    yield double
    double.close()


@pytest.fixture
def key() -> str:
    return KEY


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same tries, without a second of back-off between them."""
    monkeypatch.setattr("components.llm.remote.RemoteChat.backoff_seconds", 0.01)
    monkeypatch.setattr("components.llm.remote.RemoteEmbedder.backoff_seconds", 0.01)
