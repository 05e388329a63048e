"""No process outlives a run: when `cervella run` alone is killed, the Prefect server that it started ends too."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from faults_house import STEPS, House

from tests.waiting import soon

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc to look at")]


def of_workspace(workspace: Path) -> dict[int, str]:
    """Every process that names the workspace: in its arguments, in its environment, or by a file that it has open."""
    name, found = os.fsencode(workspace), {}
    for entry in Path("/proc").glob("[0-9]*"):
        if int(entry.name) == os.getpid():
            continue
        try:
            words = (entry / "cmdline").read_bytes()
            told = [words, (entry / "environ").read_bytes(), os.fsencode(os.readlink(entry / "cwd"))]
            files = list((entry / "fd").iterdir())
        except OSError:  # it has just ended
            continue
        for file in files:
            with contextlib.suppress(OSError):  # this one file was closed meanwhile: the process lives on
                told.append(os.fsencode(os.readlink(file)))
        if any(name in text for text in told):
            found[int(entry.name)] = words.replace(b"\0", b" ").decode(errors="replace")
    return found


def at_work(house: House) -> bool:
    """Whether the newest run has come to its questions."""
    states = [json.loads(file.read_bytes()) for file in house.workspace.glob("runs/*/run.json")]
    return any(step["name"] == "evaluate.answers" for state in states for step in state["steps"])


def test_the_parent_alone_is_killed_and_every_descendant_is_gone(
    root: Path, tmp_path: Path, new_house: Callable[[Path], House]
) -> None:
    house = new_house(tmp_path)
    slow = ("-o", "llm.chat.model=fake/chat?delay=60")
    command = [sys.executable, "-m", "flows.cli", "run", house.folder / "recipe.yaml", *slow]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MLFLOW"))}
    process = subprocess.Popen(command, cwd=root, env=environment, stderr=subprocess.PIPE, start_new_session=True)
    try:
        assert soon(lambda: at_work(house) or process.poll() is not None, 200)
        alive = of_workspace(house.workspace)
        assert process.pid in alive and len(alive) >= 2, alive  # the run, and its server
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait(30) == -signal.SIGKILL
        assert soon(lambda: not of_workspace(house.workspace), 120), of_workspace(house.workspace)
    finally:
        process.kill()
        process.communicate()
    [state] = house.states()
    assert state["status"] == "died"
    done = house.run()  # without Prefect, in the same workspace: its MLflow is made here
    assert done.code == 1, done.err
    assert list(house.statuses().values()) == ["skipped"] * 5 + ["done"] * (len(STEPS) - 5)


def test_a_death_while_mlflow_s_tables_are_made(tmp_path: Path, new_house: Callable[[Path], House]) -> None:
    """Half of MLflow's tables would be a database that it can never use again."""
    house = new_house(tmp_path)
    folder = house.workspace / "mlflow"
    folder.mkdir(parents=True)
    (folder / "mlflow.db").touch()  # an empty file counts as none
    killed = house.run(deed="kill", at="registry.register/mlflow.db beside")
    assert killed.code == -signal.SIGKILL, killed.err
    assert (folder / ".new-mlflow.db").exists() and not (folder / "mlflow.db").exists()
    done = house.run()
    assert done.code == 1, done.err
    assert list(house.statuses().values()) == ["skipped"] * (len(STEPS) - 1) + ["done"]
    assert house.leftovers() == [] and house.recorded()["finished"] == 1
