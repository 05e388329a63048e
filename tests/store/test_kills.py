"""A step that dies at any of its commit points is done again, once, with the same bytes and no leftovers."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

CHILD = Path(__file__).with_name("killable_step.py")
POINTS = ("opened", "body", "written", "flushed", "manifest", "renamed")


def child(root: Path, workspace: Path, point: str, name: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(CHILD), str(workspace), point, name],
        cwd=root, env={"PYTHONPATH": str(root), "PATH": ""}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


@pytest.fixture(scope="module")
def undisturbed(root: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    done = child(root, tmp_path_factory.mktemp("undisturbed"), "never", "SIGKILL")
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", ["SIGKILL", "SIGINT"])
@pytest.mark.parametrize("point", POINTS)
def test_a_killed_step_is_done_again_with_the_same_digest(
    root: Path, tmp_path: Path, point: str, name: str, undisturbed: str
) -> None:
    killed = child(root, tmp_path, point, name)
    assert killed.returncode == -getattr(signal, name), killed.stderr
    again = child(root, tmp_path, "never", "SIGKILL")
    assert again.returncode == 0, again.stderr
    assert again.stdout == undisturbed
    bodies = (tmp_path / "ran").read_text().count("ran")
    begun_before = 0 if point == "opened" else 1
    # After `renamed` it is sealed. What a kill leaves whole at `manifest` is sealed by the next; Ctrl-C tidies it away.
    sealed = point == "renamed" or (point == "manifest" and name == "SIGKILL")
    assert bodies == begun_before + (not sealed)
    entries = list((tmp_path / "store" / "test.write").iterdir())
    assert len(entries) == 1 and not entries[0].name.startswith("."), f"leftovers: {entries}"
    assert not list((tmp_path / "scratch").glob("*")), "scratch goes when the step is sealed"


def test_scratch_survives_a_kill(root: Path, tmp_path: Path) -> None:
    assert child(root, tmp_path, "body", "SIGKILL").returncode == -signal.SIGKILL
    done = child(root, tmp_path, "never", "SIGKILL")
    assert done.returncode == 0
    [manifest] = (tmp_path / "store" / "test.write").glob("*/manifest.json")
    assert '"scratch_seen": true' in manifest.read_text()


def test_two_processes_on_one_step_do_it_once(root: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(CHILD), str(tmp_path), "never", "SIGKILL"]
    pair = [
        subprocess.Popen(command, cwd=root, env={"PYTHONPATH": str(root), "PATH": ""}, stdout=subprocess.PIPE)
        for _ in range(4)
    ]
    outputs = {process.communicate(timeout=60)[0] for process in pair}
    assert len(outputs) == 1
    assert [process.returncode for process in pair] == [0] * 4
    assert (tmp_path / "ran").read_text().count("ran") == 1
