"""Installations of trainers that are killed, interrupted, or begun twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from components.errors import TerminalError
from components.train.environments import find_environment
from components.train.environments.install import install
from components.train.environments.state import states
from tests.train.small_trainers import TORCH, VERSION
from tests.waiting import soon

DYING = Path(__file__).with_name("small_trainers.py")


def start(root: Path, small: Path, point: str = "", **variables: str) -> subprocess.Popen[str]:
    """The installer as a program of its own."""
    return subprocess.Popen(
        [sys.executable, str(DYING), str(small / "locks"), "axolotl", point],
        cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "PYTHONPATH": str(root), **variables},
    )  # fmt: skip


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.slow
@pytest.mark.parametrize("point", ["an empty environment", f"torch {TORCH}", "packages, each", "a trial"])
def test_a_killed_installation_is_done_by_the_next_one(root: Path, small: Path, point: str) -> None:
    dying = start(root, small, point)
    dying.communicate()
    assert dying.returncode == -signal.SIGKILL
    with pytest.raises(TerminalError, match="cannot be used"):
        find_environment("axolotl")
    install("axolotl", say=print)
    assert find_environment("axolotl").trainer_version == VERSION


@pytest.mark.slow
def test_a_killed_installation_leaves_no_child(root: Path, small: Path) -> None:
    pid = small / "pid"
    dying = start(root, small, AXOLOTL_SLOW_IMPORT=str(pid))
    assert soon(lambda: pid.exists() and pid.read_text() != "")
    child = int(pid.read_text())
    assert alive(child)
    dying.kill()
    dying.communicate()
    assert soon(lambda: not alive(child))
    assert states()[0].state == "broken"


@pytest.mark.slow
def test_ctrl_c_ends_the_child_first(root: Path, small: Path) -> None:
    pid = small / "pid"
    dying = start(root, small, AXOLOTL_SLOW_IMPORT=str(pid))
    assert soon(lambda: pid.exists() and pid.read_text() != "")
    assert states()[0].state == "installing"
    with pytest.raises(TerminalError, match="being installed now"):
        find_environment("axolotl")
    dying.send_signal(signal.SIGINT)
    told, _ = dying.communicate()
    assert "KeyboardInterrupt" in told
    assert not alive(int(pid.read_text()))


@pytest.mark.slow
def test_two_at_once_install_once(root: Path, small: Path) -> None:
    both = [start(root, small), start(root, small)]
    texts = [one.communicate()[0] for one in both]
    assert [one.returncode for one in both] == [0, 0]
    assert sorted("an empty environment" in text for text in texts) == [False, True]
    assert any("waiting for process" in text for text in texts) or any("can be imported" in text for text in texts)
