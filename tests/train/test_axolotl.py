"""Axolotl's configuration: what each field of a recipe becomes, and that Axolotl's own check keeps all of it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.train.environments import Environment
from components.train.job import Job, schedule
from components.train.params import TrainParams
from components.train.trainers import axolotl
from tests.train.jobs import answers, small_params

ROOT = Path(__file__).resolve().parents[2]
HARDWARE = sorted(path.stem for path in (ROOT / "recipes/hardware").glob("*.yaml"))
MODELS = ["llama-3.1-8b", "mistral-7b", "qwen3-4b", "smollm2-135m"]
COMPUTE = {"t4": "sm_75", "l4": "sm_89", "rtx3090": "sm_86", "rtx4090": "sm_89", "a100-40": "sm_80", "a100-80": "sm_80",
           "h100": "sm_90", "cpu-smoke": None}  # fmt: skip


def preset(hardware: str, model: str = "qwen3-4b", **changes: Any) -> TrainParams:
    """Section `train` of two presets, the second on top of the first, as `extends` puts them together."""
    values: dict[str, Any] = {}
    for path in (f"models/{model}.yaml", f"hardware/{hardware}.yaml"):
        for key, value in yaml.safe_load((ROOT / "recipes" / path).read_text("utf-8"))["train"].items():
            values[key] = {**values[key], **value} if isinstance(value, dict) and key in values else value
    return TrainParams.model_validate({**values, **changes})


def job_of(params: TrainParams, *, rows: int = 540) -> Job:
    return Job(params, params.base.model or "model", "train-1.jsonl", "validation-2.jsonl", rows, 60,
               schedule(params, rows=rows))  # fmt: skip


def config_of(params: TrainParams) -> dict[str, Any]:
    found = yaml.safe_load(axolotl.files(job_of(params))["config.yaml"])
    assert isinstance(found, dict)
    return found


def test_the_owners_training_on_a_t4() -> None:
    config = config_of(preset("t4"))
    wanted = {
        "base_model": "Qwen/Qwen3-4B", "adapter": "qlora", "load_in_4bit": True, "lora_r": 16, "lora_alpha": 32,
        "lora_dropout": 0.05, "lora_target_linear": True, "bf16": False, "fp16": True, "sequence_len": 2048,
        "micro_batch_size": 1, "gradient_accumulation_steps": 8, "learning_rate": 2e-4, "lr_scheduler": "cosine",
        "optimizer": "paged_adamw_8bit", "gradient_checkpointing": True,
        "gradient_checkpointing_kwargs": {"use_reentrant": False}, "embeddings_skip_upcast": True,
        "max_steps": 204, "warmup_steps": 7, "eval_steps": 17, "save_steps": 17, "early_stopping_patience": 3,
        "excess_length_strategy": "raise", "val_set_size": 0, "sample_packing": False, "seed": 42,
    }  # fmt: skip
    assert {key: config.get(key) for key in wanted} == wanted
    assert config["datasets"][0]["path"] == "data/train-1.jsonl"
    assert config["test_datasets"][0]["path"] == "data/validation-2.jsonl"
    assert config["datasets"][0]["chat_template"] == "qwen3"


@pytest.mark.parametrize(
    ("params", "key", "value"),
    [
        (preset("rtx4090"), "bf16", True),
        (preset("rtx4090"), "embeddings_skip_upcast", None),
        (preset("cpu-smoke", "smollm2-135m"), "adapter", "lora"),
        (preset("cpu-smoke", "smollm2-135m"), "load_in_4bit", False),
        (small_params(), "fp16", False),
        (small_params(), "bf16", False),
        (small_params(), "early_stopping_patience", None),
        (small_params(lora={"targets": ["q_proj", "v_proj"]}), "lora_target_modules", ["q_proj", "v_proj"]),
        (small_params(lora={"targets": ["q_proj", "v_proj"]}), "lora_target_linear", None),
        (small_params(scheduler="constant"), "lr_scheduler", "constant_with_warmup"),
        (small_params(scheduler="constant", warmup_ratio=0), "lr_scheduler", "constant"),
        (small_params(max_steps=5), "max_steps", 5),
        (small_params(packing=True), "max_steps", None),
        (small_params(packing=True), "sample_packing", True),
        (small_params(extra={"adam_beta2": 0.99}), "adam_beta2", 0.99),
        (small_params(extra={"tf32": True}), "tf32", True),
        (preset("t4", base={"revision": "abc", "template": "qwen3"}), "revision_of_model", "abc"),
        (preset("t4", "llama-3.1-8b"), "chat_template", "llama3"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_field_becomes_a_key(params: TrainParams, key: str, value: Any) -> None:
    assert config_of(params).get(key) == value


def test_small_numbers_stay_numbers_in_yaml() -> None:
    config = config_of(small_params(learning_rate=2e-5, weight_decay=1e-8))
    assert config["learning_rate"] == 2e-5 and config["weight_decay"] == 1e-8


def test_every_key_of_ours_is_closed_to_extra_but_those_that_may_change() -> None:
    for params in (preset("t4"), small_params(), small_params(packing=True), preset("t4", "llama-3.1-8b")):
        job = job_of(params.model_copy(update={"extra": {}}))
        closed = axolotl.set_by_us(params)
        open_keys = axolotl.config(job).keys() - closed
        assert open_keys <= {
            "lora_mlp_kernel", "lora_qkv_kernel", "lora_o_kernel", "lora_embedding_kernel", "tf32",
            "attn_implementation", "pad_to_sequence_len", "special_tokens",
        }  # fmt: skip
        assert {"plugins", "datasets", "output_dir", "resume_from_checkpoint", "val_set_size"} <= closed


def test_a_row_is_messages() -> None:
    assert axolotl.row(answers(1)[0]) == {
        "messages": [
            {"role": "user", "content": "Which colour has door 0?"},
            {"role": "assistant", "content": "Door 0 is red, of course."},
        ]
    }


CHECK = """
import json, os, sys, yaml
os.environ.update(AXOLOTL_DO_NOT_TRACK="1", HF_HUB_OFFLINE="1")
sys.path.insert(0, sys.argv[1])
from axolotl.cli.config import prepare_plugins
from axolotl.utils.config import validate_config
from axolotl.utils.dict import DictDefault

found = {}
for name, one in json.load(sys.stdin).items():
    cfg = DictDefault(yaml.safe_load(one["config"]))
    prepare_plugins(cfg)
    sm, bf16 = one["compute"], one["bf16"]
    capabilities = {"bf16": bf16, "fp8": False, "tf32": bf16, "n_gpu": 1, "compute_capability": sm}
    try:
        found[name] = validate_config(cfg, capabilities=capabilities, env_capabilities={"torch_version": "2.13.0"})
    except Exception as error:
        found[name] = {"error": str(error)}
json.dump(found, open(sys.argv[2], "w"), default=str)
"""


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_axolotls_own_check_takes_every_preset_and_drops_no_key(
    trainer_environment: Callable[[str], Environment], tmp_path: Path
) -> None:
    """Axolotl drops keys that it does not know without a word: each of ours must come out as it went in."""
    asked: dict[str, Any] = {}
    for hardware in HARDWARE:
        for model in MODELS:
            if (hardware == "cpu-smoke") == (model == "smollm2-135m"):
                text = axolotl.files(job_of(preset(hardware, model)))["config.yaml"]
                compute = COMPUTE[hardware]
                bf16 = compute is not None and compute >= "sm_80"
                asked[f"{model} on {hardware}"] = {"config": text, "compute": compute, "bf16": bf16}
    assert len(asked) > 20
    python = trainer_environment("axolotl").python
    subprocess.run(
        [str(python), "-c", CHECK, str(ROOT / "components/train/inside"), str(tmp_path / "found.json")],
        input=json.dumps(asked), text=True, check=True, env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
    )  # fmt: skip
    found = json.loads((tmp_path / "found.json").read_bytes())
    assert found.keys() == asked.keys()
    for name, given in asked.items():
        assert "error" not in found[name], f"{name}: {found[name]}"
        ours = yaml.safe_load(given["config"])
        for key, value in ours.items():
            theirs = found[name].get(key)
            if key in ("datasets", "test_datasets"):
                theirs = [{inner: theirs[0].get(inner) for inner in value[0]}]
            assert theirs == value, f"{name}: {key}: {value} became {theirs}"
