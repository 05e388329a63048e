"""Requests that make no sense get a proper error, whatever they are, and never reach whoever answers."""

from __future__ import annotations

import http.client
import json
import random
import socket
import threading
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.serve.http.errors import HttpError
from components.serve.http.schema import Asking, read_asking
from components.serve.params import LimitParams
from tests.serve.http.conftest import Answers, Endpoint, up

LIMITS = LimitParams()
ASK = {"role": "user", "content": "Ciao"}
WRONG: dict[str, tuple[Any, int, str | None]] = {
    "no messages": ({}, 400, "messages"),
    "none of them": ({"messages": []}, 400, "messages"),
    "no list": ({"messages": "Ciao"}, 400, "messages"),
    "no question": ({"messages": [ASK, {"role": "assistant", "content": "Ciao"}]}, 400, "messages"),
    "empty": ({"messages": [{"role": "user", "content": " \n"}]}, 400, "messages"),
    "null": ({"messages": [{"role": "user", "content": None}]}, 400, "messages"),
    "an unknown role": ({"messages": [{"role": "tool", "content": "x"}]}, 400, "messages[0].role"),
    "an image": (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x"}}]}]},
        400, "messages[0].content",
    ),
    "a number as text": ({"messages": [{"role": "user", "content": 5}]}, 400, None),
    "too long": ({"messages": [{"role": "user", "content": "x" * 8001}]}, 400, "messages"),
    "too many": ({"messages": [ASK] * 101}, 400, "messages"),
    "two answers": ({"messages": [ASK], "n": 2}, 400, "n"),
    "a stream that is none": ({"messages": [ASK], "stream": "yes"}, 400, "stream"),
    "no tokens": ({"messages": [ASK], "max_tokens": 0}, 400, "max_tokens"),
    "less than none": ({"messages": [ASK], "max_completion_tokens": -1}, 400, "max_completion_tokens"),
    "an absurd answer": ({"messages": [ASK], "max_tokens": 10**10}, 400, "max_tokens"),
    "an absurd answer, by its other name": (
        {"messages": [ASK], "max_completion_tokens": 1_000_001}, 400, "max_completion_tokens",
    ),
    "JSON wanted": ({"messages": [ASK], "response_format": {"type": "json_object"}}, 400, "response_format"),
    "a tool wanted": ({"messages": [ASK], "tool_choice": "required"}, 400, "tool_choice"),
    "sound wanted": ({"messages": [ASK], "modalities": ["audio"]}, 400, "modalities[0]"),
    "another model": ({"messages": [ASK], "model": "../../etc/passwd"}, 404, "model"),
    "a list": ([ASK], 400, None),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_it_says_what_is_wrong_and_where(endpoint: Endpoint, name: str) -> None:
    body, status, param = WRONG[name]
    begun = endpoint.desk.begun
    refused = endpoint.post(json=body)
    error = refused.json()["error"]
    assert (refused.status_code, error["type"]) == (status, "invalid_request_error")
    assert param is None or error["param"].startswith(param)
    assert error["message"] and "passwd" not in error["message"] and endpoint.desk.begun == begun


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"messages": ' + b"[" * 900 + b"]" * 900 + b"}", b"NaN", b"null"],
    ids=["nothing", "half", "no UTF-8", "deep", "deep messages", "NaN", "null"],
)  # fmt: skip
def test_what_is_no_json(endpoint: Endpoint, body: bytes) -> None:
    refused = endpoint.post(content=body, headers={"Content-Type": "application/json"})
    assert refused.status_code == 400 and refused.json()["error"]["code"] in ("invalid_json", "invalid_value")


@pytest.mark.parametrize("path", ["/v1/embeddings", "/docs", "/openapi.json", "/..%2f..%2fetc/passwd", "/v1/models/"])
def test_no_such_path(endpoint: Endpoint, path: str) -> None:
    refused = endpoint.get(path)
    assert refused.status_code == 404 and refused.json()["error"]["type"] == "invalid_request_error"


def test_a_path_that_is_asked_in_another_way(endpoint: Endpoint) -> None:
    refused = endpoint.get("/v1/chat/completions")
    assert refused.status_code == 405 and refused.json()["error"]["code"] == "method_not_allowed"


def test_what_is_not_known_is_ignored_and_named() -> None:
    body = {
        "messages": [ASK],
        "user": "anna",
        "tools": [{}],
        "tool_choice": "auto",
        "new\nfield": 1,
        "logit_bias": None,
    }
    asking = read_asking(json.dumps(body).encode(), limits=LIMITS, model="m")
    assert asking.ignored == ("new\ufffdfield", "tool_choice", "tools", "user")
    many = {"messages": [ASK], **{f"f{number}": 1 for number in range(500)}}
    assert len(read_asking(json.dumps(many).encode(), limits=LIMITS, model="m").ignored) == 20


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
NAMES = ["messages", "model", "stream", "stream_options", "max_tokens", "n", "conversation", "metadata", "tools",
         "response_format", "user"]  # fmt: skip
TURN = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "system", "x"]) | JSON, "content": st.text(max_size=20) | JSON}
)
BODY = st.dictionaries(st.sampled_from(NAMES), JSON, max_size=6) | st.fixed_dictionaries(
    {"messages": st.lists(TURN, max_size=4)}, optional={name: JSON for name in NAMES[1:]}
)


@given(BODY)
def test_any_json_is_a_question_or_an_error_of_the_client(body: Any) -> None:
    try:
        asking = read_asking(json.dumps(body).encode(), limits=LIMITS, model="m")
    except HttpError as error:
        assert error.status in (400, 404) and json.dumps(error.body())
    else:
        assert isinstance(asking, Asking) and asking.question.strip() and asking.conversation != ""


def test_thousands_of_broken_requests_are_all_answered(endpoint: Endpoint) -> None:
    """A whole request with some bytes changed; the endpoint answers each, and a good one after all of them."""
    whole = json.dumps({"messages": [{"role": "user", "content": "Quanto è la caparra?"}], "stream": False}).encode()
    dice = random.Random(7)  # noqa: S311
    statuses: dict[int, int] = {}
    with httpx.Client(timeout=20) as client:
        for _ in range(500):
            body = bytearray(whole)
            for _ in range(dice.randrange(1, 5)):
                body[dice.randrange(len(body))] = dice.randrange(256)
            answer = client.post(
                f"{endpoint.url}/v1/chat/completions", content=bytes(body), headers={"Content-Type": "application/json"}
            )
            statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
    assert set(statuses) <= {200, 400, 404} and statuses[400] > 100
    assert endpoint.post(json={"messages": [ASK]}).status_code == 200


CHUNKED = (
    "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\nContent-Type: {}\r\n\r\n"
)


@pytest.mark.parametrize(
    "data",
    ["nonsense\r\n\r\n", "GET /\r\n\r\n", CHUNKED.format("application/json") + "5\r\n{    no end",
     CHUNKED.format("text/plain") + "5\r\n{    no end"],
    ids=["no request", "no version", "no chunk", "no chunk of what is refused for its type"],
)  # fmt: skip
def test_what_is_no_http_gets_an_error_like_any_other_and_no_traceback(
    endpoint: Endpoint, data: str, caplog: pytest.LogCaptureFixture
) -> None:
    url = urlsplit(endpoint.url)
    with socket.create_connection((url.hostname, url.port), timeout=20) as line:
        line.sendall(data.encode())
        answer = http.client.HTTPResponse(line)
        answer.begin()
        told = json.loads(answer.read())
        assert answer.status == 400 and told["error"]["code"] in ("invalid_http", "invalid_content_type")
        assert line.recv(9) == b""
    assert endpoint.post(json={"messages": [ASK]}).status_code == 200
    assert not [one for one in caplog.records if one.exc_info]


def test_what_is_no_http_behind_a_request_that_is_being_answered_ends_it(
    endpoint: Endpoint, caplog: pytest.LogCaptureFixture
) -> None:
    url, body = urlsplit(endpoint.url), json.dumps({"messages": [ASK], "stream": True})
    with socket.create_connection((url.hostname, url.port), timeout=20) as line:
        line.sendall(
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}nonsense\r\n\r\n".encode()
        )
        got = b"".join(iter(lambda: line.recv(65536), b""))
    assert got.startswith(b"HTTP/1.1 200 ") and b"[DONE]" in got and b"invalid_http" in got
    assert endpoint.is_idle() and not [one for one in caplog.records if one.exc_info]


@pytest.mark.parametrize(
    "parts", [[b""], [b"POST /v1/chat/comple"], [b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", b"GET /hea"]],
    ids=["nothing", "half a line", "half of the next one"],
)  # fmt: skip
def test_a_connection_without_a_whole_request_is_closed(parts: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("components.serve.http.protocol._REQUEST_SECONDS", 0.5)
    with up(Answers()) as here:
        url = urlsplit(here.url)
        with socket.create_connection((url.hostname, url.port), timeout=20) as line:
            *whole, begun = parts
            for part in whole:
                line.sendall(part)
                assert line.recv(65536).startswith(b"HTTP/1.1 200 ")
            line.sendall(begun)
            while line.recv(65536):
                pass


def test_a_request_that_is_whole_has_the_time_of_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("components.serve.http.protocol._REQUEST_SECONDS", 0.2)
    desk = Answers(waits_at=0)
    with up(desk) as here, httpx.Client(timeout=20) as client:
        threading.Timer(1.0, desk.until.set).start()
        for _ in range(2):  # on one connection
            answer = client.post(f"{here.url}/v1/chat/completions", json={"messages": [ASK]})
            assert answer.status_code == 200
