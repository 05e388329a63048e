"""The real trainers: what is installed is what the locks say, also after an installation that was killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from components.train.environments import Environment, find
from components.train.environments.check import misfits
from components.train.environments.uv import find_uv

VERSIONS = """
import importlib.metadata, json, sys, torch
names = ("transformers", "peft", "trl", "datasets", "accelerate", "bitsandbytes")
print(json.dumps({name: importlib.metadata.version(name) for name in names} | {"torch": torch.__version__}))
"""

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", find.NAMES)
def test_a_real_trainer_is_what_its_lock_says(
    trainer_environment: Callable[[str], Environment], name: find.TrainerName
) -> None:
    real = trainer_environment(name)
    assert misfits(name, real.folder, uv=str(find_uv())) == []
    done = subprocess.run([real.python, "-I", "-c", VERSIONS], capture_output=True, text=True, check=True)
    versions = json.loads(done.stdout)
    assert versions.pop("torch") == real.torch
    locked = find.locked_packages(name)
    assert versions == {package: locked[package] for package in versions}
    assert real.torch.partition("+")[0] == find.torch_version(name)


def test_all_three_have_the_same_torch(trainer_environment: Callable[[str], Environment]) -> None:
    """A digest of torch is of the build, not of where and when it was installed."""
    found = [trainer_environment(name) for name in find.NAMES]
    assert len({(one.torch, one.torch_digest) for one in found}) == 1


def test_a_real_installation_that_was_killed_is_done_by_the_next_one(
    root: Path, trainer_environment: Callable[[str], Environment], tmp_path: Path
) -> None:
    there = trainer_environment("llamafactory")  # now all of it is in uv's cache
    locks = find.lock_file("llamafactory").parent
    command = [sys.executable, str(Path(__file__).with_name("small_trainers.py")), str(locks), "llamafactory"]
    environment = {**os.environ, "CERVELLA_TRAINERS": str(tmp_path), "PYTHONPATH": str(root)}
    folder = tmp_path / there.folder.name
    dying = subprocess.Popen([*command, ""], cwd=root, env=environment, stdout=subprocess.DEVNULL)
    while len(find.installed_packages(folder)) < 40:  # in the middle of uv's work
        assert dying.poll() is None
        time.sleep(0.01)
    dying.kill()
    assert dying.wait() == -signal.SIGKILL
    assert find.fault_of("llamafactory", folder) == "its installation did not come to its end"
    done = subprocess.run([*command, ""], cwd=root, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert find.fault_of("llamafactory", folder) is None
    told = find.read_environment(folder) or {}
    assert told["torch_digest"] == there.torch_digest
    stub = (find.site_packages(folder) or folder) / "torchaudio.py"
    assert "imports torchaudio and does not use it" in stub.read_text()
