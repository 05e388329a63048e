"""Answers in pieces from an endpoint on loopback that speaks the OpenAI interface."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.errors import CervellaError, TerminalError, TransientError
from components.llm import Budget, Chat, Reply, load_chat
from tests.loopback import JsonHandler, Loopback
from tests.waiting import soon

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:litellm.*"),
    pytest.mark.usefixtures("quick_retries"),
]
HELLO: Any = [{"role": "user", "content": "Ciao?"}]
KEY = "sk-test-9f8e7d6c5b4a39281706f5e4d3c2b1a0"
USAGE = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}


class Streamer:
    """`plan` is what the next requests get.

    A number is a status, "json" an answer in one. Cut after the first word: "break" with a reset, "end" and "close" as
    by a proxy whose backend is gone: the body ends as it should, chunked or with the connection; "begin" and "empty"
    before the first word. "silent" says nothing after the first word, "mute" not even headers, until `heard` is set.
    """

    def __init__(self) -> None:
        self.plan: list[Any] = []
        self.words = ["Una", " risposta", " in", " pezzi."]
        self.usage: dict[str, int] | None = USAGE
        self.pause = 0.0
        self.plain = False
        self.requests: list[dict[str, Any]] = []
        self.written = 0
        self.heard = threading.Event()
        self.hung_up = threading.Event()
        double = self

        class Handler(JsonHandler):
            def do_POST(self) -> None:
                body = self.read_json()
                double.requests.append({"key": self.headers["authorization"], "body": body})
                try:
                    double.answer(self, double.plan.pop(0) if double.plan else None)
                except OSError:
                    double.hung_up.set()
                    self.close_connection = True

        self.server = Loopback(Handler)
        self.url = f"{self.server.url}/v1"

    def answer(self, handler: Any, step: Any) -> None:
        if isinstance(step, int) or step == "json":
            text = json.dumps({"error": {"message": f"no {KEY}"}} if isinstance(step, int) else {}).encode()
            handler.send_response(step if isinstance(step, int) else 200)
            handler.send_header("content-type", "application/json")
            handler.send_header("content-length", str(len(text)))
            handler.end_headers()
            handler.wfile.write(text)
            return
        if step == "mute":
            self.heard.wait(60)
        handler.send_response(200)
        handler.send_header("content-type", "text/event-stream")
        handler.send_header(*(("connection", "close") if step == "close" else ("transfer-encoding", "chunked")))
        handler.end_headers()
        if step == "begin":
            self.send(handler, {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]})
        if step in ("begin", "empty"):
            handler.wfile.write(b"0\r\n\r\n")
            return
        self.plain = step == "close"
        for word in self.words:
            time.sleep(self.pause)
            self.send(handler, {"choices": [{"index": 0, "delta": {"role": "assistant", "content": word}}]})
            self.written += 1
            if step == "silent":
                self.heard.wait(60)
            if step in ("end", "close"):
                handler.wfile.write(b"" if step == "close" else b"0\r\n\r\n")
                handler.close_connection = True
                return
            if step == "break":
                handler.connection.shutdown(socket.SHUT_RDWR)
                handler.close_connection = True
                return
        self.send(handler, {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        if self.usage:
            self.send(handler, {"choices": [], "usage": self.usage})
        self.chunk(handler, b"data: [DONE]\n\n")
        handler.wfile.write(b"0\r\n\r\n")

    def send(self, handler: Any, event: dict[str, Any]) -> None:
        about = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini-2024-07-18"}
        self.chunk(handler, f"data: {json.dumps({**about, **event})}\n\n".encode())

    def chunk(self, handler: Any, data: bytes) -> None:
        handler.wfile.write(data if self.plain else f"{len(data):x}\r\n".encode() + data + b"\r\n")
        handler.wfile.flush()


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Streamer]:
    monkeypatch.setenv("MY_TEST_KEY", KEY)
    double = Streamer()
    yield double
    double.heard.set()
    double.server.close()


def chat_at(endpoint: Streamer, **changes: Any) -> Chat:
    return load_chat(**{
        "model": "openai/gpt-4o-mini", "temperature": 0.0, "max_tokens": 50, "context_tokens": 8192,
        "timeout_seconds": 20.0, "retries": 2, "seed": 13, "api_key_env": "MY_TEST_KEY", "api_base": endpoint.url,
        **changes,
    })  # fmt: skip


def taken(chat: Chat, **changes: Any) -> tuple[list[str], Reply]:
    *pieces, reply = chat.stream(HELLO, local_notes=(), **changes)
    assert isinstance(reply, Reply)
    return pieces, reply


PROVIDERS = ["openai/gpt-4o-mini", "hosted_vllm/gpt-4o-mini"]
"""A client of OpenAI's, and one of litellm's own."""


@pytest.mark.parametrize("model", PROVIDERS)
def test_the_pieces_come_as_they_are_made_with_what_they_cost(endpoint: Streamer, model: str) -> None:
    pieces, reply = taken(chat_at(endpoint, model=model))
    assert pieces == endpoint.words and reply.text == "Una risposta in pezzi."
    assert (reply.prompt_tokens, reply.completion_tokens, reply.finish_reason) == (1000, 100, "stop")
    assert (reply.is_local, reply.cached, reply.tries) == (False, False, 1)
    (sent,) = endpoint.requests
    assert sent["key"] == f"Bearer {KEY}"
    assert sent["body"]["stream"] and sent["body"]["stream_options"] == {"include_usage": True}
    assert (sent["body"]["messages"], sent["body"]["max_tokens"], sent["body"]["temperature"]) == (HELLO, 50, 0.0)


def test_it_costs_what_the_list_says(endpoint: Streamer) -> None:
    budget = Budget(per_run_usd=1.0, per_query_usd=1.0)
    _, reply = taken(chat_at(endpoint, budget=budget))
    assert reply.cost_usd == pytest.approx(1000 * 0.15e-6 + 100 * 0.6e-6) == budget.spent_usd
    assert reply.model.endswith("gpt-4o-mini")


def test_usage_that_nobody_told_is_unknown(endpoint: Streamer) -> None:
    endpoint.usage = None
    budget = Budget(per_run_usd=1.0, per_query_usd=1.0)
    _, reply = taken(chat_at(endpoint, budget=budget))
    assert (reply.cost_usd, reply.prompt_tokens, budget.unknown_calls) == (None, 0, 1)
    assert budget.spent_usd > 0, "the most that it may have cost"


@pytest.mark.parametrize("model", PROVIDERS)
def test_closing_the_stream_closes_the_connection(endpoint: Streamer, model: str) -> None:
    endpoint.words, endpoint.pause = ["parola "] * 3000, 0.01
    budget = Budget(per_run_usd=1.0, per_query_usd=1.0)
    stream = chat_at(endpoint, model=model, budget=budget).stream(HELLO, local_notes=())
    assert next(stream) == "parola "
    stream.close()
    assert endpoint.hung_up.wait(15), "the server still writes"
    assert endpoint.written < 2500
    assert budget.spent_usd > 0 or budget.unknown_calls == 1


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_transient_error_before_the_first_piece_is_tried_again(endpoint: Streamer, status: int) -> None:
    endpoint.plan = [status]
    assert taken(chat_at(endpoint))[1].tries == 2


@pytest.mark.parametrize("model", PROVIDERS)
def test_a_connection_that_breaks_after_a_piece_is_told_and_not_tried_again(endpoint: Streamer, model: str) -> None:
    endpoint.plan = ["break"] * 5
    budget = Budget(per_run_usd=1.0, per_query_usd=1.0)
    stream = chat_at(endpoint, model=model, budget=budget).stream(HELLO, local_notes=())
    assert next(stream) == "Una"
    with pytest.raises(CervellaError):
        list(stream)
    assert len(endpoint.requests) == 1
    assert budget.spent_usd > 0 or budget.unknown_calls == 1


@pytest.mark.parametrize("model", PROVIDERS)
@pytest.mark.parametrize("cut", ["end", "close"])
def test_a_stream_that_ends_as_if_it_were_whole_is_told_and_not_cached(
    endpoint: Streamer, model: str, cut: str, tmp_path: Path
) -> None:
    endpoint.plan = [cut]
    budget = Budget(per_run_usd=1.0, per_query_usd=1.0)
    chat = chat_at(endpoint, model=model, budget=budget, cache=tmp_path / "responses.sqlite")
    stream = chat.stream(HELLO, local_notes=())
    assert next(stream) == "Una"
    with pytest.raises(TransientError, match="broke off"):
        list(stream)
    assert len(endpoint.requests) == 1 and (budget.spent_usd > 0 or budget.unknown_calls == 1)
    assert taken(chat)[1].text == "Una risposta in pezzi." and len(endpoint.requests) == 2
    assert taken(chat)[1].cached


@pytest.mark.parametrize("model", PROVIDERS)
@pytest.mark.parametrize("cut", ["begin", "empty"])
def test_a_stream_that_ends_before_its_first_piece_is_tried_again(endpoint: Streamer, model: str, cut: str) -> None:
    endpoint.plan = [cut]
    assert taken(chat_at(endpoint, model=model))[1].tries == 2


def test_a_refused_key_is_told_and_not_shown(endpoint: Streamer) -> None:
    endpoint.plan = [401]
    with pytest.raises(TerminalError, match="MY_TEST_KEY") as caught:
        taken(chat_at(endpoint))
    assert KEY not in str(caught.value) and caught.value.__context__ is None


def test_an_endpoint_that_does_not_stream_is_told(endpoint: Streamer) -> None:
    endpoint.plan = ["json"]
    with pytest.raises(TerminalError, match="OpenAI-compatible"):
        taken(chat_at(endpoint))


def test_a_whole_answer_must_be_there_in_time_and_may_be_charged(endpoint: Streamer) -> None:
    endpoint.words, endpoint.pause = ["parola "] * 3000, 0.05
    budget = Budget(per_run_usd=1.0, per_query_usd=1.0)
    stream = chat_at(endpoint, timeout_seconds=2.0, budget=budget).stream(HELLO, local_notes=())
    with pytest.raises(TransientError, match="timeout_seconds"):
        list(stream)
    assert len(endpoint.requests) == 1 and budget.spent_usd > 0
    assert endpoint.hung_up.wait(15)


def calls(model: str) -> list[threading.Thread]:
    """Threads of calls that are under way."""
    return [thread for thread in threading.enumerate() if thread.name == model]


@pytest.mark.parametrize("model", PROVIDERS)
def test_a_silent_endpoint_that_is_left_keeps_no_thread_and_no_connection(endpoint: Streamer, model: str) -> None:
    endpoint.plan = ["silent"] * 5
    chat = chat_at(endpoint, model=model, timeout_seconds=60.0)
    streams = [chat.stream(HELLO, local_notes=()) for _ in range(5)]
    assert [next(stream) for stream in streams] == ["Una"] * 5
    assert len(calls(model)) == 5
    for stream in streams:
        stream.close()
    assert soon(lambda: not calls(model)), "they wait for their time-out"
    assert taken(chat)[1].text == "Una risposta in pezzi."


@pytest.mark.parametrize("model", PROVIDERS)
def test_of_calls_without_a_word_that_were_left_there_are_few(
    endpoint: Streamer, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("components.llm.remote._MOST_LEFT", 3)
    endpoint.plan = ["mute"] * 3
    chat = chat_at(endpoint, model=model, timeout_seconds=60.0, retries=0)
    for number in range(3):
        stream = chat.stream(HELLO, local_notes=(), beat_seconds=0.01)
        assert next(stream) == ""
        assert soon(lambda sent=number: len(endpoint.requests) > sent)  # type: ignore[misc]
        stream.close()
    with pytest.raises(TransientError, match="3 calls that were given up"):
        taken(chat)
    assert len(endpoint.requests) == 3
    endpoint.heard.set()
    assert soon(lambda: not calls(model)), "they see that they were left as soon as they are answered"
    assert taken(chat)[1].text == "Una risposta in pezzi."


def test_a_silent_endpoint_can_be_left_at_a_beat(endpoint: Streamer) -> None:
    endpoint.pause = 5.0
    stream = chat_at(endpoint).stream(HELLO, local_notes=(), beat_seconds=0.05)
    assert next(stream) == ""
    stream.close()
