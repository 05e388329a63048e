"""Kills and interruptions of steps that ask: nothing is paid for twice, nothing is lost, memory stays flat."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from asking_house import AskingHouse, items  # noqa: E402

from components.evaluate.asking.paid import PaidLog  # noqa: E402
from components.evaluate.asking.steps import read_said  # noqa: E402
from components.store import Store  # noqa: E402

ROOT = Path(__file__).parents[2]
ITEMS = 24


def start(folder: Path, step: str, at_once: int, *options: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(Path(__file__).parent / "asking_house.py"), str(folder), step, str(at_once),
         *map(str, options)],
        env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def finished(process: subprocess.Popen[str], *, code: int = 0) -> Any:
    try:
        out, errors = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == code, errors
    return json.loads(out) if out else None


def calls(folder: Path) -> int:
    path = folder / "calls"
    return path.read_text(encoding="utf-8").count("\n") if path.exists() else 0


def wait_for_calls(folder: Path, count: int) -> None:
    deadline = time.monotonic() + 120
    while calls(folder) < count and time.monotonic() < deadline:
        time.sleep(0.005)
    assert calls(folder) >= count


def asked(folder: Path, told: Any, step: str) -> list[str]:
    """Ids of the sealed rows, in their order; none of them is an error."""
    made = Store(folder / "workspace").open(told["artefact"])
    rows = list(made.read_jsonl("answers.jsonl" if step == "answers" else "said.jsonl"))
    assert all(row["error"] is None and row["text"] for row in rows)
    return [row["id"] if step == "answers" else row["item"]["id"] for row in rows]


def expected(step: str) -> list[str]:
    return [f"{'q' if step == 'answers' else 'p'}{number}" for number in range(ITEMS)]


@pytest.mark.slow
@pytest.mark.parametrize("at_once", [1, 8])
@pytest.mark.parametrize("step", ["answers", "candidate", "control"])
def test_kills_within_calls_cost_what_was_under_way_and_nothing_else(tmp_path: Path, step: str, at_once: int) -> None:
    deaths = [1, 9, 5]
    for die in deaths:
        process = start(tmp_path, step, at_once, "--die", die, "--chat", "fake/chat?delay=0.02")
        finished(process, code=-signal.SIGKILL)
    told = finished(start(tmp_path, step, at_once, "--chat", "fake/chat?delay=0.02"))
    found = asked(tmp_path, told, step)
    assert found == expected(step)
    assert ITEMS + len(deaths) <= calls(tmp_path) <= ITEMS + len(deaths) * at_once
    before = calls(tmp_path)
    assert finished(start(tmp_path, step, at_once, "--chat", "fake/chat?delay=0.02")) == told
    assert calls(tmp_path) == before


@pytest.mark.slow
@pytest.mark.parametrize("at_once", [1, 8])
def test_kills_at_any_moment_pay_for_nothing_twice(tmp_path: Path, at_once: int) -> None:
    dice, kills = random.Random(at_once), 5
    for _ in range(kills):
        before = calls(tmp_path)
        process = start(tmp_path, "candidate", at_once, "--chat", "fake/chat?delay=0.05")
        wait_for_calls(tmp_path, before + 1)
        time.sleep(dice.uniform(0, 0.08))
        process.kill()
        finished(process, code=-signal.SIGKILL)
    told = finished(start(tmp_path, "candidate", at_once, "--chat", "fake/chat?delay=0.05"))
    assert asked(tmp_path, told, "candidate") == expected("candidate")
    assert calls(tmp_path) <= ITEMS + kills * at_once


@pytest.mark.slow
@pytest.mark.parametrize("at_once", [1, 8])
def test_an_interruption_leaves_the_log_whole(tmp_path: Path, at_once: int) -> None:
    process = start(tmp_path, "candidate", at_once, "--chat", "fake/chat?delay=0.05")
    wait_for_calls(tmp_path, 10)
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=60)
    assert "KeyboardInterrupt" in errors and not out
    made = calls(tmp_path)
    assert made < ITEMS
    [path] = (tmp_path / "workspace" / "scratch").glob("*/paid.jsonl")
    assert path.read_bytes().endswith(b"\n")
    log = PaidLog(path)
    assert len(log) == path.read_bytes().count(b"\n")
    # Threads are waited for; the one call of the caller's own thread is what Ctrl-C ends.
    assert len(log) == made if at_once > 1 else made - 1 <= len(log) <= made
    kept = len(log)
    told = finished(start(tmp_path, "candidate", at_once, "--chat", "fake/chat?delay=0.05"))
    assert asked(tmp_path, told, "candidate") == expected("candidate")
    assert calls(tmp_path) - made == ITEMS - kept


@pytest.mark.slow
def test_a_second_interruption_waits_for_nothing(tmp_path: Path) -> None:
    process = start(tmp_path, "candidate", 8, "--chat", "fake/chat?delay=100")
    wait_for_calls(tmp_path, 8)
    process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert "KeyboardInterrupt" in errors
    assert calls(tmp_path) == 8


@pytest.mark.slow
@pytest.mark.parametrize("step", ["answers", "candidate"])
def test_memory_is_flat_over_five_hundred_questions_eight_at_a_time(tmp_path: Path, step: str) -> None:
    told = finished(start(tmp_path, step, 8, "--chat", "fake/chat?delay=0.01&mode=echo", "--items", 500, "--memory"))
    assert calls(tmp_path) == 500
    assert told["grown"] < 24, f"{told['grown']:.1f} MiB from question 100 to 500"


def test_the_house_itself_asks_everything_once(tmp_path: Path) -> None:
    house = AskingHouse(tmp_path)
    assert [said.item for said in read_said(house.candidate(items(9), at_once=4))] == items(9)
