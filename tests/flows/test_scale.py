"""Phase scale as its users run it: a real Prefect server, a real `cervella serve`, releases into service and back."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from components.registry.champion.record import champion_file
from components.scale.candidate import promoter
from components.scale.endpoint import read_endpoints
from components.services import prefect_server
from tests.flows.conftest import Done, Program, Workspace
from tests.flows.test_serve import Up, serving
from tests.scale.scale_house import ScaleHouse
from tests.waiting import soon

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

FEW = ("-o", "scale.questions=2", "-o", "scale.probation_questions=4")
OLD, NEW = "fake/chat?reply=Sono+la+vecchia.", "fake/chat?reply=Sono+la+nuova."


@pytest.fixture(scope="module")
def first_house(tmp_path_factory: pytest.TempPathFactory, served: Callable[[Path], Path]) -> ScaleHouse:
    house = ScaleHouse.make(tmp_path_factory.mktemp("scale"))
    served(house.workspace)
    return house


@pytest.fixture
def house(first_house: ScaleHouse, tmp_path: Path) -> ScaleHouse:
    return first_house.copied(tmp_path / "house")


@dataclass
class Talk:
    """What somebody who asks all the time was told: release and status of each answer."""

    told: list[tuple[int, str]] = field(default_factory=list)

    def releases(self) -> list[str]:
        return list(dict.fromkeys(release for _, release in self.told))


@contextmanager
def talking(up: Up) -> Iterator[Talk]:
    """Ask the endpoint for the length of the block."""
    talk, ended = Talk(), threading.Event()
    body = {"model": "cervella", "messages": [{"role": "user", "content": "Quanto è la caparra ad agosto?"}]}

    def ask() -> None:
        with httpx.Client(base_url=up.url, timeout=60) as client:
            while not ended.wait(0.05):
                answer = client.post("/v1/chat/completions", json=body)
                talk.told.append((answer.status_code, answer.json().get("cervella", {}).get("release", "")))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield talk
    finally:
        ended.set()
        thread.join()


def quiet(house: ScaleHouse) -> bool:
    """Whether nothing that belongs to the house runs any more."""
    space = Workspace(house.folder, house.folder, ())
    return soon(lambda: not space.processes(), seconds=120)


def test_first_alone_then_a_candidate_that_is_no_go_and_nothing_is_left_behind(
    program: Program, house: ScaleHouse
) -> None:
    first = house.release(OLD)
    house.recorded(first)
    done = program("run", house.recipe, *FEW)
    assert done.code == 0, done.err
    assert "the candidate stands alone: nothing is in service yet" in done.out and "passed its probation" in done.out
    assert "candidate at the endpoint" in done.out and house.in_service() == first
    assert not read_endpoints(house.workspace) and quiet(house)
    house.release(NEW, verdict="NO-GO")
    refused = program("run", house.recipe, *FEW, "--json")
    assert refused.code == 1 and refused.json["gate"]["verdict"] == "NO-GO", refused.err
    assert house.in_service() == first and len(house.history()) == 1
    assert list(refused.steps) == ["scale.candidate", "scale.shadow", "scale.gate"]
    assert "not promoted" in refused.json["scale"]["said"]


def test_an_endpoint_under_questions_is_switched_without_a_failed_request(program: Program, house: ScaleHouse) -> None:
    house.release(OLD)
    before = house.promote()
    after = house.release(NEW)
    house.recorded(after, before)
    with serving(program, house.recipe) as up:
        [told] = read_endpoints(house.workspace)
        assert (told.url, told.pid, told.recipe) == (up.url, up.process.pid, "into-service")
        with talking(up) as talk:
            done = program("run", house.recipe, *FEW, "--json")
        assert done.code == 0, done.err
        assert up.health()["release"] == after == house.in_service()
    assert {status for status, _ in talk.told} == {200} and talk.releases() == [before, after]
    assert f"the endpoint at {up.url} answered as it after" in done.json["scale"]["said"]
    assert done.json["scale"]["numbers"]["probation"]["asked"] == 4
    assert not read_endpoints(house.workspace)


def test_what_is_slow_on_probation_is_rolled_back_and_the_endpoint_answers_as_the_old_one(
    program: Program, house: ScaleHouse, here: Callable[..., Done]
) -> None:
    house.release(OLD)
    before = house.promote()
    after = house.release("fake/chat?reply=Sono+la+lenta.&delay=0.5")
    house.recorded(after, before, n=150)  # as it was when nobody else asked
    with serving(program, house.recipe) as up, talking(up) as talk:
        done = program("run", house.recipe, *FEW, "-o", "scale.questions=1", "-o", "scale.max_p95_seconds=1")
        assert done.code == 1 and f"release {after[:12]} failed its probation: a 95th percentile of" in done.err
        assert "the endpoint answers as that again after" in done.err
        assert up.health()["release"] == before == house.in_service()
        asked = len(talk.told)
        time.sleep(1)
        assert [release for _, release in talk.told[asked + 1 :]].count(before) > 0
    assert {status for status, _ in talk.told} == {200} and after in talk.releases()
    assert [one.what for one in house.history()] == ["promote", "promote", "rollback"]
    shown = here("runs", "-w", house.workspace)
    assert "into-service" in shown.out and "failed" in shown.out


def test_ended_between_promotion_and_switch_by_kill_and_by_ctrl_c_the_next_run_completes_it(
    program: Program, house: ScaleHouse
) -> None:
    after = house.release(NEW)
    house.recorded(after)
    begun = program.start("run", house.recipe, *FEW)
    try:
        assert soon(champion_file(house.workspace).exists, seconds=240)
        os.killpg(begun.pid, signal.SIGKILL)
    finally:
        program.end(begun)
    assert house.in_service() == after and quiet(house)
    begun = program.start("run", house.recipe, *FEW)
    try:
        assert soon(lambda: len(runs_of(house)) == 2 and "scale.switch" in runs_of(house)[1].read_text(), seconds=240)
        begun.send_signal(signal.SIGINT)
    finally:
        ended = program.end(begun)
    assert ended.code == 130 and "its probation has not ended: the same run again goes on with it" in ended.err
    assert house.in_service() == after and quiet(house)
    done = program("run", house.recipe, *FEW, "--json")
    assert done.code == 0, done.err
    assert list(done.steps) == ["scale.candidate", "scale.switch"] and done.json["scale"]["standing"] == "pending"
    assert done.json["scale"]["switched"] is True and len(house.history()) == 1
    [first, _, third] = [file.parent.name for file in runs_of(house)]
    assert house.history()[0].by == promoter(first) and third == done.json["run"]


def runs_of(house: ScaleHouse) -> list[Path]:
    """Records of the runs of this phase, oldest first."""
    return sorted(house.workspace.glob("runs/*into-service*/run.json"))


def test_an_endpoint_that_wants_a_key_which_is_not_known_here_is_told_before_anything_changes(
    program: Program, house: ScaleHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.release(OLD)
    before = house.promote()
    house.release(NEW)
    monkeypatch.setenv("SCALE_KEYS", f"anna:{'k' * 16}")
    keys = ("-o", "serve.keys_env=SCALE_KEYS")
    with prefect_server(workspace=house.workspace), serving(program, house.recipe, *keys):
        done = program("run", house.recipe, *FEW)
        assert done.code == 3 and "lets nobody in without a key" in done.err and "serve.keys_env" in done.err
        assert house.in_service() == before
        looked = program("run", house.recipe, *FEW, *keys, "--json")
        assert looked.code == 1 and looked.json["gate"]["verdict"] == "INCONCLUSIVE", looked.err  # it was let in
