"""A recipe that needs a GPU, on a machine without one: told before anything is begun, with the way out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from components.errors import TerminalError
from components.recipe import load_recipe
from components.store import StepSpec, Store
from components.train.base import base_identity
from components.train.environments.find import lock_digest
from flows.commands.run import _check_machine

pytestmark = pytest.mark.skipif(os.path.exists("/proc/driver/nvidia/gpus"), reason="this machine has a GPU")


@pytest.fixture(autouse=True)
def nothing_to_train_with(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))  # no nvidia-smi
    monkeypatch.setenv("CERVELLA_TRAINERS", str(tmp_path / "empty"))


def test_neither_a_server_nor_a_run_is_begun(here: Any, tmp_path: Path) -> None:
    done = here("run", "optimize-qwen3-4b", "-o", f"workspace={tmp_path / 'new'}")
    assert done.code == 3 and "no NVIDIA GPU" in done.err and "cervella train pack" in done.err
    assert not (tmp_path / "new").exists()


def test_of_a_matrix_one_that_can_be_trained_is_enough(root: Path, tmp_path: Path) -> None:
    matrix = "matrix={train.trainer: [axolotl, llamafactory]}"
    loaded = load_recipe(
        root / "recipes" / "optimize-smoke.yaml", overrides=[matrix, f"workspace={tmp_path / 'workspace'}"]
    )
    with pytest.raises(TerminalError, match="trainers install axolotl"):
        _check_machine(loaded)
    known = {"trainer": "llamafactory", "lock": lock_digest("llamafactory")}
    known["base"] = base_identity(loaded.recipe.train.base)  # type: ignore[assignment]
    with Store(tmp_path / "workspace").step(StepSpec("train.run", 1, known, {})) as step:
        step.write_text("adapter", "trained before")
    _check_machine(loaded)
