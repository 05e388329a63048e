"""A training in a real MLflow while it goes on: one run, whatever happens to it and to MLflow."""

from __future__ import annotations

import logging
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from components.store.mlflow_database import make_database
from components.store.mlflow_door import sqlite_uri
from components.train.live import LiveRecord
from components.train.running.progress import Progress

FINGERPRINT, OTHER = "ab" * 32, "cd" * 32
METRICS = ["train/eval_loss", "train/learning_rate", "train/loss", "train/tokens_per_second"]


def log(step: int, loss: float | None = None, **more: Any) -> Progress:
    told = {"eval_loss": None, "tokens_per_second": 100.0 + step, "learning_rate": 0.1 / step if step else 0.1, **more}
    return Progress(step=step, steps=10, loss=1.0 / (step + 1) if loss is None else loss, seconds_left=1.0,
                    event=told.pop("event", "log"), **told)  # fmt: skip


def quiet(event: str, step: int = 0, **more: Any) -> Progress:
    return Progress(step, 10, None, more.get("eval_loss"), 100.0, None, event)


END = quiet("end", 10)


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's schema takes seconds to make: once."""
    folder = tmp_path_factory.mktemp("tables")
    make_database(sqlite_uri(folder))
    return folder / "mlflow.db"


@pytest.fixture
def workspace(tmp_path: Path, tables: Path) -> Path:
    folder = tmp_path / "l'amico mio"
    (folder / "mlflow").mkdir(parents=True)
    (folder / "mlflow" / "mlflow.db").write_bytes(tables.read_bytes())
    return folder


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    """What is told to people."""
    found: list[str] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno >= logging.WARNING:
                found.append(record.getMessage())

    handler = Kept()
    logging.getLogger("cervella").addHandler(handler)
    yield found
    logging.getLogger("cervella").removeHandler(handler)


def record(workspace: Path, **changes: Any) -> LiveRecord:
    given: dict[str, Any] = {
        "workspace": workspace, "tracking_uri": None, "experiment": "cervella", "run_name": "training run-1",
        "fingerprint": FINGERPRINT, "params": {"params": {"lora": {"r": 16}, "extra": {}}, "train_rows": 540},
    }  # fmt: skip
    return LiveRecord(**{**given, **changes})


def client_of(workspace: Path) -> Any:
    from mlflow.tracking import MlflowClient

    uri = sqlite_uri(workspace / "mlflow")
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def runs(workspace: Path) -> list[Any]:
    """Oldest first."""
    client = client_of(workspace)
    experiment = client.get_experiment_by_name("cervella").experiment_id
    return list(client.search_runs([experiment], order_by=["attributes.start_time ASC"]))


def history(workspace: Path, run: Any, metric: str) -> list[tuple[int, float]]:
    found = client_of(workspace).get_metric_history(run.info.run_id, metric)
    return sorted((one.step, one.value) for one in found)


def test_a_training_is_one_run_with_its_numbers_step_by_step(workspace: Path, warnings: list[str]) -> None:
    before = int(time.time() * 1000)
    with record(workspace) as live:
        live.log(quiet("starting"))
        live.log(quiet("begin"))
        live.log(quiet("eval", 0, eval_loss=2.5))
        for step in range(1, 11):
            live.log(log(step))
        live.log(quiet("eval", 10, eval_loss=1.5))
        live.log(END)
    (run,) = runs(workspace)
    assert run.info.run_id == live.run_id
    assert (run.info.run_name, run.info.status) == ("training run-1", "FINISHED")
    assert run.data.tags["cervella.train"] == FINGERPRINT
    assert run.data.params == {"params.lora.r": "16", "params.extra": "{}", "train_rows": "540"}
    assert sorted(run.data.metrics) == METRICS
    assert history(workspace, run, "train/loss") == [(step, 1.0 / (step + 1)) for step in range(1, 11)]
    assert history(workspace, run, "train/eval_loss") == [(0, 2.5), (10, 1.5)]
    assert history(workspace, run, "train/tokens_per_second") == [(step, 100.0 + step) for step in range(1, 11)]
    stamps = [one.timestamp for one in client_of(workspace).get_metric_history(run.info.run_id, "train/loss")]
    assert all(before <= stamp <= int(time.time() * 1000) for stamp in stamps)
    assert warnings == []


@pytest.mark.parametrize(
    ("error", "events", "status"),
    [(None, [], "FAILED"), (ValueError("x"), [END], "FAILED"), (KeyboardInterrupt(), [], "KILLED")],
    ids=["the trainer ended without its end", "an error", "an interruption"],
)
def test_only_what_came_to_its_end_is_finished(
    workspace: Path, error: BaseException | None, events: list[Progress], status: str
) -> None:
    try:
        with record(workspace) as live:
            live.log(log(1))
            for event in events:
                live.log(event)
            if error:
                raise error
    except (ValueError, KeyboardInterrupt):
        pass
    (run,) = runs(workspace)
    assert run.info.status == status


def test_a_training_that_goes_on_does_so_in_its_own_run(workspace: Path) -> None:
    with pytest.raises(KeyboardInterrupt), record(workspace) as live:
        for step in range(1, 8):
            live.log(log(step))
        raise KeyboardInterrupt
    with record(workspace, run_name="training run-2") as live:
        for step in range(5, 11):  # from the checkpoint at step 4
            live.log(log(step, loss=9.0))
        live.log(END)
    (run,) = runs(workspace)
    assert (run.info.status, run.info.run_name) == ("FINISHED", "training run-1")
    assert run.data.tags["cervella.sittings"] == "2"
    expected = [(step, 1.0 / (step + 1)) for step in range(1, 8)] + [(step, 9.0) for step in range(8, 11)]
    assert history(workspace, run, "train/loss") == expected


def test_a_training_that_is_done_again_is_another_run(workspace: Path) -> None:
    for _ in range(2):
        with record(workspace) as live:
            live.log(log(1))
            live.log(END)
    assert [run.info.status for run in runs(workspace)] == ["FINISHED", "FINISHED"]


def test_numbers_that_are_none_are_left_out(workspace: Path, warnings: list[str]) -> None:
    with record(workspace) as live:
        live.log(log(1, loss=float("nan")))
        live.log(log(2, loss=float("inf")))
        live.log(log(3, learning_rate=None))
        live.log(END)
    (run,) = runs(workspace)
    assert [step for step, _ in history(workspace, run, "train/loss")] == [3]
    assert [step for step, _ in history(workspace, run, "train/learning_rate")] == [1, 2]
    assert warnings == []


CHILD = """
import os, signal, sys, time
from pathlib import Path
from tests.train.test_live import log, record
with record(Path(sys.argv[1]), fingerprint=sys.argv[2]) as live:
    for step in range(1, 6):
        live.log(log(step))
    while live._waiting or live.run_id is None:
        time.sleep(0.05)
    time.sleep(0.5)
    live.log(log(6))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def kill_one(workspace: Path, root: Path, fingerprint: str) -> None:
    command = [sys.executable, "-c", CHILD, str(workspace), fingerprint]
    done = subprocess.run(command, cwd=root, env={**os.environ, "PYTHONPATH": str(root)}, check=False)
    assert done.returncode == -signal.SIGKILL


@pytest.mark.slow
def test_a_training_that_was_killed_is_marked_by_the_next_one(workspace: Path, root: Path) -> None:
    kill_one(workspace, root, OTHER)
    assert [run.info.status for run in runs(workspace)] == ["RUNNING"]
    with record(workspace) as live:
        live.log(END)
    assert [run.info.status for run in runs(workspace)] == ["KILLED", "FINISHED"]


@pytest.mark.slow
def test_a_training_that_was_killed_goes_on_in_its_own_run(workspace: Path, root: Path) -> None:
    kill_one(workspace, root, FINGERPRINT)
    with record(workspace) as live:
        for step in range(4, 11):
            live.log(log(step))
        live.log(END)
    (run,) = runs(workspace)
    assert run.info.status == "FINISHED"
    assert history(workspace, run, "train/loss") == [(step, 1.0 / (step + 1)) for step in range(1, 11)]


def test_a_training_that_is_at_work_is_left_alone(workspace: Path) -> None:
    with record(workspace, fingerprint=OTHER) as first:
        first.log(log(1))
        wait_for(lambda: first.run_id is not None)
        with record(workspace) as second:
            second.log(END)
        assert [run.info.status for run in runs(workspace)] == ["RUNNING", "FINISHED"]
        first.log(END)
    assert [run.info.status for run in runs(workspace)] == ["FINISHED", "FINISHED"]


def test_what_other_workspaces_record_on_the_same_server_is_left_alone(workspace: Path, tmp_path: Path) -> None:
    client = client_of(workspace)
    with record(workspace) as live:
        live.log(END)
    (run,) = runs(workspace)
    tags = {"cervella.train": OTHER, "cervella.place": "another"}
    client.create_run(run.info.experiment_id, tags=tags, run_name="elsewhere")
    with record(workspace, fingerprint="ef" * 32) as live:
        live.log(END)
    assert [one.info.status for one in runs(workspace)] == ["FINISHED", "RUNNING", "FINISHED"]


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.05)


def test_a_database_that_somebody_locks_is_told_once_and_filled_later(workspace: Path, warnings: list[str]) -> None:
    with record(workspace, last_wait=120.0) as live:
        live.log(log(1))
        wait_for(lambda: live.run_id is not None and not live._waiting)
        with sqlite3.connect(workspace / "mlflow" / "mlflow.db") as other:
            other.execute("BEGIN EXCLUSIVE")
            live.log(log(2))
            wait_for(lambda: bool(warnings))
            other.rollback()
        other.close()
        live.log(log(3))
        live.log(END)
    (run,) = runs(workspace)
    assert [step for step, _ in history(workspace, run, "train/loss")] == [1, 2, 3]
    assert run.info.status == "FINISHED"
    assert len(warnings) == 1
    assert warnings[0].startswith("the training goes on, but MLflow does not record it: MLflow")


def test_a_database_that_stays_locked_does_not_keep_the_end_waiting(workspace: Path, warnings: list[str]) -> None:
    with sqlite3.connect(workspace / "mlflow" / "mlflow.db") as other:
        other.execute("BEGIN EXCLUSIVE")
        with record(workspace, last_wait=0.2) as live:
            live.log(END)
        other.rollback()
    other.close()
    assert len(warnings) == 1
    live._thread.join(120)  # it ends by itself


@pytest.mark.parametrize("uri", ["sqlite:////dev/null/mlflow.db", "http://127.0.0.1:9", "nothing://at-all"])
def test_an_mlflow_that_is_not_there_is_told_once_and_ends_nothing(
    workspace: Path, warnings: list[str], uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with record(workspace, tracking_uri=uri) as live:
        for step in range(1, 4):
            live.log(log(step))
        live.log(END)
    assert live.run_id is None
    assert len(warnings) == 1


def test_a_damaged_database_is_told_and_left_as_it_is(workspace: Path, warnings: list[str]) -> None:
    file = workspace / "mlflow" / "mlflow.db"
    file.write_bytes(b"no database at all" * 100)
    with record(workspace) as live:
        live.log(END)
    assert file.read_bytes() == b"no database at all" * 100
    (warning,) = warnings
    assert "mlflow.db: not a database" in warning


FULL = """
import logging, resource, sys
from pathlib import Path
from tests.train.test_live import END, log, record
logging.basicConfig(format="%(message)s")
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
with record(Path(sys.argv[1])) as live:
    for step in range(1, 6):
        live.log(log(step))
    live.log(END)
print("the training ended")
"""


@pytest.mark.slow
def test_a_full_disk_is_told_once_and_ends_nothing(workspace: Path, root: Path) -> None:
    command = [sys.executable, "-c", FULL, str(workspace)]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "the training ended\n"
    assert done.stderr.count("MLflow does not record it") == 1, done.stderr
    assert "Traceback" not in done.stderr
