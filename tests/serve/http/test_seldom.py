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
def lines(clock: list[float]) -> Lines:
    return Lines(clock=clock)


@pytest.fixture
def log(lines: Lines) -> logging.Logger:
    """No other test writes to it, nor sets its level, nor has a handler there."""
    made = logging.Logger("uvicorn.error")
    made.addHandler(lines)
    return made


@pytest.fixture
def of_the_server(lines: Lines) -> Iterator[Lines]:
    """What is written of the HTTP server's lines."""
    log = logging.getLogger("uvicorn.error")
    log.addHandler(lines)
    yield lines
    log.removeHandler(lines)


MORE = " (and {} more like it since the last line of this kind)"


def test_one_of_a_kind_a_minute_and_the_next_says_how_many_were_left_out(
    log: logging.Logger, lines: Lines, clock: list[float]
) -> None:
    for _ in range(1000):
        log.warning("Invalid %s.", "request")
    log.error("Invalid %s.", "request")
    clock[0] = 60
    log.warning("Invalid %s.", "answer")
    log.warning("Invalid %s.", "answer")
    assert lines.lines == ["Invalid request.", "Invalid request.", "Invalid answer." + MORE.format(999)]


def test_lines_that_all_differ_are_bounded_too(log: logging.Logger, lines: Lines) -> None:
    for number in range(1000):
        log.warning(f"line {'x' * (number % 400)}{'y' * (number // 400)}")  # noqa: G004 - as a library may write it
    assert len(lines.lines) == 51


def raised(error: Exception) -> Exception:
    try:
        raise error
    except Exception as caught:
        return caught


def raised_elsewhere(error: Exception) -> Exception:
    try:
        raise error
    except Exception as caught:
        return caught


@pytest.mark.parametrize("grouped", [False, True], ids=["alone", "in a group"])
def test_two_faults_under_one_text_are_two_kinds_and_one_that_comes_again_is_one(
    log: logging.Logger, lines: Lines, clock: list[float], grouped: bool
) -> None:
    for number in range(3):
        for error in (raised(ValueError(number)), raised(KeyError(number)), raised_elsewhere(ValueError(number))):
            shown = raised(ExceptionGroup("unhandled errors in a TaskGroup", [error])) if grouped else error
            log.error("Exception in ASGI application\n", exc_info=shown)
    assert len(lines.lines) == 3
    clock[0] = 60
    log.error("Exception in ASGI application\n", exc_info=raised(KeyError(3)))
    assert lines.lines[3] == "Exception in ASGI application\n" + MORE.format(2)


def test_objects_in_the_text_make_no_kinds(log: logging.Logger, lines: Lines) -> None:
    for number in range(100):
        log.error(
            f"Task exception was never retrieved\nfuture: <Task finished name='Task-{number}' at {hex(number)}>"  # noqa: G004
        )
        log.error(f"Exception in callback <Handle answer({number}, b'{'x' * number}') at /app.py:{number}>")  # noqa: G004
        log.error(f"cannot take from ('10.0.0.{number}', {number}), 0x7f{number:x}")  # noqa: G004
    assert [one.split()[0] for one in lines.lines] == ["Task", "Exception", "cannot"]


def test_kinds_whose_minute_is_over_make_room(log: logging.Logger, lines: Lines, clock: list[float]) -> None:
    def many(letter: str) -> None:
        for number in range(50):
            log.warning(letter * (number + 1))

    many("a")
    log.warning("a")
    log.warning("no room: it shares a turn")
    clock[0], lines.lines[:] = 60, []
    many("b")
    assert lines.lines == ["b" * (number + 1) for number in range(50)]
    clock[0], lines.lines[:] = 120, []
    for text in ("a", "b"):
        log.warning(text)
    assert lines.lines == ["a", "b"]


def test_a_kind_with_something_to_tell_gives_its_place_last(
    log: logging.Logger, lines: Lines, clock: list[float]
) -> None:
    for number in range(50):
        log.warning("a" * (number + 1))
    log.warning("a")
    clock[0] = 60
    for number in range(49):
        log.warning("b" * (number + 1))
    log.warning("a")
    assert lines.lines[-1] == "a" + MORE.format(1)


def test_a_line_whose_arguments_do_not_fit_raises_nothing_for_who_wrote_it(
    log: logging.Logger, lines: Lines, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[logging.LogRecord] = []
    monkeypatch.setattr(lines, "emit", told.append)
    for _ in range(2):
        log.warning("%d of them", "many")
    clock[0] = 60
    log.warning("%d of them", "many")
    assert [one.msg for one in told] == ["%d of them", "%d of them" + MORE.format(1)]


def test_a_port_scanner_fills_no_log(endpoint: Endpoint, of_the_server: Lines) -> None:
    url = urlsplit(endpoint.url)
    for place in range(50):
        ask = b"\x16\x03\x01\x00\xa5 TLS\r\n\r\n" if place % 2 else (
            f"GET /health HTTP/1.1\r\nHost: {url.netloc}\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n".encode()
        )  # fmt: skip
        with socket.create_connection((url.hostname, url.port), timeout=20) as line:
            line.sendall(ask)
            assert line.recv(12) == (b"HTTP/1.1 400" if place % 2 else b"HTTP/1.1 200")
    invalid = "Invalid HTTP request received."
    assert soon(lambda: invalid in of_the_server.lines)
    assert [one for one in of_the_server.lines if "HTTP" in one or "pgrade" in one] == [invalid]
