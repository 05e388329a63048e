"""Whether this machine can train what is asked for, told before anything is done."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from components.errors import TerminalError
from components.train import machine
from components.train.environments import Environment
from components.train.params import TrainParams
from tests.train.jobs import small_params

pytestmark = pytest.mark.usefixtures("no_gpu")


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))


def with_gpu(folder: Path) -> None:
    tool = folder / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'GPU 0: Tesla T4 (UUID: GPU-1)'\n", encoding="utf-8")
    tool.chmod(0o755)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"base": {"quantization": "nf4"}, "hardware": "t4", "precision": "fp16"}, "train.base.quantization is nf4"),
        ({"hardware": "rtx4090", "precision": "bf16"}, "train.precision is bf16"),
        ({"hardware": "a100-80", "optimizer": "adamw_8bit"}, "train.optimizer is adamw_8bit"),
        ({"trainer": "unsloth", "hardware": "t4"}, "train.hardware is t4"),
    ],
)
@pytest.mark.skipif(os.path.exists("/proc/driver/nvidia/gpus"), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_told_with_what_needs_it(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(TerminalError) as told:
        machine.check_machine(small_params(**changes))
    assert said in str(told.value) and "cervella train pack" in str(told.value)


def test_defaults_need_a_gpu_and_the_small_ones_do_not() -> None:
    assert machine.needs_gpu(TrainParams()) and machine.needs_gpu(small_params()) is None


def test_a_trainer_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CERVELLA_TRAINERS", str(tmp_path / "none"))
    with pytest.raises(TerminalError, match="cervella trainers install llamafactory"):
        machine.check_machine(small_params(trainer="llamafactory"))


def test_a_build_for_processors_on_a_machine_with_a_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with_gpu(tmp_path)
    found = Environment("axolotl", tmp_path, tmp_path / "python", "", "0.19.0", "2.13.0+cpu", "", cuda=False)
    monkeypatch.setattr(machine, "find_environment", lambda name: found)
    with pytest.raises(TerminalError, match="--repair"):
        machine.check_machine(TrainParams())
    machine.check_machine(small_params())  # which a processor can do
