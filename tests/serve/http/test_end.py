"""What clients are told that are still waiting when the server ends."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest

from components.serve.http.work import Ended
from tests.serve.http.conftest import Answers, up
from tests.waiting import soon

SERVER = """
from components.serve.http.app import make_app
from components.serve.http.keys import Keys
from components.serve.http.server import address_of, bind, run
from components.serve.params import LimitParams
from tests.serve.http.conftest import Answers

app = make_app(Answers(waits_at=1), limits=LimitParams(at_once=2), keys=Keys({}), model="m", told=dict)
listening = bind("127.0.0.1", 0)
run(app, listening, grace_seconds=120, ready=lambda: print(address_of(listening), flush=True))
print("Ended.")
"""


class Asked:
    """Some that ask: one whole, one in pieces, each in a thread of its own. `told`: what they were told."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.told: list[tuple[bool, httpx.Response]] = []
        self._threads: list[threading.Thread] = []

    def ask(self, *, stream: bool) -> None:
        thread = threading.Thread(target=self._ask, args=(stream,))
        thread.start()
        self._threads.append(thread)

    def _ask(self, stream: bool) -> None:
        body = {"messages": [{"role": "user", "content": "Ciao"}], "stream": stream}
        self.told.append((stream, httpx.post(f"{self._url}/v1/chat/completions", json=body, timeout=60)))

    def metrics(self) -> str:
        return httpx.get(f"{self._url}/metrics", timeout=60).text

    def join(self) -> None:
        for thread in self._threads:
            thread.join()


def is_refused(answer: httpx.Response) -> bool:
    """With an error as OpenAI's clients know it, and when to ask again."""
    assert answer.headers["content-type"] == "application/json" and answer.headers["cache-control"] == "no-store"
    return answer.status_code == 503 and is_end(answer.json()) and int(answer.headers["retry-after"]) >= 1


def is_end(told: dict[str, dict[str, str]]) -> bool:
    assert set(told["error"]) == {"message", "type", "param", "code"}
    return told["error"]["code"] == "server_ends"


def is_broken_off(answer: httpx.Response) -> bool:
    """A stream that had begun, and ends with an error."""
    *pieces, last = (json.loads(event.removeprefix("data: ")) for event in answer.text.strip().split("\n\n"))
    return answer.status_code == 200 and pieces[0]["choices"][0]["delta"]["content"] == "La caparra " and is_end(last)


def check(asked: Asked, *, has_begun: bool) -> None:
    asked.join()
    assert len(asked.told) == 4
    assert all(is_broken_off(one) if stream and has_begun else is_refused(one) for stream, one in asked.told)


@pytest.mark.parametrize("has_begun", [False, True], ids=["before a piece", "after a piece"])
def test_when_the_grace_is_over_who_waits_has_an_error(has_begun: bool, caplog: pytest.LogCaptureFixture) -> None:
    desk = Answers(waits_at=int(has_begun))
    with up(desk, grace=1, at_once=2) as here:
        asked = Asked(here.url)
        asked.ask(stream=False)
        asked.ask(stream=True)
        assert soon(lambda: desk.begun == 2)
        for _ in range(2):
            asked.ask(stream=False)
        assert soon(lambda: "cervella_waiting 2.0" in asked.metrics())
    check(asked, has_begun=has_begun)
    here.settle(60)
    assert [one.fault for one in here.ended] == ["ServerEnds"] * 2
    assert "Exception" not in caplog.text and "Traceback" not in caplog.text


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "in pieces"])
def test_an_answer_that_waits_for_its_row_alone_is_given_all_the_same(stream: bool) -> None:
    begun, may_end = threading.Event(), threading.Event()

    def record(ended: Ended) -> None:
        begun.set()
        may_end.wait(60)

    with up(Answers(), grace=1, record=record) as here:
        asked = Asked(here.url)
        asked.ask(stream=stream)
        assert begun.wait(20)
    asked.join()
    may_end.set()
    here.settle(60)
    ((_, answer),) = asked.told
    assert answer.status_code == 200 and [one.fault for one in here.ended] == [None]
    if stream:
        assert answer.text.endswith("data: [DONE]\n\n") and "server_ends" not in answer.text
    else:
        assert answer.json()["choices"][0]["finish_reason"] == "stop"


def test_a_second_signal_ends_them_at_once_with_an_error(root: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=root
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", url)
        asked = Asked(url)
        asked.ask(stream=False)
        asked.ask(stream=True)
        assert soon(lambda: "cervella_in_flight 2.0" in asked.metrics())
        for _ in range(2):
            asked.ask(stream=False)
        assert soon(lambda: "cervella_waiting 2.0" in asked.metrics())
        process.send_signal(signal.SIGTERM)
        assert soon(lambda: not listens(url))
        assert not asked.told, "the first signal lets them wait"
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    check(asked, has_begun=True)
    assert (process.returncode, out, err) == (0, "Ended.\n", "")


def listens(url: str) -> bool:
    try:
        httpx.get(url, timeout=20)
    except httpx.TransportError:
        return False
    return True
