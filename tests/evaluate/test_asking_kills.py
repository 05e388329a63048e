"""Kills and interruptions of steps that ask: nothing is paid for twice, nothing is lost, memory stays flat."""

from __future__ import annotations

import json
import random
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from asking_house import AskingHouse, items  # noqa: E402

from components.evaluate.asking.paid import PaidLog  # noqa: E402
from components.evaluate.asking.steps import read_said  # noqa: E402
from components.store import Store  # noqa: E402
from tests.nursery import Child, Nursery  # noqa: E402
from tests.waiting import soon  # noqa: E402

ITEMS, MANY = 24, 64


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with Nursery("tests.evaluate.asking_house") as made:
        yield made


def finished(child: Child, *, code: int = 0) -> Any:
    try:
        assert child.wait() == code, child.err
    finally:
        child.kill()
    return json.loads(child.out) if child.out else None


def calls(folder: Path) -> int:
    path = folder / "calls"
    return path.read_text(encoding="utf-8").count("\n") if path.exists() else 0


def wait_for_calls(folder: Path, count: int) -> None:
    assert soon(lambda: calls(folder) >= count, seconds=120, every=0.005)


def asked(folder: Path, told: Any, step: str) -> list[str]:
    """Ids of the sealed rows, in their order; none of them is an error."""
    made = Store(folder / "workspace").open(told["artefact"])
    rows = list(made.read_jsonl("answers.jsonl" if step == "answers" else "said.jsonl"))
    assert all(row["error"] is None and row["text"] for row in rows)
    return [row["id"] if step == "answers" else row["item"]["id"] for row in rows]


def expected(step: str, count: int = ITEMS) -> list[str]:
    return [f"{'q' if step == 'answers' else 'p'}{number}" for number in range(count)]


@pytest.mark.slow
@pytest.mark.parametrize("at_once", [1, 8])
@pytest.mark.parametrize("step", ["answers", "candidate", "control"])
def test_kills_within_calls_cost_what_was_under_way_and_nothing_else(
    nursery: Nursery, tmp_path: Path, step: str, at_once: int
) -> None:
    deaths = [1, 9, 5]
    for die in deaths:
        child = nursery.start(tmp_path, step, at_once, "--die", die, "--chat", "fake/chat?delay=0.02")
        finished(child, code=-signal.SIGKILL)
    told = finished(nursery.start(tmp_path, step, at_once, "--chat", "fake/chat?delay=0.02"))
    found = asked(tmp_path, told, step)
    assert found == expected(step)
    assert ITEMS + len(deaths) <= calls(tmp_path) <= ITEMS + len(deaths) * at_once
    before = calls(tmp_path)
    assert finished(nursery.start(tmp_path, step, at_once, "--chat", "fake/chat?delay=0.02")) == told
    assert calls(tmp_path) == before


@pytest.mark.slow
@pytest.mark.parametrize("at_once", [1, 8])
def test_kills_at_any_moment_pay_for_nothing_twice(nursery: Nursery, tmp_path: Path, at_once: int) -> None:
    dice, kills = random.Random(at_once), 5
    asking = ("candidate", at_once, "--items", MANY, "--chat", "fake/chat?delay=0.05")
    for _ in range(kills):
        before = calls(tmp_path)
        child = nursery.start(tmp_path, *asking, "--slow", 10, 600)  # however late the kill is, much is left
        wait_for_calls(tmp_path, before + 1)
        time.sleep(dice.uniform(0, 0.08))
        child.kill()
        finished(child, code=-signal.SIGKILL)
    told = finished(nursery.start(tmp_path, *asking))
    assert asked(tmp_path, told, "candidate") == expected("candidate", MANY)
    assert calls(tmp_path) <= MANY + kills * at_once


@pytest.mark.slow
@pytest.mark.parametrize("at_once", [1, 8])
def test_an_interruption_leaves_the_log_whole(nursery: Nursery, tmp_path: Path, at_once: int) -> None:
    asking = ("candidate", at_once, "--items", MANY, "--chat", "fake/chat?delay=0.05")
    child = nursery.start(tmp_path, *asking, "--slow", 10, 1)
    wait_for_calls(tmp_path, 10)
    child.send(signal.SIGINT)
    assert child.wait() and "KeyboardInterrupt" in child.err and not child.out
    made = calls(tmp_path)
    assert made < MANY
    [path] = (tmp_path / "workspace" / "scratch").glob("*/paid.jsonl")
    assert path.read_bytes().endswith(b"\n")
    log = PaidLog(path)
    assert len(log) == path.read_bytes().count(b"\n")
    # Threads are waited for; the one call of the caller's own thread is what Ctrl-C ends.
    assert len(log) == made if at_once > 1 else made - 1 <= len(log) <= made
    kept = len(log)
    told = finished(nursery.start(tmp_path, *asking))
    assert asked(tmp_path, told, "candidate") == expected("candidate", MANY)
    assert calls(tmp_path) - made == MANY - kept


@pytest.mark.slow
def test_a_second_interruption_waits_for_nothing(nursery: Nursery, tmp_path: Path) -> None:
    child = nursery.start(tmp_path, "candidate", 8, "--chat", "fake/chat?delay=100")
    wait_for_calls(tmp_path, 8)
    child.send(signal.SIGINT)
    assert not soon(lambda: child.poll() is not None, seconds=1)
    child.send(signal.SIGINT)
    assert child.wait(60) and "KeyboardInterrupt" in child.err
    assert calls(tmp_path) == 8


@pytest.mark.slow
@pytest.mark.parametrize("step", ["answers", "candidate"])
def test_memory_is_flat_over_five_hundred_questions_eight_at_a_time(
    nursery: Nursery, tmp_path: Path, step: str
) -> None:
    chat = "fake/chat?delay=0.01&mode=echo"
    told = finished(nursery.start(tmp_path, step, 8, "--chat", chat, "--items", 500, "--memory"))
    assert calls(tmp_path) == 500
    assert told["grown"] < 24, f"{told['grown']:.1f} MiB from question 100 to 500"


def test_the_house_itself_asks_everything_once(tmp_path: Path) -> None:
    house = AskingHouse(tmp_path)
    assert [said.item for said in read_said(house.candidate(items(9), at_once=4))] == items(9)
