"""How long a request is looked at before it is refused: one loop reads them all."""

from __future__ import annotations

import json
import time

import pytest

from components.serve.http.errors import HttpError
from components.serve.http.schema import read_asking
from components.serve.params import LimitParams

LIMITS = LimitParams()
LARGEST = LIMITS.body_kilobytes * 1000
ASK = '{"role":"user","content":"Ciao"}'
MANY = {  # before and after as many of it as a request may hold -> where the fault is
    "no turns": ('{"messages":[', "{}", "]}", "messages"),
    "numbers as turns": ('{"messages":[', "1", "]}", "messages"),
    "turns": ('{"messages":[', ASK, "]}", "messages"),
    "no parts": ('{"messages":[{"role":"user","content":[', "{}", "]}]}", "messages[0].content"),
    "numbers as parts": ('{"messages":[{"role":"user","content":[', "1", "]}]}", "messages[0].content"),
    "modalities": (f'{{"messages":[{ASK}],"modalities":[', "1", "]}", "modalities[0]"),
    "names": (f'{{"messages":[{ASK}],"metadata":[', "1", "]}", "metadata"),
}


def refused(body: bytes) -> HttpError:
    with pytest.raises(HttpError) as error:
        read_asking(body, limits=LIMITS, model="m")
    return error.value


@pytest.mark.parametrize("name", MANY)
def test_thousands_of_faults_cost_hardly_more_than_reading_them(name: str) -> None:
    before, one, after, where = MANY[name]
    body = (before + ",".join([one] * ((LARGEST - len(before) - len(after)) // (len(one) + 1))) + after).encode()
    assert LARGEST - 100 < len(body) <= LARGEST
    took, read = [], []
    for _ in range(5):  # of this thread alone, the best of five: others are at work on this machine
        begun = time.thread_time()
        json.loads(body)
        read.append(time.thread_time() - begun)
        begun = time.thread_time()
        assert refused(body).param == where
        took.append(time.thread_time() - begun)
    assert min(took) < 6 * min(read) + 0.005  # each fault listed: 12 to 50 times


def test_more_messages_than_are_taken_are_told_before_what_is_wrong_with_one() -> None:
    body = json.dumps({"messages": [{}] * (LIMITS.messages + 1)}).encode()
    assert (refused(body).status, refused(body).code) == (400, "too_many_messages")
    assert refused(json.dumps({"messages": [{}] * LIMITS.messages}).encode()).param == "messages[0].role"
