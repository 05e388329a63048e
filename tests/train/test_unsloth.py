"""Unsloth: our runner's configuration and rows, and that its real functions for GPUs take every argument of ours."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.errors import TerminalError
from components.train.environments import Environment
from components.train.extra import trainer_schema
from components.train.job import LOG, Job, schedule
from components.train.params import TrainParams
from components.train.running.outcome import judge
from components.train.running.process import run_trainer
from components.train.trainers import unsloth
from tests.dataset.trainer_rows import conversation, conversation_of
from tests.train.jobs import make_job, small_params

ROOT = Path(__file__).resolve().parents[2]
OWNERS = TrainParams(trainer="unsloth")


def job_of(params: TrainParams, *, rows: int = 540) -> Job:
    model = params.base.model or "model"
    return Job(params, model, "train-1.jsonl", "validation-2.jsonl", rows, 60, schedule(params, rows=rows))


def config_of(params: TrainParams) -> dict[str, Any]:
    found = json.loads(unsloth.files(job_of(params))["config.json"])
    assert isinstance(found, dict)
    return found


def small(**changes: Any) -> TrainParams:
    return small_params(trainer="unsloth", **changes)


def test_the_owners_training_on_a_t4() -> None:
    config = config_of(OWNERS)
    wanted: dict[str, dict[str, Any]] = {
        "load": {"model_name": "Qwen/Qwen3-4B", "max_seq_length": 2048, "load_in_4bit": True, "dtype": "float16",
                 "use_exact_model_name": True, "trust_remote_code": False},
        "lora": {"r": 16, "lora_alpha": 32, "lora_dropout": 0.05, "use_gradient_checkpointing": "unsloth"},
        "sft": {"per_device_train_batch_size": 1, "gradient_accumulation_steps": 8, "learning_rate": 2e-4,
                "lr_scheduler_type": "cosine", "optim": "paged_adamw_8bit", "fp16": True, "bf16": False,
                "max_steps": 204, "warmup_steps": 7, "eval_steps": 17, "save_steps": 17, "seed": 42,
                "padding_free": False, "packing": False, "report_to": "none"},
    }  # fmt: skip
    for group, values in wanted.items():
        assert {key: config[group].get(key) for key in values} == values
    assert config["patience"] == 3
    assert sorted(config["lora"]["target_modules"]) == [
        "down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj",
    ]  # fmt: skip


@pytest.mark.parametrize("params", [OWNERS, small()], ids=["t4", "cpu"])
def test_unsloth_knows_every_argument_and_none_is_open_to_extra(params: TrainParams) -> None:
    config, models = config_of(params), trainer_schema("unsloth")["models"]
    for group in unsloth.GROUPS:
        assert config[group].keys() <= models[group].keys()
        assert {f"{group}.{key}" for key in config[group]} <= unsloth.set_by_us(params)


def test_extra_goes_into_its_group() -> None:
    config = config_of(small(extra={"sft": {"neftune_noise_alpha": 5.0}, "load": {"unsloth_tiled_mlp": True}}))
    assert config["sft"]["neftune_noise_alpha"] == 5.0 and config["load"]["unsloth_tiled_mlp"] is True
    assert config["sft"]["seed"] == 42


@pytest.mark.parametrize(
    ("params", "keys"),
    [
        (OWNERS, []),
        (small(), []),
        (small(packing=True), ["packing"]),
        (TrainParams(trainer="unsloth", precision="fp32"), ["precision"]),
    ],
    ids=["t4", "cpu", "packing", "fp32 on a GPU"],
)
def test_what_it_cannot_do(params: TrainParams, keys: list[str]) -> None:
    assert [key for key, _, _ in unsloth.cannot(params)] == keys


def test_a_row_keeps_flags_of_whole_answers() -> None:
    row: Any = {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b", "weight": 0},
                                  {"from": "human", "value": "c"}, {"from": "gpt", "value": "d"}]}  # fmt: skip
    assert unsloth.row(conversation_of(row)) == {
        "messages": [
            {"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "train": False},
            {"role": "user", "content": "c"}, {"role": "assistant", "content": "d"},
        ],
        "tools": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("turn", "why"),
    [
        ({"from": "human", "value": "a", "train": True}, "turns that are not the partner's"),
        (
            {"from": "gpt", "value": "ab", "train_detail": [{"begin_offset": 0, "end_offset": 0, "train": True}]},
            "parts",
        ),
        ({"from": "narrator", "value": "a"}, "known role"),
        ({"from": "gpt", "value": None}, "turn of text"),
    ],
)
def test_examples_that_it_would_not_train_as_meant_are_refused(turn: Any, why: str) -> None:
    with pytest.raises(TerminalError, match=why):
        unsloth.row(conversation_of({"conversations": [turn, {"from": "gpt", "value": "b"}]}))


@pytest.fixture(scope="module")
def environment(trainer_environment: Callable[[str], Environment]) -> Environment:
    return trainer_environment("unsloth")


@pytest.fixture(scope="module")
def tiny(tiny_qwen3: Callable[[str], Path]) -> Path:
    return tiny_qwen3("unsloth")


@pytest.mark.slow
def test_a_recipe_for_a_gpu_is_refused_on_a_machine_without_one(environment: Environment, tmp_path: Path) -> None:
    folder = tmp_path / "job"
    job = make_job(folder, OWNERS, model=None)
    code = run_trainer(folder, python=environment.python, entry=unsloth.ENTRY, tell=lambda one: None,
                       environment={"CUDA_VISIBLE_DEVICES": ""})  # fmt: skip
    if "+cpu" not in environment.torch:
        pytest.skip("torch of this environment can use a GPU")
    assert code == 3
    with pytest.raises(TerminalError, match="Unsloth cannot train here: .* the recipe is for a t4") as error:
        judge(folder, job, started=0)
    assert "cervella train pack" in str(error.value)
    assert "Traceback" not in (folder / LOG).read_text("utf-8")


CHECK = """
import inspect, json, os, sys
os.environ["UNSLOTH_ALLOW_CPU"] = "1"
sys.path.insert(0, sys.argv[1])
from unsloth import FastLanguageModel
import unsloth.models.rl as rl

rl._patch_trl_rl_trainers("sft_trainer")  # what it does to TRL where there is a GPU
import UnslothSFTTrainer as rewritten
from labels import Encoder
from peft import LoraConfig, get_peft_model
from run_unsloth import rows
from transformers import AutoModelForCausalLM, AutoTokenizer, EarlyStoppingCallback

config = json.load(open("config.json"))
inspect.signature(FastLanguageModel.from_pretrained).bind(**config["load"])
inspect.signature(FastLanguageModel.get_peft_model).bind("model", **config["lora"])
tokenizer = AutoTokenizer.from_pretrained("model")
model = get_peft_model(AutoModelForCausalLM.from_pretrained("model", dtype="bfloat16"),
                       LoraConfig(r=2, target_modules=["q_proj"]))
encoder = Encoder(tokenizer)
sides = {side: rows(encoder, config[side], most=128) for side in ("train", "validation")}
arguments = rewritten.UnslothSFTConfig(**config["sft"], use_cpu=True)  # bf16 without a GPU needs it said
trainer = rewritten.UnslothSFTTrainer(
    model=model, args=arguments, train_dataset=sides["train"], eval_dataset=sides["validation"],
    processing_class=tokenizer, callbacks=[EarlyStoppingCallback(early_stopping_patience=3)],
)
loader = trainer.get_train_dataloader()
found = {
    "changed": {key: str(getattr(trainer.args, key)) for key, value in config["sft"].items()
                if getattr(trainer.args, key) != value},
    "rows": [[int(one) for one in row["labels"]] for row in sides["train"]],
    "kept": [[int(one) for one in trainer.data_collator([trainer.train_dataset[number]])["labels"][0]]
             for number in range(len(trainer.train_dataset))],
    "batch": sorted(next(iter(loader))),
}
json.dump(found, open("found.json", "w"))
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_real_classes_for_gpus_take_every_argument_and_keep_the_labels(
    environment: Environment, tiny: Path, tmp_path: Path
) -> None:
    """Imported by Unsloth's own bypass for tests: signatures and TRL as it is rewritten; no kernel of a GPU runs."""
    folder = tmp_path / "job"
    make_job(folder, small(), model=tiny)
    gpu = small(hardware="l4", precision="bf16", gradient_checkpointing=True)
    given = {**json.loads((folder / "config.json").read_text()), **{
        group: unsloth.config(job_of(gpu, rows=16))[group] for group in unsloth.GROUPS
    }}  # fmt: skip
    (folder / "config.json").write_text(json.dumps(given))
    quiet = {"HF_HUB_OFFLINE": "1", "UNSLOTH_DISABLE_STATISTICS": "1", "OMP_NUM_THREADS": "1", "HOME": str(tmp_path)}
    done = subprocess.run(
        [str(environment.python), "-c", CHECK, str(ROOT / "components/train/inside")], cwd=folder, text=True,
        capture_output=True, env={"PATH": os.environ["PATH"], **quiet},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads((folder / "found.json").read_text())
    assert found["changed"] == {"report_to": "[]"}
    assert found["kept"] == found["rows"] and len(found["rows"]) == 16
    assert found["batch"] == ["attention_mask", "input_ids", "labels"]
    assert all(any(label != -100 for label in row) for row in found["rows"])


def test_rows_of_tools() -> None:
    found = unsloth.row(conversation(("human", "t?"), ("function_call", '{"name": "t", "arguments": {}}'),
                                     ("observation", "12"), ("gpt", "x"), tools='[{"name": "t"}]'))  # fmt: skip
    assert json.loads(found["tools"]) == [{"type": "function", "function": {"name": "t"}}]
    assert [one["role"] for one in found["messages"]] == ["user", "assistant", "tool", "assistant"]
