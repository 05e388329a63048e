"""Requests that make no sense, drawn from a seed, and a client that sends each of them as it is, byte by byte."""

from __future__ import annotations

import http.client
import json
import random
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

__all__ = ["KINDS", "Malformed", "Sender", "drawn"]

CHAT = "/v1/chat/completions"
ASK: dict[str, Any] = {"messages": [{"role": "user", "content": "Quanto è la caparra?"}]}


@dataclass(frozen=True)
class Malformed:
    """Bytes as they are sent. `ends`: nothing else comes on this connection, which the client closes or half closes."""

    kind: str
    data: bytes
    ends: bool = False


def _request(body: bytes, *, path: str = CHAT, method: str = "POST", **headers: str | None) -> bytes:
    """A request; `None` leaves a header out, `_` in its name stands for `-`."""
    named = {"Host": "127.0.0.1", "Content-Type": "application/json", "Content-Length": str(len(body))}
    named |= {name.replace("_", "-"): value for name, value in headers.items()}  # type: ignore[misc]
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in named.items() if value is not None)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def _asked(dice: random.Random, **changes: Any) -> bytes:
    text = json.dumps({**ASK, **changes}, ensure_ascii=dice.random() < 0.5)
    return _request(text.encode())


def _junk(dice: random.Random, depth: int = 0) -> Any:
    """Any JSON that is no text."""
    return dice.choice([
        lambda: None if depth else [], lambda: dice.random() < 0.5, lambda: dice.randrange(-(2**80), 2**80),
        lambda: dice.random() * 1e300, lambda: {"role": dice.randrange(9)},
        lambda: [_junk(dice, depth + 1) for _ in range(dice.randrange(4))] if depth < 4 else 0,
        lambda: {f"k{dice.randrange(9)}": _junk(dice, depth + 1)} if depth < 4 else 0,
    ])()  # fmt: skip


def _broken_json(dice: random.Random) -> bytes:
    text = json.dumps(ASK).encode()
    cut = text[: dice.randrange(len(text))]
    wrong = [cut, text + b"}", text.replace(b":", b"=", 1), text.replace(b'"', b"'"), b"[" + text, b"// " + text, b"\0"]
    return _request(dice.choice(wrong))


def _wrong_types(dice: random.Random) -> bytes:
    wrong = [
        {"messages": _junk(dice)}, {"messages": [_junk(dice)]},
        {"messages": [{"role": "user", "content": dice.choice([5, True, {"a": 1}, [5], [{"type": "image_url"}]])}]},
        {"messages": [{"role": _junk(dice), "content": "Ciao"}]}, {"stream": dice.choice(["yes", 1, [], {}])},
        {"n": dice.choice([0, 2, "1", 1.5])}, {"max_tokens": dice.choice(["9", 1.5, [], -1, 0, True])},
        {"model": dice.choice([5, [], {}, "gpt-4", "../../etc/passwd"])}, {"stream_options": dice.choice([5, "x", []])},
        {"metadata": dice.choice([5, "x", []])}, {"conversation": dice.choice([5, "", [], "x" * 5000])},
        {"response_format": dice.choice([5, {"type": "json_object"}])}, {"messages": ASK["messages"] * 101},
        {"messages": [{"role": "assistant", "content": "Ciao"}]}, {"tool_choice": "required"}, {"logprobs": True},
    ]  # fmt: skip
    return _asked(dice, **dice.choice(wrong))


def _huge_numbers(dice: random.Random) -> bytes:
    number = dice.choice(["9" * dice.randrange(20, 6000), "1e999", "-1e999", "9" * 300 + ".5", "1" + "0" * 4000 + "e9"])
    name = dice.choice(["max_tokens", "max_completion_tokens", "n", "stream", "messages"])
    rest = "" if name == "messages" else f'"messages": {json.dumps(ASK["messages"])}, '
    return _request(f'{{{rest}"{name}": {number}}}'.encode())


def _deep(dice: random.Random) -> bytes:
    depth = dice.choice([500, 900, 1100, 5000, 60_000])
    left, right = dice.choice([("[", "]"), ('{"a":', "}"), ('{"messages":', "}")])
    nested = left * depth + "0" + right * (depth if dice.random() < 0.7 else 0)
    return _request(f'{{"messages": {nested}}}'.encode()[:255_000])


def _bad_text(dice: random.Random) -> bytes:
    text = json.dumps(ASK, ensure_ascii=False).encode()
    wrong = [b"\xff", b"\xc3\x28", b"\xed\xa0\x80\xff", b"\xf8\x88\x80\x80\x80", b"\x80", b"\0", b"\x1b"]
    place = text.index(b"Quanto") + dice.randrange(4)
    body = text[:place] + dice.choice(wrong) + text[place:]
    return _request(dice.choice([body, b"\xff\xfe" + text, text.decode().encode("utf-16-le")[1:], dice.randbytes(50)]))


def _wrong_path(dice: random.Random) -> bytes:
    path = dice.choice([
        "/v1", "/v1/", "/v1/chat", CHAT + "/", CHAT.upper(), "/v1/embeddings", "/docs", "/openapi.json", "//", "/..",
        "/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/v1/models/%2e%2e%2f%2e%2e", "/v1/models/" + "a" * 5000,
        "/%00", "/%ff%fe", "/" + "%41" * 3000, "/v1/models/\\..\\x", f"/{dice.randrange(10**9)}", "*", "http://x/",
    ])  # fmt: skip
    body = b"" if dice.random() < 0.5 else json.dumps(ASK).encode()
    return _request(body, path=path, method=dice.choice(["GET", "POST"]))


def _wrong_method(dice: random.Random) -> bytes:
    method = dice.choice(["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "FOO", "get", "CONNECT", "PROPFIND"])
    return _request(json.dumps(ASK).encode(), method=method, path=dice.choice([CHAT, "/v1/feedback", "/health", "/"]))


def _wrong_headers(dice: random.Random) -> bytes:
    body = json.dumps(ASK).encode()
    wrong: list[dict[str, str | None]] = [
        {"Content_Type": None}, {"Content_Type": "text/plain"}, {"Content_Type": "application/jsonp"},
        {"Content_Type": "\xff" * 9}, {"Content_Type": "multipart/form-data; boundary=x"}, {"Host": "evil.example"},
        {"Host": "[::1"}, {"Host": ""}, {"Host": None}, {"Host": "127.0.0.1:99999999"[: dice.randrange(1, 9)]},
        {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Origin": "http://["}, {"Host": "\x80.local"},
    ]  # fmt: skip
    return _request(body, **dice.choice(wrong))


def _no_http(dice: random.Random) -> bytes:
    body, good = json.dumps(ASK).encode(), _request(json.dumps(ASK).encode())
    wrong = [
        dice.randbytes(dice.randrange(5, 2000)) + b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + good,  # as TLS begins
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\r\n\r\n",
        b"\r\n\r\nnonsense\r\n\r\n",
        good.replace(b"HTTP/1.1", b"HTTP/1,1"),
        good.replace(b"POST ", b"POST  "),
        good.replace(b"Host:", b"Host :"),
        good.replace(b"Host: 127.0.0.1", b"Host: 127.0.0.1\r\n folded\r\n: nameless"),
        good.replace(b"1\r\n", b"1\0\r\n"),
        good.replace(b"Content-Length:", b"Content-Length: 7\r\nContent-Length:"),
        *(_request(body, Content_Length=length) for length in ("-5", "five", "9" * 99, "999999999", "20")),
        _request(body, Transfer_Encoding="gzip"),
        _request(body, X="y" * 300_000),
        _request(body, path="/" + "a" * 70_000),
        *(_request(text, Content_Length=None, Transfer_Encoding="chunked", Content_Type=kind)
          for text in (b"ZZ\r\nno size\r\n", b"5\r\n{    no end") for kind in ("application/json", "text/plain")),
    ]  # fmt: skip
    return dice.choice(wrong)


def _half(dice: random.Random) -> bytes:
    whole = _request(json.dumps(ASK).encode())
    return whole[: dice.randrange(1, len(whole))]


KINDS: dict[str, Callable[[random.Random], bytes]] = {
    "broken JSON": _broken_json, "wrong types": _wrong_types, "huge numbers": _huge_numbers, "deep": _deep,
    "bad text": _bad_text, "a wrong path": _wrong_path, "a wrong method": _wrong_method,
    "wrong headers": _wrong_headers, "no HTTP": _no_http, "half a request": _half,
}  # fmt: skip
_ENDS = ("no HTTP", "half a request")


def drawn(seed: int, count: int) -> Iterator[Malformed]:
    """So many of them, all kinds in turn."""
    dice = random.Random(seed)
    names = list(KINDS)
    for number in range(count):
        kind = names[number % len(names)]
        yield Malformed(kind, KINDS[kind](dice), ends=kind in _ENDS)


@dataclass
class Sender:
    """Sends over a connection that is kept as long as the server keeps it.

    `statuses`: kind -> what it was answered with, 0: the connection was closed. `wrong`: what no request should get.
    """

    address: tuple[str, int]
    statuses: dict[str, Counter[int]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    connections: int = 0
    _line: socket.socket | None = None

    def send(self, one: Malformed) -> None:
        """Send one, take what comes."""
        fresh = self._line is None
        status = self._answer(one)
        if status == 0 and not fresh and not one.ends:
            status = self._answer(one)  # the server had closed it after the answer before
        self.statuses.setdefault(one.kind, Counter())[status] += 1

    def close(self) -> None:
        if self._line:
            self._line.close()
            self._line = None

    def _answer(self, one: Malformed) -> int:
        if self._line is None:
            self._line = socket.create_connection(self.address, timeout=30)
            self.connections += 1
        status, keeps = 0, False
        try:
            with suppress(BrokenPipeError, ConnectionResetError):  # an answer may have come before all of it was sent
                self._line.sendall(one.data)
            if one.ends:
                with suppress(OSError):
                    self._line.shutdown(socket.SHUT_WR)
            answer = http.client.HTTPResponse(self._line)
            answer.begin()
            status, body = answer.status, answer.read()
            keeps = not answer.will_close and not one.ends
            self._look(one, answer, body)
        except (http.client.RemoteDisconnected, ConnectionResetError):
            pass
        except TimeoutError:
            self.wrong.append(f"{one.kind}: no answer in time: {one.data[:200]!r}")
        if not keeps:
            self.close()
        return status

    def _look(self, one: Malformed, answer: http.client.HTTPResponse, body: bytes) -> None:
        told = f"{one.kind}: {answer.status} {body[:200]!r} to {one.data[:300]!r}"
        if not 400 <= answer.status < 500:
            self.wrong.append(told)
            return
        try:
            error = json.loads(body)["error"]
            is_right = bool(error["message"]) and {"message", "type", "param", "code"} == set(error)
        except (ValueError, KeyError, TypeError):
            is_right = False
        if not is_right or b"Traceback" in body:
            self.wrong.append(told)
