"""LLaMA-Factory's arguments and rows: what each field of a recipe becomes, and which examples are refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from components.errors import TerminalError
from components.train.extra import trainer_schema
from components.train.job import Job, schedule
from components.train.params import TrainParams
from components.train.trainers import llamafactory
from tests.dataset.trainer_rows import conversation, conversation_of
from tests.train.jobs import answers, small_params

OWNERS = TrainParams(trainer="llamafactory")


def job_of(params: TrainParams, *, rows: int = 540) -> Job:
    model = params.base.model or "model"
    return Job(params, model, "train-1.jsonl", "validation-2.jsonl", rows, 60, schedule(params, rows=rows))


def config_of(params: TrainParams) -> dict[str, Any]:
    found = yaml.safe_load(llamafactory.files(job_of(params))["config.yaml"])
    assert isinstance(found, dict)
    return found


def small(**changes: Any) -> TrainParams:
    return small_params(trainer="llamafactory", **changes)


def test_the_owners_training_on_a_t4() -> None:
    config = config_of(OWNERS)
    wanted = {
        "model_name_or_path": "Qwen/Qwen3-4B", "stage": "sft", "do_train": True, "finetuning_type": "lora",
        "quantization_bit": 4, "quantization_type": "nf4", "lora_rank": 16, "lora_alpha": 32, "lora_dropout": 0.05,
        "lora_target": "all", "cutoff_len": 2048, "per_device_train_batch_size": 1,
        "gradient_accumulation_steps": 8, "learning_rate": 2e-4, "lr_scheduler_type": "cosine",
        "optim": "paged_adamw_8bit", "fp16": True, "bf16": False, "max_steps": 204, "warmup_steps": 7,
        "eval_steps": 17, "save_steps": 17, "early_stopping_steps": 3, "seed": 42, "report_to": "none",
        "overwrite_cache": True, "overwrite_output_dir": False, "disable_gradient_checkpointing": False,
    }  # fmt: skip
    assert {key: config.get(key) for key in wanted} == wanted


def test_the_rows_are_declared() -> None:
    info = json.loads(llamafactory.files(job_of(OWNERS))["data/dataset_info.json"])
    assert {side: one["file_name"] for side, one in info.items()} == {
        "train": "train-1.jsonl", "validation": "validation-2.jsonl",
    }  # fmt: skip
    assert all(one["columns"] == {"messages": "conversations", "system": "system", "tools": "tools"}
               for one in info.values())  # fmt: skip


@pytest.mark.parametrize(
    ("params", "key", "value"),
    [
        (small(), "quantization_bit", None),
        (small(), "fp16", False),
        (small(), "early_stopping_steps", None),
        (small(), "disable_gradient_checkpointing", True),
        (small(lora={"targets": ["q_proj", "v_proj"]}), "lora_target", "q_proj,v_proj"),
        (small(scheduler="constant"), "lr_scheduler_type", "constant_with_warmup"),
        (small(scheduler="constant", warmup_ratio=0), "lr_scheduler_type", "constant"),
        (small(max_steps=5), "max_steps", 5),
        (small(extra={"adam_beta2": 0.99}), "adam_beta2", 0.99),
        (small(extra={"flash_attn": "disabled"}), "flash_attn", "disabled"),
        (small(learning_rate=2e-5), "learning_rate", 2e-5),
    ],
)
def test_a_field_becomes_an_argument(params: TrainParams, key: str, value: Any) -> None:
    assert config_of(params).get(key) == value


@pytest.mark.parametrize("params", [OWNERS, small(), small(extra={"adam_beta2": 0.99})], ids=["t4", "cpu", "extra"])
def test_llamafactory_knows_every_argument_and_none_is_open_to_extra(params: TrainParams) -> None:
    config = config_of(params)
    assert config.keys() <= trainer_schema("llamafactory")["keys"].keys()
    ours = llamafactory.config(job_of(params)).keys()
    assert ours - llamafactory.set_by_us(params) <= {"flash_attn", "plot_loss"}


def test_packing_cannot_be_done() -> None:
    assert [key for key, _, _ in llamafactory.cannot(small(packing=True))] == ["packing"]
    assert llamafactory.cannot(OWNERS) == []


def test_a_row() -> None:
    assert llamafactory.row(answers(1)[0]) == {
        "conversations": [
            {"from": "human", "value": "Which colour has door 0?"},
            {"from": "gpt", "value": "Door 0 is red, of course."},
        ],
        "system": "",
        "tools": "",
    }  # fmt: skip


TOOLS = [{"name": "clock", "parameters": {"type": "object"}}]
CALL = '{"name": "clock", "arguments": {"zone": null}}'


@pytest.mark.parametrize("tools", [TOOLS, json.dumps(TOOLS)], ids=["list", "text"])
@pytest.mark.parametrize(
    ("call", "written"),
    [
        (CALL, f"[{CALL}]"),
        (f"[{CALL}, {CALL}]", f"[{CALL}, {CALL}]"),
        (f"<think>\nI look.\n</think>\n\n{CALL}", f"<think>\nI look.\n</think>\n<tool_call>\n[{CALL}]\n</tool_call>"),
    ],
    ids=["one call", "two", "with reasoning"],
)
def test_tools_and_calls_are_json_text_however_they_were_written(tools: Any, call: str, written: str) -> None:
    found = llamafactory.row(conversation(
        ("human", "t?"), ("function_call", call), ("observation", "12"), ("gpt", "Noon."), tools=tools, system="Be.",
    ))  # fmt: skip
    assert json.loads(found["tools"]) == [{"type": "function", "function": TOOLS[0]}]
    assert found["system"] == "Be."
    assert found["conversations"][1] == {"from": "function_call", "value": written}


def test_a_system_turn_counts_more_than_the_column() -> None:
    found = llamafactory.row(conversation(("system", "A"), ("human", "b"), ("gpt", "c"), system="B"))
    assert found["system"] == "A"
    assert [turn["from"] for turn in found["conversations"]] == ["human", "gpt"]


def flagged(**flags: Any) -> dict[str, Any]:
    turns = [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b", **flags}]
    return {"conversations": turns, "id": "door-7"}


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (flagged(train=False), "'door-7', turn 1: LLaMA-Factory reads no training flags"),
        (flagged(weight=0), "reads no training flags"),
        (flagged(train_detail=[{"begin_offset": 0, "end_offset": 1, "train": True}]), "reads no training flags"),
        ({"conversations": [{"from": "human", "value": "a"}]}, "of line 1: LLaMA-Factory would drop the example"),
        ({"conversations": [{"from": "gpt", "value": "a"}, {"from": "human", "value": "a"}]}, "would drop"),
        ({"conversations": [{"from": "human", "value": "a"}, {"from": "function_call", "value": "no JSON"}]},
         "would stop at the example: the call is no JSON"),
        ({"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": None}]}, "no turns of text"),
        ({"conversations": [{"from": "system", "value": ""}, {"from": "human", "value": "a"},
                            {"from": "gpt", "value": "b"}]}, "an empty system turn"),
    ],
)  # fmt: skip
def test_examples_that_it_would_not_train_as_meant_are_refused(row: Any, why: str) -> None:
    with pytest.raises(TerminalError, match=why) as error:
        llamafactory.row(conversation_of(row))
    assert "train.trainer to axolotl" in str(error.value)


@pytest.mark.parametrize("flags", [{"train": True}, {"weight": 1}, {"train": None}])
def test_flags_that_say_what_happens_anyway_are_left_out(flags: dict[str, Any]) -> None:
    assert llamafactory.row(conversation_of(flagged(**flags)))["conversations"][1] == {"from": "gpt", "value": "b"}


def test_idx_in_a_question_stays_as_it_is() -> None:
    assert (
        llamafactory.row(conversation(("human", "{{idx}}?"), ("gpt", "b")))["conversations"][0]["value"] == "{{idx}}?"
    )
