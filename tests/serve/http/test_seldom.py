"""Lines that anybody can cause: one in a while, with how many were left out."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from components.serve.http.seldom import Seldom
from tests.serve.http.conftest import Endpoint
from tests.waiting import soon


class Lines(logging.Handler):
    def __init__(self, *, clock: list[float]) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.addFilter(Seldom(seconds=60, clock=lambda: clock[0]))

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@pytest.fixture
def clock() -> list[float]:
    return [0.0]


@pytest.fixture
def lines(clock: list[float]) -> Iterator[Lines]:
    """What is written of the HTTP server's lines."""
    made, log = Lines(clock=clock), logging.getLogger("uvicorn.error")
    log.addHandler(made)
    yield made
    log.removeHandler(made)


def test_one_of_a_kind_a_minute_and_the_next_says_how_many_were_left_out(lines: Lines, clock: list[float]) -> None:
    log = logging.getLogger("uvicorn.error")
    for _ in range(1000):
        log.warning("Invalid %s.", "request")
    log.error("Invalid %s.", "request")
    clock[0] = 60
    log.warning("Invalid %s.", "answer")
    log.warning("Invalid %s.", "answer")
    assert lines.lines == [
        "Invalid request.", "Invalid request.",
        "Invalid answer. (and 999 more like it since the last line of this kind)",
    ]  # fmt: skip


def test_lines_that_all_differ_are_bounded_too(lines: Lines) -> None:
    for number in range(1000):
        logging.getLogger("uvicorn.error").warning(f"line {number}")  # noqa: G004 - as a library may write it
    assert len(lines.lines) == 51


def test_a_port_scanner_fills_no_log(endpoint: Endpoint, lines: Lines) -> None:
    url = urlsplit(endpoint.url)
    for place in range(50):
        ask = b"\x16\x03\x01\x00\xa5 TLS\r\n\r\n" if place % 2 else (
            f"GET /health HTTP/1.1\r\nHost: {url.netloc}\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n".encode()
        )  # fmt: skip
        with socket.create_connection((url.hostname, url.port), timeout=20) as line:
            line.sendall(ask)
            assert line.recv(12) == (b"HTTP/1.1 400" if place % 2 else b"HTTP/1.1 200")
    assert soon(lambda: lines.lines) and lines.lines == ["Invalid HTTP request received."]
