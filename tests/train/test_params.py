"""Section `train`: what cannot work is refused when a recipe is read; and what of it reaches a trainer's process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from components.evaluate.steps import adapter_digest
from components.store import StepSpec, Store
from components.train.base import base_identity
from components.train.environments.find import lock_digest
from components.train.job import MODEL
from components.train.params import PACKAGED, TrainParams
from components.train.running.process import child_environment
from components.train.steps import trained_before
from tests.train.jobs import small_params

LOCAL = {"model": PACKAGED, "template": "smollm2", "quantization": "none"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"base": {"model": "local/qwen3-4b"}}, "comes in no package"),
        ({"base": {"model": PACKAGED}}, "needs template: smollm2"),
        ({"base": {"model": "a/b", "folder": "c"}}, "exactly one"),
        ({"base": {"model": None}}, "exactly one"),
        ({"lora": {"targets": []}}, "at least 1"),
        ({"lora": {"targets": ["q_prj"]}}, "q_proj"),
        ({"lora": {"targets": ["lm_head"]}}, "q_proj"),
        ({"lora": {"targets": ["model.layers.0.q_proj"]}}, "q_proj"),
        ({"hardware": "cpu", "base": LOCAL, "precision": "fp16"}, "precision: fp32"),
        ({"hardware": "t4", "precision": "bf16"}, "fp16"),
        ({"max_steps": 0}, "greater than or equal to 1"),
    ],
)
def test_what_cannot_work_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        TrainParams.model_validate(changes)


def test_layers_may_be_named() -> None:
    assert TrainParams.model_validate({"lora": {"targets": ["q_proj", "v_proj"]}}).lora.targets == ["q_proj", "v_proj"]
    assert TrainParams.model_validate({"base": LOCAL}).base.packaged


def test_keys_of_ours_are_not_handed_to_a_trainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "ANTHROPIC_API_KEY",
        "MY_SECRET",
        "db_password",
        "AWS_ACCESS_KEY_ID",
        "GITHUB_TOKEN",
        "HF_TOKEN",
        "CERVELLA_KEYS",
        "SLACK_WEBHOOK",
    ):
        monkeypatch.setenv(name, "geheim")
    monkeypatch.setenv("CUDA_HOME", "/cuda")
    found = child_environment(tmp_path, python=tmp_path / "python")
    assert [name for name, value in found.items() if value == "geheim"] == ["HF_TOKEN"]  # the base is on the hub
    assert found["CUDA_HOME"] == "/cuda"
    (tmp_path / MODEL).mkdir()
    assert "geheim" not in child_environment(tmp_path, python=tmp_path / "python").values()


def test_a_workspace_knows_what_was_trained_in_it(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "config.json").write_text("{}", encoding="utf-8")
    params = small_params(base={"folder": str(tmp_path / "base")})
    assert not trained_before(tmp_path, params)
    known = {"trainer": "axolotl", "lock": lock_digest("axolotl"), "base": base_identity(params.base)}
    broken = tmp_path / "store" / "train.run" / "x"
    broken.mkdir(parents=True)
    (broken / "manifest.json").write_text("[", encoding="utf-8")
    with Store(tmp_path).step(StepSpec("train.run", 1, known, {})) as step:
        step.write_text("x", "y")
    assert trained_before(tmp_path, params)
    other = params.model_copy(update={"trainer": "llamafactory"})
    assert not trained_before(tmp_path, other)


def test_answers_hang_on_the_adapter_s_weights_not_on_its_proof(tmp_path: Path) -> None:
    digests = {}
    for name, weights, proof in (("a", "w", "1"), ("b", "w", "2"), ("c", "v", "1"), ("d", None, "1"), ("e", None, "2")):
        with Store(tmp_path).step(StepSpec("train.export", 1, {"name": name}, {"trained": "t"})) as step:
            step.write_json("proof.json", json.loads(proof))
            if weights:
                step.write_text("adapter.gguf", weights)
        digests[name] = adapter_digest(step.artefact)
    assert digests["a"] == digests["b"] != digests["c"]
    assert digests["d"] == digests["e"] == "t"  # served elsewhere: what was trained tells
