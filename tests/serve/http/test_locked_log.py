"""A usage log that another process has locked: answers come in time, and only what could not be written is missing."""

from __future__ import annotations

import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from components.serve.http.work import Ended
from components.usage import UsageLog, usage_file
from tests.locked import locked
from tests.serve.http.conftest import PIECES, Answers, Endpoint, up

CLIENTS, SECONDS = 16, 3.0


def ask(here: Endpoint, place: int) -> tuple[httpx.Response, float]:
    """Every second one in pieces; the answer, and how long it took (seconds)."""
    begun = time.monotonic()
    answer = here.post(json={"stream": place % 2 == 1, "messages": [{"role": "user", "content": f"Domanda {place}"}]})
    return answer, time.monotonic() - begun


def test_answers_come_in_time_and_rows_are_written_again_after_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = usage_file(tmp_path)

    def record(ended: Ended) -> None:
        log.record(door="serve", question=ended.wanted.question, request=ended.wanted.id, error=ended.fault)

    def rows() -> int:
        with closing(sqlite3.connect(file)) as reader:
            return int(reader.execute("SELECT count(*) FROM query WHERE error IS NULL").fetchone()[0])

    with (
        closing(UsageLog(file)) as log, ThreadPoolExecutor(CLIENTS) as clients,
        up(Answers(), record=record, seconds=SECONDS, at_once=CLIENTS, per_minute=1000,
           feedback=lambda scored: log.feedback(scored.id, score=scored.score)) as here,
    ):  # fmt: skip
        known = here.post(json={"messages": [{"role": "user", "content": "Prima"}]}).json()["id"]
        with locked(file):
            for _ in range(2):  # when it is new, and when it is known
                for answer, seconds in clients.map(lambda place: ask(here, place), range(CLIENTS)):
                    assert answer.status_code == 200 and seconds < SECONDS + 5, answer.text
                    if answer.text.startswith("data: "):
                        assert answer.text.endswith("data: [DONE]\n\n") and "error" not in answer.text
                    else:
                        assert answer.json()["choices"][0]["message"]["content"].startswith("".join(PIECES))
            refused = here.post("/v1/feedback", json={"id": known, "score": 1})
            assert refused.status_code == 503 and refused.json()["error"]["code"] == "not_answered_now"
            assert here.is_idle() and rows() == 1, "each has its slot back"
        assert {answer.status_code for answer, _ in clients.map(lambda place: ask(here, place), range(CLIENTS))} == {
            200
        }
        assert here.is_idle() and rows() == 1 + CLIENTS
        assert here.post("/v1/feedback", json={"id": known, "score": 1}).status_code == 200
    assert caplog.text.count("cannot be used") == caplog.text.count("can be used again") == 1
