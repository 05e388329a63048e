"""A real `cervella serve` while all goes wrong around it: nobody is told anything wrong, nobody waits for ever.

One server, with a router over the own model and a helper elsewhere, goes through all of it.
"""

from __future__ import annotations

import re
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import cycle
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from malformed import KINDS, Sender, drawn
from serve_house import BREAKER_SECONDS, FAILURES, KEY, SECONDS, Disk, Elsewhere, Publisher, Server, ask, serving

from components.usage import usage_file
from tests.flows.conftest import Program
from tests.scale.scale_house import ScaleHouse
from tests.waiting import soon

pytestmark = [
    pytest.mark.slow, pytest.mark.timeout(600),
    pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc to look at"),
]  # fmt: skip

QUICK = "fake/chat?delay=0.002"
OLD, NEW = "fake/chat?reply=Sono+la+vecchia.&delay=0.01", "fake/chat?reply=Sono+la+nuova.&delay=0.01"
TALKATIVE = f"fake/chat?reply={'+'.join(['parola'] * 200)}&delay=0.05"
BREAKER = 'cervella_breaker{who="helper"}'
MALFORMED, SENDERS = 10_000, 4
GROWTH = 32 * 2**20  # bytes of memory


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Disk]:
    made = Disk(tmp_path_factory.mktemp("disk"), size="96m")
    yield made
    made.unmount()


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Elsewhere]:
    made = Elsewhere()
    yield made
    made.close()


@pytest.fixture(scope="module")
def running(root: Path, disk: Disk, elsewhere: Elsewhere) -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHAOS_KEY", KEY)
        (disk.folder / "house").mkdir()
        house = ScaleHouse.make(disk.folder / "house")
        house.release(QUICK)
        house.promote()
        with serving(Program(root), house, elsewhere) as server:
            server.first = server.ask(server.hard())
            yield server


@pytest.fixture
def server(running: Server) -> Server:
    """The one of all tests, at rest: nobody is answered, and the helper is well and asked."""
    running.elsewhere.does = "answers"
    assert running.is_idle()
    assert soon(lambda: running.ask(running.hard()).cervella.get("who") == "helper", seconds=30)
    return running


@pytest.fixture(scope="module")
def publisher(running: Server, tmp_path_factory: pytest.TempPathFactory) -> Publisher:
    return Publisher(tmp_path_factory.mktemp("versions"), running.house.workspace / "index")


def test_the_first_question_after_a_start_has_the_helper_as_any_other(server: Server) -> None:
    first = server.first
    assert first is not None and first.is_whole
    assert (first.cervella["who"], first.cervella["tried"]) == ("helper", []), "its time went by for imports"


def test_publications_under_load_fail_no_request_and_mix_no_sources(server: Server, publisher: Publisher) -> None:
    server.in_service(QUICK)
    publisher.publish(1)
    assert soon(lambda: server.health()["index"] == publisher.digests[1], seconds=30)
    with server.under_load(server.easy) as told:
        for version in range(2, 7):
            time.sleep(0.4)
            publisher.publish(version)
            assert soon(lambda new=version: server.health()["index"] == publisher.digests[new], seconds=30)  # type: ignore[misc]
        time.sleep(0.4)
    versions = {digest: version for version, digest in publisher.digests.items()}
    assert told and not [one for one in told if not one.is_whole]
    assert {1, 6} <= {versions[one.cervella["index"]] for one in told}
    for one in told:
        version = versions[one.cervella["index"]]
        assert re.findall(r"versione (\d+)", one.text)[:1] == [f"{version}"], one
        paths = {source["path"] for source in one.cervella["sources"]}
        assert paths and {path.partition("/")[0] for path in paths} == {f"versione-{version}"}, one
        assert all(1 <= source["first_line"] <= source["last_line"] <= 7 for source in one.cervella["sources"])


def test_promotions_and_rollbacks_under_load_fail_no_request_and_each_answers_as_it_says(server: Server) -> None:
    old = server.in_service(OLD)
    says = {old: "Sono la vecchia."}
    with server.under_load(server.easy) as told:
        for _ in range(3):
            time.sleep(0.3)
            new = server.in_service(NEW)
            says[new] = "Sono la nuova."
            time.sleep(0.3)
            server.house.rollback()
            assert soon(lambda: server.health()["release"] == old, seconds=60)
        time.sleep(0.3)
    assert told and not [one for one in told if not one.is_whole]
    assert {one.cervella["release"] for one in told} == set(says)
    assert not [one for one in told if not one.text.startswith(says[one.cervella["release"]])]


@pytest.mark.parametrize("how", ["refused", "mute"])
def test_without_the_helper_the_own_model_answers_and_it_is_left_alone(server: Server, how: str) -> None:
    server.in_service(QUICK)
    asked, begun = len(server.elsewhere.asked), time.monotonic()
    if how == "refused":
        server.elsewhere.close()
    else:
        server.elsewhere.does = how
    try:
        with server.under_load(server.hard, clients=6) as told:
            opened = soon(lambda: server.number(BREAKER) == 2, seconds=30)
            count = len(told)
            time.sleep(2.5)
        seconds = time.monotonic() - begun
    finally:
        if how == "refused":
            server.elsewhere.open()
        server.elsewhere.does = "answers"
    assert opened and len(told) > count
    assert not [one for one in told if not one.is_whole or one.cervella["who"] != "own"]
    assert all(one.cervella["tried"][0]["who"] == "helper" for one in told)
    assert any("left alone for a while" in one.cervella["tried"][0]["why"] for one in told)
    assert max(one.seconds for one in told) < SECONDS
    # Those who had begun when the breaker opened, and one each time that it may be tried again: not each question.
    assert len(server.elsewhere.asked) - asked <= FAILURES + 6 + seconds / BREAKER_SECONDS
    assert soon(lambda: server.ask(server.hard()).cervella.get("who") == "helper", seconds=30)
    assert server.number(BREAKER) == 0


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "in pieces"])
@pytest.mark.parametrize("cut", ["reset", "end"])
def test_a_backend_that_is_killed_in_mid_answer_is_told_and_nothing_of_it_is_kept(
    server: Server, cut: str, stream: bool
) -> None:
    server.in_service(QUICK)
    question = server.hard()
    server.elsewhere.does, server.elsewhere.cut_at = cut, 6
    failed = server.ask(question, stream=stream)
    if stream:
        assert failed.error and failed.error["code"] == "not_answered_now", failed
        assert failed.status == 200 and failed.text and "".join(Elsewhere.pieces).startswith(failed.text)
    else:  # nobody saw anything of it, so the other one answers
        assert failed.is_whole and failed.cervella["who"] == "own" and "Dalla" not in failed.text
        [tried] = failed.cervella["tried"]
        assert tried["who"] == "helper" and tried["why"].startswith("no connection, no answer in time")
    server.elsewhere.does = "answers"
    asked = len(server.elsewhere.asked)
    right = server.ask(question, stream=stream)
    assert right.is_whole and right.text.startswith("".join(Elsewhere.pieces)) and not right.cervella["cached"]
    assert len(server.elsewhere.asked) == asked + 1
    again = server.ask(question, stream=stream)
    assert again.text == right.text and again.cervella["cached"] and len(server.elsewhere.asked) == asked + 1


@pytest.mark.parametrize("cut", ["reset", "end"])
def test_a_backend_that_is_killed_before_anything_is_shown_leaves_the_answer_to_the_other(
    server: Server, cut: str
) -> None:
    server.in_service(QUICK)
    server.elsewhere.does, server.elsewhere.cut_at = cut, 1
    told = server.ask(server.hard(), stream=True)
    assert told.is_whole and told.cervella["who"] == "own" and "Dalla" not in told.text
    assert [one["who"] for one in told.cervella["tried"]] == ["helper"]


def test_a_full_disk_takes_nothing_but_rows_of_the_log_and_is_told_once(server: Server, disk: Disk) -> None:
    server.in_service(QUICK)
    before = [server.ask(server.easy()) for _ in range(3)]
    assert {one.id for one in before} <= server.recorded()
    with sqlite3.connect(usage_file(server.house.workspace), timeout=30) as log:
        log.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # so that the next row needs a new page
    log.close()
    feedback = {"id": before[0].id, "score": 1}
    with disk.full(server.process):
        meanwhile = [server.ask(server.easy(), stream=place % 2 == 0) for place in range(8)]
        refused = httpx.post(f"{server.url}/v1/feedback", json=feedback, timeout=30)
        health = server.health()
    after = [server.ask(server.easy()) for _ in range(3)]
    assert not [one for one in (*before, *meanwhile, *after) if not one.is_whole]
    assert health["ready"] and refused.status_code == 503 and refused.json()["error"]["code"] == "not_answered_now"
    recorded = server.recorded()
    assert {one.id for one in (*before, *after)} <= recorded, "rows that the disk did not refuse are gone"
    assert {one.id for one in meanwhile} - recorded, "the disk was not full"
    assert httpx.post(f"{server.url}/v1/feedback", json=feedback, timeout=30).status_code == 200
    assert server.warned("usage.sqlite cannot be used") == server.warned("usage.sqlite can be used again") == 1


def test_a_locked_log_takes_nothing_but_its_rows_and_delays_no_answer(server: Server) -> None:
    server.in_service(QUICK)
    before = server.ask(server.easy())
    feedback = {"id": before.id, "score": 1}
    kinds = cycle((server.easy, server.hard))
    with closing(sqlite3.connect(usage_file(server.house.workspace), timeout=30, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with server.under_load(lambda: next(kinds)(), clients=16) as meanwhile:
            assert soon(lambda: len(meanwhile) >= 64)
            refused = httpx.post(f"{server.url}/v1/feedback", json=feedback, timeout=30)
            health = server.health()
        assert server.is_idle()
        other.execute("ROLLBACK")
    after = [server.ask(server.easy()) for _ in range(3)]
    assert not [one for one in (before, *meanwhile, *after) if not one.is_whole]
    assert max(one.seconds for one in meanwhile) < SECONDS
    assert {one.cervella["who"] for one in meanwhile} == {"own", "helper"}
    assert health["ready"] and refused.status_code == 503 and refused.json()["error"]["code"] == "not_answered_now"
    recorded = server.recorded()
    assert {one.id for one in (before, *after)} <= recorded and recorded.isdisjoint(one.id for one in meanwhile)
    assert httpx.post(f"{server.url}/v1/feedback", json=feedback, timeout=30).status_code == 200
    assert server.warned("usage.sqlite cannot be used") in (1, 2), "once in ten minutes, of a full disk too"


def test_ten_thousand_malformed_requests_are_refused_one_by_one(server: Server) -> None:
    address = urlsplit(server.url)
    assert address.hostname and address.port
    senders = [Sender((address.hostname, address.port)) for _ in range(SENDERS)]

    def send(count: int, seed: int) -> None:
        def work(sender: Sender, place: int) -> None:
            for one in drawn(seed + place, count // SENDERS):
                sender.send(one)

        threads = [threading.Thread(target=work, args=(one, place)) for place, one in enumerate(senders)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    begun = time.monotonic()
    failed = server.number('cervella_failed_total{kind="ClientGone"}')
    send(MALFORMED // 10, seed=100)  # what is made once
    memory = server.memory()
    send(MALFORMED - MALFORMED // 10, seed=200)
    grown = server.memory() - memory
    for sender in senders:
        sender.close()
    wrong = [one for sender in senders for one in sender.wrong]
    assert not wrong, f"{len(wrong)}, such as\n" + "\n".join(wrong[:20])
    counted = {
        kind: sum((one.statuses[kind] for one in senders), start=type(senders[0].statuses[kind])()) for kind in KINDS
    }
    assert sum(counts.total() for counts in counted.values()) == MALFORMED, counted
    assert not [kind for kind in KINDS if kind not in ("no HTTP", "half a request") and counted[kind][0]], counted
    assert sum(one.connections for one in senders) < MALFORMED * 0.6, "no connection is kept"
    assert server.ask(server.easy()).is_whole and server.is_idle()
    assert server.number('cervella_failed_total{kind="ClientGone"}') == failed, "one of them was answered"
    assert grown < GROWTH, f"{grown / 2**20:.0f} MB more"
    assert not [line for line in server.lines if "Traceback" in line]
    assert server.warned("Invalid HTTP request received") <= 2 + (time.monotonic() - begun) / 60, "the log is filled"


def test_clients_that_leave_in_mid_answer_keep_no_place(server: Server) -> None:
    server.in_service(TALKATIVE)
    host, port = urlsplit(server.url).hostname, urlsplit(server.url).port
    threads_before = server.threads()
    left: list[str] = []

    def leave(number: int) -> None:
        stream = number % 4 != 0
        body = (
            f'{{"stream": {"true" if stream else "false"}, "messages": [{{"role": "user", "content": '
            f'"{server.easy()}"}}]}}'
        )
        with socket.create_connection((host, port), timeout=SECONDS) as line:
            line.sendall(
                f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body.encode())}\r\n\r\n{body}".encode()
            )
            if stream:
                begun = line.recv(4096)
                assert b" 200 " in begun, begun
            else:
                time.sleep(0.3)
            if number % 2:  # as a program that is killed
                line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        left.append("reset" if number % 2 else "closed")

    def some(place: int) -> None:
        for number in range(place, 200, 40):
            leave(number)

    leaving = [threading.Thread(target=some, args=(place,)) for place in range(40)]
    for thread in leaving:
        thread.start()
    for thread in leaving:
        thread.join()
    assert len(left) == 200 and server.is_idle(seconds=20)
    assert soon(lambda: server.threads() <= threads_before + 2, seconds=20)
    server.in_service(QUICK)
    with server.client() as client:
        asked: list[bool] = []
        all_at_once = [
            threading.Thread(target=lambda: asked.append(ask(client, server.easy()).is_whole)) for _ in range(16)
        ]
        for thread in all_at_once:
            thread.start()
        for thread in all_at_once:
            thread.join()
    assert asked == [True] * 16
