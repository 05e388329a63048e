"""What one request, one key and all together may take; who is let in; and that work ends which nobody waits for."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from urllib.parse import urlsplit

import httpx
import pytest

from components.errors import InputError
from components.serve.http.errors import HttpError
from components.serve.http.keys import Keys
from components.serve.http.limits import Rate
from tests.serve.http.conftest import Answers, Endpoint, up
from tests.waiting import soon

ASK = {"messages": [{"role": "user", "content": "Ciao"}]}
KEY = "k" * 16
KEYS = Keys.read(f"anna:{KEY}, {'b' * 20}", what="KEYS")


def test_keys_are_let_in_by_name_and_compared_whole() -> None:
    assert KEYS.name_of(f"Bearer {KEY}") == "anna" and KEYS.name_of(f"bearer  {'b' * 20}") == "key-2"
    for wrong in (None, "", KEY, "Bearer", f"Bearer {KEY}x", f"Basic {KEY}", "Bearer \udcff"):
        assert KEYS.name_of(wrong) is None
    assert Keys({}).name_of(None) == ""


@pytest.mark.parametrize(
    "text", ["", " , ", "short", "anna:short", f"a:{KEY},b:{KEY}", f"a:{KEY},a:{KEY}x", "ü" * 20, "a b " * 5],
    ids=["none", "commas", "short", "short with a name", "same key", "same name", "no ascii", "spaces"],
)  # fmt: skip
def test_keys_that_are_none_are_refused_without_being_told(text: str) -> None:
    with pytest.raises(InputError) as refused:
        Keys.read(text, what="KEYS")
    assert "KEYS" in str(refused.value) and not [part for part in (KEY, "short", "ü") if part in str(refused.value)]


def test_only_who_has_a_key_learns_anything() -> None:
    with up(Answers(), keys=KEYS) as here:
        for path in ("/v1/models", "/v1/models/cervella", "/metrics"):
            assert here.get(path).status_code == 401
        refused = here.post(json=ASK, headers={"Authorization": "Bearer wrong"})
        assert refused.status_code == 401 and refused.json()["error"]["code"] == "invalid_api_key"
        assert refused.headers["www-authenticate"] == "Bearer"
        assert here.post("/v1/feedback", json={}).status_code == 401
        assert here.get("/health").json() == {"ready": True}
        mine = {"Authorization": f"Bearer {KEY}"}
        assert here.post(json=ASK, headers=mine).status_code == 200 and here.desk.wanted[0].key == "anna"
        assert here.get("/health", headers=mine).json()["release"] == "r" * 64
        assert here.post(json=ASK, headers={**mine, "Host": "chat.example", "Origin": "http://x"}).status_code == 200


def _refused(endpoint: Endpoint) -> float:
    line = 'cervella_requests_total{path="/v1/chat/completions",status="403"} '
    return next((float(one.removeprefix(line)) for one in endpoint.numbers().splitlines() if line in one), 0.0)


@pytest.mark.parametrize(
    "headers",
    [{"Host": "evil.example"}, {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Host": "[::1"},
     {"Origin": "http://localhost:1"}, {"Origin": "http://["}, {"Origin": "http://[::1"}],
    ids=["another name", "another site", "no site", "no name", "another port", "no address", "half an address"],
)  # fmt: skip
def test_without_keys_no_other_site_may_ask(endpoint: Endpoint, headers: dict[str, str]) -> None:
    begun, counted = endpoint.desk.begun, _refused(endpoint)
    refused = endpoint.post(json=ASK, headers=headers)
    assert refused.status_code == 403 and refused.json()["error"]["code"] == "not_from_here"
    assert refused.headers["x-content-type-options"] == "nosniff" and _refused(endpoint) == counted + 1
    assert endpoint.desk.begun == begun


def test_a_form_of_another_site_is_no_request(endpoint: Endpoint) -> None:
    refused = endpoint.post(content=json.dumps(ASK), headers={"Content-Type": "text/plain"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "invalid_content_type")


def test_a_minute_holds_so_many_requests_of_a_key() -> None:
    now = [0.0]
    rate = Rate(2, clock=lambda: now[0])
    rate.count("anna")
    now[0] = 30.0
    rate.count("anna")
    with pytest.raises(HttpError) as refused:
        rate.count("anna")
    assert (refused.value.status, refused.value.headers()) == (429, {"Retry-After": "30"})
    rate.count("bruno")
    now[0] = 60.0
    rate.count("anna")
    with pytest.raises(HttpError):
        rate.count("anna")


def test_too_many_requests_of_a_key_are_429_and_another_key_is_not() -> None:
    with up(Answers(), keys=KEYS, per_minute=2) as here:
        mine, other = {"Authorization": f"Bearer {KEY}"}, {"Authorization": f"Bearer {'b' * 20}"}
        codes = [here.post(json=ASK, headers=mine).status_code for _ in range(3)]
        assert codes == [200, 200, 429]
        assert 0 < int(here.post(json=ASK, headers=mine).headers["retry-after"]) <= 61
        assert here.post(json=ASK, headers=other).status_code == 200


def test_a_large_request_is_refused_before_it_is_read(endpoint: Endpoint) -> None:
    url = urlsplit(endpoint.url)
    with socket.create_connection((url.hostname, url.port), timeout=10) as line:
        line.sendall(
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Type: application/json\r\n"
            "Content-Length: 999999999\r\n\r\n".encode()
        )
        assert line.recv(4096).startswith(b"HTTP/1.1 413")
    large = (b" " * 1000 for _ in range(400))  # in chunks: no header tells its length
    try:
        status = endpoint.post(content=large, headers={"Content-Type": "application/json"}).status_code
    except httpx.WriteError:  # answered and closed while the rest was on its way
        status = 413
    assert status == 413
    assert endpoint.post(json=ASK).status_code == 200


def test_more_than_may_wait_are_refused_and_the_others_answered() -> None:
    desk = Answers(waits_at=0)
    with up(desk, at_once=2, waiting=1) as here:
        done: list[int] = []
        threads = [threading.Thread(target=lambda: done.append(here.post(json=ASK).status_code)) for _ in range(3)]
        for thread in threads:
            thread.start()
        assert soon(lambda: "cervella_waiting 1.0" in here.numbers() and "in_flight 2.0" in here.numbers())
        refused = here.post(json=ASK)
        assert refused.status_code == 503 and refused.json()["error"]["code"] == "full"
        assert int(refused.headers["retry-after"]) >= 1
        desk.until.set()
        for thread in threads:
            thread.join()
        assert done == [200, 200, 200] and desk.begun == 3


@pytest.mark.parametrize("stream", [False, True])
def test_a_request_that_takes_too_long_is_504_and_its_slot_is_free_again(stream: bool) -> None:
    desk = Answers(waits_at=0)
    with up(desk, at_once=1, seconds=0.3) as here:
        late = here.post(json={**ASK, "stream": stream})
        assert late.status_code == 504 and late.json()["error"]["type"] == "timeout_error"
        assert here.is_idle() and desk.closed == 1 and here.ended[0].fault == "TimedOut"
        assert desk.wanted[0].deadline is not None
        desk.waits_at = None
        assert here.post(json=ASK).status_code == 200


def test_a_stream_that_takes_too_long_ends_with_an_error() -> None:
    with up(Answers(waits_at=2), seconds=0.5) as here:
        events = here.post(json={**ASK, "stream": True}).text.strip().split("\n\n")
        assert len(events) == 3 and json.loads(events[-1].removeprefix("data: "))["error"]["code"] == "timeout"
        assert here.is_idle() and here.desk.closed == 1


def test_threads_that_do_not_come_back_never_pile_up() -> None:
    desk = Answers(waits_at=0, beats=False)  # blocked in something that cannot be ended
    with up(desk, at_once=2, waiting=0, seconds=0.2) as here:
        codes = [here.post(json=ASK).status_code for _ in range(6)]
        assert codes == [504, 504, 503, 503, 503, 503]
        assert desk.begun == 2 and "cervella_in_flight 2.0" in here.numbers()
        desk.until.set()
        assert here.is_idle() and here.post(json=ASK).status_code == 200


def test_waiting_for_a_turn_counts() -> None:
    desk = Answers(waits_at=0, beats=False)  # the first keeps its place until the test says so
    with up(desk, at_once=1, waiting=5, seconds=0.6) as here:
        first = threading.Thread(target=lambda: here.post(json=ASK))
        first.start()
        assert soon(lambda: desk.begun == 1)
        assert here.post(json=ASK).status_code == 504 and desk.begun == 1, "it was never asked"
        first.join()
        assert "cervella_waiting 0.0" in here.numbers() and "cervella_in_flight 1.0" in here.numbers()
        desk.until.set()
        assert here.is_idle() and desk.begun == 1


def test_what_was_waited_for_a_turn_is_gone_from_the_time_to_answer() -> None:
    desk = Answers(waits_at=0)
    with up(desk, at_once=1, seconds=60) as here:
        threads = [threading.Thread(target=lambda: here.post(json=ASK)) for _ in range(2)]
        threads[0].start()
        assert soon(lambda: desk.begun == 1)
        threads[1].start()
        assert soon(lambda: "cervella_waiting 1.0" in here.numbers())
        waiting = time.monotonic()
        time.sleep(0.5)
        desk.until.set()
        for thread in threads:
            thread.join()
        deadline = desk.wanted[1].deadline
        assert deadline is not None and deadline <= waiting + 60, "counted from the request, not from its turn"


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_goes_ends_the_work(stream: bool) -> None:
    desk = Answers(waits_at=1)
    with up(desk) as here:
        with contextlib.suppress(httpx.ReadTimeout), httpx.Client(timeout=0.3) as client:
            client.post(f"{here.url}/v1/chat/completions", json={**ASK, "stream": stream})
        assert soon(lambda: desk.closed == 1) and here.is_idle()
        assert [ended.fault for ended in here.ended] == ["ClientGone"]


def test_a_client_that_goes_while_it_waits_is_never_asked_for() -> None:
    desk = Answers(waits_at=0)
    with up(desk, at_once=1) as here:
        first = threading.Thread(target=lambda: here.post(json=ASK))
        first.start()
        assert soon(lambda: desk.begun == 1)
        with contextlib.suppress(httpx.ReadTimeout), httpx.Client(timeout=0.3) as client:
            client.post(f"{here.url}/v1/chat/completions", json=ASK)
        assert soon(lambda: "cervella_waiting 0.0" in here.numbers())
        desk.until.set()
        first.join()
        assert here.is_idle() and desk.begun == 1


def test_the_end_waits_for_answers_and_takes_nothing_new() -> None:
    desk = Answers(waits_at=1)
    given: list[str] = []
    with up(desk, grace=10) as here:
        thread = threading.Thread(target=lambda: given.append(here.post(json=ASK).text))
        thread.start()
        assert soon(lambda: desk.begun == 1)
        threading.Timer(0.5, desk.until.set).start()
    thread.join()
    assert json.loads(given[0])["choices"][0]["finish_reason"] == "stop"
    with pytest.raises(httpx.ConnectError):
        here.post(json=ASK)


@pytest.mark.parametrize("stream", [False, True])
def test_what_is_still_at_work_after_the_grace_is_recorded_before_the_end(stream: bool) -> None:
    desk = Answers(waits_at=1)

    def ask() -> None:
        with contextlib.suppress(httpx.HTTPError):  # the server breaks it off
            here.post(json={**ASK, "stream": stream})

    with up(desk, grace=1, record=lambda ended: time.sleep(0.5)) as here:
        thread = threading.Thread(target=ask)
        thread.start()
        assert soon(lambda: desk.begun == 1)
    here.settle(60)
    assert [one.fault for one in here.ended] == ["ServerEnds"] and desk.closed == 1
    thread.join()


@pytest.mark.parametrize("stream", [False, True])
def test_a_whole_answer_waits_for_its_row_no_longer_than_its_time(stream: bool) -> None:
    written = threading.Event()
    with up(Answers(), seconds=1, record=lambda ended: written.wait(60)) as here:
        answer = here.post(json={**ASK, "stream": stream})
        assert answer.status_code == 200 and "timeout" not in answer.text
        assert answer.text.endswith("data: [DONE]\n\n" if stream else "}")
        assert not here.ended, "it did not wait at all"
        written.set()
        assert here.is_idle() and [one.fault for one in here.ended] == [None]


def test_feedback_that_takes_too_long_is_504() -> None:
    kept = threading.Event()
    with up(Answers(), seconds=0.5, feedback=lambda scored: kept.wait(60)) as here:
        late = here.post("/v1/feedback", json={"id": "chatcmpl-1", "score": 1})
        assert late.status_code == 504 and late.json()["error"]["code"] == "timeout"
        kept.set()
        assert here.post("/v1/feedback", json={"id": "chatcmpl-1", "score": 1}).status_code == 200
