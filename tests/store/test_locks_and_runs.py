"""Locks name their holder and die with it; runs say what became of them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from components.errors import InputError, TerminalError, TransientError
from components.store import FileLock, Run, StepSpec, hold, list_runs, read_runs, recorded_step, told_step

HOLDER = """
import sys, time
from pathlib import Path
from components.store import hold
with hold(Path(sys.argv[1]), what="reindex"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_holder_waits_and_then_names_the_first_and_a_dead_one_is_taken_over(
    root: Path, tmp_path: Path
) -> None:
    lock = tmp_path / "locks" / "table"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(lock)], cwd=root, env={"PYTHONPATH": str(root)}, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        told: list[str] = []
        with (
            pytest.raises(TerminalError, match=rf"process {holder.pid} \(reindex, since"),
            hold(lock, what="test", timeout_seconds=0.3, waiting=told.append),
        ):
            pass
        assert len(told) == 1 and str(holder.pid) in told[0]
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        with hold(lock, what="test", timeout_seconds=5):
            assert json.loads(lock.read_text())["what"] == "test"


def test_a_run_keeps_its_steps_in_order_and_is_listed_newest_first(tmp_path: Path) -> None:
    runs = [Run.create(tmp_path, recipe="mvp", phase="mvp") for _ in range(2)]
    runs[0].record_step("collect", status="running")
    runs[0].record_step("index", status="skipped")
    runs[0].record_step("collect", status="done", seconds=1.5)
    runs[0].update(status="done")
    state = runs[0].read()
    assert [step["name"] for step in state["steps"]] == ["collect", "index"]
    assert state["steps"][0] == {"name": "collect", "status": "done", "seconds": 1.5}
    assert {run.id for run in list_runs(tmp_path)} == {run.id for run in runs}
    assert [run.id for run in list_runs(tmp_path)] == sorted((run.id for run in runs), reverse=True)


def test_a_run_whose_process_is_gone_reads_as_died(root: Path, tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from components.store import Run;"
        "Run.create(Path(sys.argv[1]), recipe='mvp', phase='mvp'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    died = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=root, env={"PYTHONPATH": str(root)})
    assert died.returncode == -signal.SIGKILL
    [run] = list_runs(tmp_path)
    assert run.read()["status"] == "died"


def test_an_unknown_run_says_how_to_list_them(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cervella runs"):
        Run(tmp_path / "runs" / "nope").read()


def test_a_second_try_of_a_step_keeps_nothing_of_the_first(tmp_path: Path) -> None:
    run = Run.create(tmp_path, recipe="test", phase="mvp")
    with pytest.raises(TransientError), told_step(run, "index.build"):
        raise TransientError("the line was cut")
    failed = run.read()["steps"]
    assert [(step["status"], step["reason"]) for step in failed] == [("failed", "the line was cut")]
    with told_step(run, "index.build") as record:
        record["facts"] = {"chunks": 3}
    (done,) = run.read()["steps"]
    assert done["status"] == "done" and done["facts"] == {"chunks": 3} and "reason" not in done


def test_an_interrupted_step_is_not_left_running(tmp_path: Path) -> None:
    run = Run.create(tmp_path, recipe="test", phase="mvp")
    with pytest.raises(KeyboardInterrupt), told_step(run, "index.build"):
        raise KeyboardInterrupt
    assert run.read()["steps"][0]["status"] == "failed"


def test_a_step_that_did_not_end_names_its_scratch(tmp_path: Path) -> None:
    run, spec = Run.create(tmp_path, recipe="test", phase="mvp"), StepSpec("train.run", 1)
    with pytest.raises(KeyboardInterrupt), recorded_step(run, spec) as step:
        scratch = step.scratch
        raise KeyboardInterrupt
    assert [scratch.name] == [step["fingerprint"] for step in run.read()["steps"]]


@pytest.fixture
def removing(tmp_path: Path) -> Iterator[FileLock]:
    """The lock of gc and forget, held."""
    (tmp_path / "locks").mkdir()
    lock = FileLock(tmp_path / "locks" / "keep")
    assert lock.try_exclusive()
    yield lock
    lock.close()


def test_a_run_begins_once_nobody_removes_things(
    tmp_path: Path, removing: FileLock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="cervella")
    ending = threading.Timer(0.5, removing.close)
    ending.start()
    run = Run.create(tmp_path, recipe="casa", phase="mvp")
    ending.join()
    assert run.read()["status"] == "running"
    assert ["gc or forget is at work" in record.message for record in caplog.records] == [True]


@pytest.mark.parametrize("ended_by", ["time", "a person"])
def test_a_run_that_may_not_begin_has_failed(
    tmp_path: Path, removing: FileLock, ended_by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    if ended_by == "time":
        with pytest.raises(TerminalError, match="gc or forget is at work"):
            Run.create(tmp_path, recipe="casa", phase="mvp", wait_seconds=0)
    else:
        monkeypatch.setattr("components.store.runs.time.sleep", interrupt)
        with pytest.raises(KeyboardInterrupt):
            Run.create(tmp_path, recipe="casa", phase="mvp")
    assert [state["status"] for state in read_runs(tmp_path)] == ["failed"]


def test_runs_of_one_second_that_draw_alike_have_names_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = iter(["aaaa", "aaaa", "aaaa", "bbbb", "cccc"])
    monkeypatch.setattr("components.store.runs.secrets.token_hex", lambda count: next(drawn))
    clock = type(
        "Clock", (datetime,), {"now": classmethod(lambda cls, zone: datetime(2026, 1, 2, 3, 4, 5, tzinfo=zone))}
    )
    monkeypatch.setattr("components.store.runs.datetime", clock)
    ids = [Run.create(tmp_path, recipe="mvp", phase="mvp").id for _ in range(2)]
    assert ids == ["20260102-030405-mvp-aaaa", "20260102-030405-mvp-bbbb"]


def test_runs_of_one_second_are_told_newest_first(tmp_path: Path) -> None:
    begun = [Run.create(tmp_path, recipe="casa", phase="mvp").id for _ in range(20)]
    assert [state["run"] for state in read_runs(tmp_path)] == begun[::-1]
