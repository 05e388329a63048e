"""A release on probation, asked over HTTP: what counts as an answer, what as an error, and when it is waited for."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from http.server import ThreadingHTTPServer
from typing import Any

import pytest

from components.errors import TerminalError
from components.scale.answers import Answered, numbers_of
from components.scale.endpoint import Endpoint
from components.scale.params import ScaleParams
from components.scale.probation import Asker, NotTakenOverError, faults_of
from components.scale.questions import Question
from components.serve.desk import OF_CANDIDATE
from components.serve.router.confidence import UNSURE
from components.services.process_start import started_at
from tests.loopback import JsonHandler

OURS, OTHER = "a" * 64, "b" * 64
OWN = {"release": OURS, "found": True, "sources": [{"cited": True}, {"cited": False}], "confidence": 0.9,
       "cost_usd": 0.001, "model": "fake/chat", "cached": False, "seconds": 0.01, "tried": []}  # fmt: skip
ASKED = [Question("g1", "Quanto costa?")]


class Double:
    """An endpoint that says what a test wants it to: health by health, answer by answer; the last is said again."""

    def __init__(self) -> None:
        self.health: list[Any] = []
        self.answers: list[Any] = []
        self.bodies: list[Any] = []
        double = self

        class Handler(JsonHandler):
            def do_GET(self) -> None:  # noqa: N802
                told = double.health.pop(0) if len(double.health) > 1 else double.health[0]
                self.say(200 if told.get("ready") else 503, json.dumps(told), "application/json")

            def do_POST(self) -> None:  # noqa: N802
                double.bodies.append(self.read_json())
                status, chunks = double.answers.pop(0) if len(double.answers) > 1 else double.answers[0]
                events = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks)
                self.say(status, events + "data: [DONE]\n\n" * (status == 200), "text/event-stream")

            def say(self, status: int, text: str, kind: str) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Retry-After", "0.01")
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def asker(self, *, pid: int | None = None) -> Asker:
        own = os.getpid() if pid is None else pid
        url = f"http://127.0.0.1:{self.server.server_address[1]}"
        return Asker(Endpoint(own, started_at(own) or "gone", url, "mvp"), key=None, model="cervella", seconds=10)


@pytest.fixture
def double() -> Iterator[Double]:
    made = Double()
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def nothing(done: int, total: int) -> None:
    pass


def stream(**own: Any) -> tuple[int, list[Any]]:
    piece = {"choices": [{"index": 0, "delta": {"content": "Così [1]."}}]}
    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "cervella": {**OWN, **own}}
    return 200, [piece, end, {"choices": [], "usage": {}}]


def ask(double: Double, *answers: Any) -> list[Answered]:
    double.answers = list(answers)
    return double.asker().ask(ASKED, release=OURS, progress=nothing)


def test_an_answer_is_measured(double: Double) -> None:
    [found] = ask(double, stream())
    assert (found.error, found.with_sources, found.cost_usd, found.cited) == (None, True, 0.001, 1)
    assert found.seconds is not None and found.first_token_seconds is not None
    assert 0 < found.first_token_seconds <= found.seconds
    assert double.bodies[0]["stream"] is True and double.bodies[0]["messages"][0]["content"] == "Quanto costa?"


@pytest.mark.parametrize(
    ("who", "why", "error"),
    [
        ("own", "no connection, no answer in time, or a fault of its server", "own_model_failed"),
        ("own", "it failed several times in a row and is left alone for a while", "own_model_failed"),
        ("own", f"{UNSURE}: 0.20, 0.50 is wanted", None),
        ("helper", "it would go over what a question or the month may cost", None),
    ],
    ids=["it failed", "it is left alone", "it was not sure", "the helper failed"],
)
def test_a_helpers_answer_in_place_of_a_model_that_failed_is_an_error(
    double: Double, who: str, why: str, error: str | None
) -> None:
    [found] = ask(double, stream(who="helper", tried=[{"who": who, "why": why, "seconds": 0.1}]))
    assert found.error == error


def test_an_answer_from_the_cache_counts_with_what_it_took_when_the_model_was_asked(double: Double) -> None:
    [found] = ask(double, stream(cached=True, seconds=3.2))
    assert found.seconds == 3.2 and found.first_token_seconds is None
    [found] = ask(
        double, stream(cached=True, seconds=3.2, tried=[{"who": "helper", "why": "it refused", "seconds": 0.5}])
    )
    assert found.seconds == pytest.approx(3.7)
    [found] = ask(double, stream(seconds=3.2))
    assert found.seconds is not None and found.seconds < 3


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((503, []), "HTTP 503"),
        ((200, [{"error": {"code": "not_answered_now"}}]), "not_answered_now"),
        ((200, []), "a stream that ended without an end"),
    ],
    ids=["a status", "an event", "no end"],
)
def test_what_is_no_answer_is_an_error(double: Double, answer: Any, error: str) -> None:
    [found] = ask(double, answer)
    assert found.error == error


def test_another_releases_answer_is_left_out_and_too_many_requests_are_waited_for(double: Double) -> None:
    assert ask(double, stream(release=OTHER)) == []
    [found] = ask(double, (429, []), (429, []), stream())
    assert found.error is None and len(double.bodies) == 4


def test_an_answer_after_a_candidate_that_failed_is_left_out(double: Double) -> None:
    late = {"who": "own", "model": "m", "why": f"{OF_CANDIDATE}no answer in time", "seconds": 60.0, "cost_usd": None}
    assert ask(double, stream(tried=[late])) == [], "its seconds are the candidate's too"


def test_nobody_there_is_an_error(double: Double) -> None:
    asker = double.asker()
    gone = Asker(Endpoint(asker.endpoint.pid, "gone", "http://127.0.0.1:9", "mvp"), key=None, model="m", seconds=1)
    [found] = gone.ask(ASKED, release=OURS, progress=nothing)
    assert found.error == "ConnectError" and gone.health() is None and not gone.follows()
    with pytest.raises(NotTakenOverError, match="has ended"):
        gone.wait_for(OURS, seconds=5)


def health(release: str | None, **values: Any) -> dict[str, Any]:
    return {"ready": True, "release": release, "model": "cervella", "fault": None, **values}


def test_it_is_waited_for_until_it_answers_as_the_release(double: Double) -> None:
    double.health = [health(OTHER), {"ready": False, "release": None}, health(OURS)]
    assert 0.5 <= double.asker().wait_for(OURS, seconds=30) < 30


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ([health(OTHER)], "has not taken it over within 1 s: bbbbbbbbbbbb answers$"),
        ([health(OTHER), health(OTHER, fault="TerminalError")], r"cannot open it \(TerminalError"),
        ([health(OTHER, fault="OSError"), health(OTHER, fault="TerminalError")], r"cannot open it \(TerminalError"),
        ([health(OTHER, fault="OSError")], "bbbbbbbbbbbb answers, and tells OSError"),
    ],
    ids=["nothing happens", "a fault", "another fault", "the fault that was there"],
)
def test_what_does_not_take_it_over_says_why(
    double: Double, told: Any, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("components.scale.probation._FAULT_SECONDS", 0.2)
    double.health = told
    with pytest.raises(NotTakenOverError, match=says):
        double.asker().wait_for(OURS, seconds=1)


def test_a_fault_of_what_could_not_be_opened_before_is_not_believed(
    double: Double, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("components.scale.probation._FAULT_SECONDS", 0.2)
    double.health = [*[health(OTHER, fault="TerminalError: the one before")] * 4, health(OURS)]
    assert double.asker().wait_for(OURS, seconds=30) >= 1.5


@pytest.mark.parametrize(
    ("told", "follows"),
    [(health(OURS), True), (health(None), False), (health(OURS, model="other"), False)],
    ids=["it does", "it answers as the recipe", "another name"],
)
def test_whether_it_follows(double: Double, told: Any, follows: bool) -> None:
    double.health = [told]
    assert double.asker().follows() == follows


def test_who_is_not_let_in_is_told_what_to_write(double: Double) -> None:
    double.health = [{"ready": True}]
    with pytest.raises(TerminalError, match=r"lets nobody in without a key: .* serve\.keys_env"):
        double.asker().follows()


def given(errors: int = 0, seconds: float = 0.1, n: int = 20) -> Callable[[], list[Answered]]:
    return lambda: [
        Answered(f"q{one}", "candidate", "probation", error="x") if one < errors
        else Answered(f"q{one}", "candidate", "probation", seconds=seconds)
        for one in range(n)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        (given(), []),
        (given(errors=1), []),
        (given(errors=2), ["2 of 20 questions without an answer, at most 5% is allowed"]),
        (given(seconds=3.5), ["a 95th percentile of 3.50 s, at most 3 s is allowed"]),
        (given(n=0), ["none of its answers could be measured"]),
    ],
    ids=["good", "one error of twenty", "two", "slow", "none"],
)
def test_the_limits_are_held_as_measured(answers: Any, says: list[str]) -> None:
    assert faults_of(ScaleParams(), numbers_of(answers())) == says


def test_a_key_is_in_no_text_of_who_asks() -> None:
    asker = Asker(Endpoint(1, "now", "http://127.0.0.1:9", "mvp"), key="k" * 20, model="m", seconds=1)
    assert "k" * 20 not in f"{asker!r} {asker}" and asker.key == "k" * 20
