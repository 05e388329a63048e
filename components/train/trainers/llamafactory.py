"""LLaMA-Factory 0.9.5: its arguments, its ShareGPT rows, and what its effective configuration must say.

Its own templates train other tokens than are served: an empty <think> block before every answer, the line end after it,
{{idx}} in questions replaced. run_llamafactory.py registers a template of ours with it, which is the tokenizer's. It
cuts rows that are too long without a word, so `train.prepare` refuses them, and drops rows whose turns are not in its
order, so `row` does.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from components.dataset.checks.tool_calls import parse_call, parse_tools
from components.dataset.checks.train_flags import FLAGS, is_trained, trained_parts
from components.dataset.checks.trainers import llamafactory_0_9_5
from components.dataset.conversation import ASSISTANT_ROLES, Conversation, Turn
from components.errors import TerminalError
from components.train.job import DATA, OUT, Job, schedule
from components.train.params import TrainParams
from components.train.trainers import Expected
from components.train.trainers.shared import expected_of_all, row_name, scheduler

__all__ = ["CONFIG", "ENTRY", "TEMPLATE", "VERSION", "cannot", "expected", "files", "row", "set_by_us"]

VERSION = "0.9.5"
ENTRY = "run_llamafactory.py"
CONFIG = "config.yaml"
TEMPLATE = "cervella"
"""The name under which inside/run_llamafactory.py registers the tokenizer's own chat template."""
_CHANGEABLE = frozenset({"flash_attn", "plot_loss"})
"""Keys with a careful value of ours that `train.extra` may set otherwise."""
_OTHER_WAYS = frozenset({
    "warmup_ratio", "val_size", "neat_packing", "gradient_checkpointing", "early_stopping_steps", "quantization_bit",
    "quantization_method", "quantization_type", "double_quantization", "model_revision", "max_steps", "save_only_model",
    "resume_from_checkpoint", "streaming", "tokenized_path", "enable_thinking",
})  # fmt: skip


def row(conversation: Conversation) -> dict[str, Any]:
    """A row in ShareGPT with `function_call` and `observation`; `system` and `tools` (JSON text) always there.

    Raises:
        TerminalError: LLaMA-Factory would drop the row, stop at it, or train other turns than its flags say.
    """
    tools = conversation.tools
    if isinstance(tools, list):
        conversation = replace(conversation, tools=json.dumps(tools, ensure_ascii=False))
    found = llamafactory_0_9_5(conversation)
    turns = conversation.turns or ()
    if found.what in ("dropped", "stopped", "masked"):
        raise _refused(conversation, f"LLaMA-Factory would {_DOES[found.what]}: {found.why}", found.turn)
    for place, turn in enumerate(turns):
        if turn.extra and not FLAGS.isdisjoint(turn.extra):
            if is_trained(turn) != (turn.role in ASSISTANT_ROLES) or trained_parts(turn):
                raise _refused(conversation, "LLaMA-Factory reads no training flags: it would train all answers", place)
    system = conversation.system if isinstance(conversation.system, str) else ""
    if turns[0].role == "system":
        system, turns = turns[0].text, turns[1:]
        if not system:
            raise _refused(conversation, "an empty system turn, which LLaMA-Factory leaves out", 0)
    given = parse_tools(conversation.tools).given
    return {
        "conversations": [{"from": turn.role, "value": _value(conversation, turn)} for turn in turns],
        "system": system,
        "tools": json.dumps(list(given), ensure_ascii=False) if given else "",
    }


_DOES = {"dropped": "drop the example", "stopped": "stop at the example", "masked": "train nothing of the example"}


def _value(conversation: Conversation, turn: Turn) -> str:
    """The turn's text; of a call one JSON list, after its reasoning, however it was written."""
    if turn.role != "function_call":
        return turn.text
    found = parse_call(turn.text)
    if "<tool_call>" in found.thought:
        raise _refused(conversation, "several <tool_call> blocks in one turn: write one JSON list", None)
    calls = json.dumps([{"name": name, "arguments": arguments} for name, arguments in found.calls], ensure_ascii=False)
    return f"{found.thought}\n<tool_call>\n{calls}\n</tool_call>" if found.thought else calls


def _refused(conversation: Conversation, why: str, turn: int | None) -> TerminalError:
    place = "" if turn is None else f", turn {turn}"
    return TerminalError(f"{row_name(conversation)}{place}: {why}. Mend the example, or set train.trainer to axolotl")


def files(job: Job) -> dict[str, str]:
    """config.yaml: our values, then `train.extra`; and data/dataset_info.json."""
    import yaml

    head = f"# LLaMA-Factory {VERSION}. Written by Cervella from section train of a recipe; edit that, not this.\n"
    values = {**config(job), **job.params.extra}
    columns = {"messages": "conversations", "system": "system", "tools": "tools"}
    sides = {"train": job.train_file, "validation": job.validation_file}
    info = {side: {"file_name": name, "formatting": "sharegpt", "columns": columns} for side, name in sides.items()}
    return {
        CONFIG: head + yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=100),
        f"{DATA}/dataset_info.json": json.dumps(info, indent=1) + "\n",
    }


def set_by_us(params: TrainParams) -> frozenset[str]:
    """Arguments that a recipe sets by the section's own fields, or that would change what is judged."""
    job = Job(params, "model", "train.jsonl", "validation.jsonl", 1, 1, schedule(params, rows=1))
    return frozenset(config(job).keys() - _CHANGEABLE) | _OTHER_WAYS


def cannot(params: TrainParams) -> list[tuple[str, str, str]]:
    """What of the section LLaMA-Factory cannot do as it is meant: key, what is wrong, what is expected instead."""
    if not params.packing:
        return []
    return [(
        "packing", "LLaMA-Factory packs held-out examples too, and its losses would not be those of examples",
        "false, or trainer: axolotl",
    )]  # fmt: skip


def config(job: Job) -> dict[str, Any]:
    """LLaMA-Factory's arguments, without `train.extra`."""
    params, plan = job.params, job.schedule
    base, lora, held = params.base, params.lora, params.validation
    values: dict[str, Any] = {"model_name_or_path": job.model}
    if base.revision is not None and base.folder is None:
        values["model_revision"] = base.revision
    if base.quantization == "nf4":
        values |= {
            "quantization_bit": 4, "quantization_method": "bnb", "quantization_type": "nf4",
            "double_quantization": True,
        }  # fmt: skip
    values |= {
        "stage": "sft",
        "do_train": True,
        "finetuning_type": "lora",
        "lora_rank": lora.r,
        "lora_alpha": lora.alpha,
        "lora_dropout": lora.dropout,
        "lora_target": "all" if lora.targets == "all-linear" else ",".join(lora.targets),
        "template": TEMPLATE,
        "dataset": "train",
        "eval_dataset": "validation",
        "dataset_dir": DATA,
        "cutoff_len": params.max_tokens,
        "packing": False,
        "overwrite_cache": True,
        "output_dir": OUT,
        "overwrite_output_dir": False,  # it goes on from the newest checkpoint by itself
        "per_device_train_batch_size": params.batch_size,
        "per_device_eval_batch_size": params.batch_size,
        "gradient_accumulation_steps": params.accumulation,
        "num_train_epochs": params.epochs,
        "max_steps": plan.steps,
        "learning_rate": params.learning_rate,
        "lr_scheduler_type": scheduler(job),
        "warmup_steps": plan.warmup_steps,
        "optim": params.optimizer,
        "weight_decay": params.weight_decay,
        "max_grad_norm": params.max_grad_norm,
        "bf16": params.precision == "bf16",
        "fp16": params.precision == "fp16",
        "disable_gradient_checkpointing": not params.gradient_checkpointing,
        "flash_attn": "sdpa",
        "eval_strategy": "steps",
        "eval_steps": plan.eval_steps,
        "eval_on_start": True,
        "save_strategy": "steps",
        "save_steps": plan.eval_steps,
        "save_total_limit": held.keep_checkpoints,
        "load_best_model_at_end": True,
        "metric_for_best_model": "eval_loss",
        "greater_is_better": False,
        "restore_callback_states_from_checkpoint": True,
        "logging_steps": 1,
        "seed": params.seed,
        "report_to": "none",
        "plot_loss": False,
    }
    if held.patience is not None:
        values["early_stopping_steps"] = held.patience  # misnamed: it counts evaluations
    return values


def expected(job: Job) -> list[Expected]:
    """What LLaMA-Factory must really use: arguments of the Trainer, the adapter of peft, the model, the data."""
    params = job.params
    found = [
        *expected_of_all(job, version=VERSION),
        Expected("train.base.model", "config.model_name_or_path", job.model),
        Expected("train.base.template", "config.template", TEMPLATE),
        Expected("train.optimizer", "arguments.optim", params.optimizer),
        Expected("train.max_tokens", "config.cutoff_len", params.max_tokens),
        Expected("train.gradient_checkpointing", "config.disable_gradient_checkpointing",
                 not params.gradient_checkpointing),
        Expected("train.packing", "config.packing", False),
        Expected("train.validation.patience", "config.early_stopping_steps", params.validation.patience),
    ]  # fmt: skip
    if params.base.revision is not None and params.base.folder is None:
        found.append(Expected("train.base.revision", "config.model_revision", params.base.revision))
    return found
