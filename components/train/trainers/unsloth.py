"""Unsloth 2026.10.9: the configuration of our runner, its rows (OpenAI's messages), what it must really use.

`train.extra` has groups: `load` (FastLanguageModel.from_pretrained), `lora` (get_peft_model), `sft` (TRL's SFTConfig).
Checked here against the real package: a whole training on its CPU backend, and that the functions for GPUs take every
argument of ours. Not checked: what its GPU kernels compute, 4 bit, 8-bit optimizers, and what it does to `SFTTrainer`
where there is a GPU.
"""

from __future__ import annotations

import json
from typing import Any

from components.dataset.checks.templates import to_row
from components.dataset.checks.train_flags import FLAGS, is_trained, trained_parts
from components.dataset.conversation import ASSISTANT_ROLES, ROLES, Conversation
from components.errors import TerminalError
from components.train.job import DATA, OUT, Job, schedule
from components.train.params import TrainParams
from components.train.trainers import Expected
from components.train.trainers.shared import expected_of_all, row_name, scheduler, targets

__all__ = ["CONFIG", "ENTRY", "GROUPS", "VERSION", "cannot", "expected", "files", "row", "set_by_us"]

VERSION = "2026.10.9"
ENTRY = "run_unsloth.py"
CONFIG = "config.json"
GROUPS = ("load", "lora", "sft")
_TORCH = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}
_OTHER_WAYS = frozenset({
    "load.load_in_8bit", "load.load_in_16bit", "load.load_in_fp8", "load.full_finetuning", "load.revision",
    "lora.use_rslora", "lora.modules_to_save", "sft.warmup_ratio", "sft.resume_from_checkpoint",
    "sft.save_only_model", "sft.use_cpu", "sft.eval_packing", "sft.assistant_only_loss",
    "sft.completion_only_loss",
})  # fmt: skip


def row(conversation: Conversation) -> dict[str, Any]:
    """Messages in OpenAI's form; `train: false` on answers that carry no loss; `tools` as JSON text or null.

    Raises:
        TerminalError: what our runner cannot train as it is meant: parts of a turn, turns of others, unknown roles.
    """
    for place, turn in enumerate(conversation.turns or ()):
        where = f"{row_name(conversation)}, turn {place}"
        if turn.role not in ROLES or not isinstance(turn.value, str):
            raise TerminalError(f"{where}: no turn of text with a known role. `cervella data check` lists such turns")
        if turn.extra and not FLAGS.isdisjoint(turn.extra):
            if trained_parts(turn) or (is_trained(turn) and turn.role not in ASSISTANT_ROLES):
                raise TerminalError(
                    f"{where}: parts of a turn, and turns that are not the partner's, cannot be trained with Unsloth. "
                    "Leave the flags out, or set train.trainer to axolotl"
                )
    if not conversation.turns:
        raise TerminalError(f"{row_name(conversation)}: no turns")
    found = to_row(conversation)
    return {"messages": found["messages"], "tools": found.get("tools")}


def files(job: Job) -> dict[str, str]:
    """config.json: our values, and those of `train.extra` in their groups."""
    values = config(job)
    for group, given in job.params.extra.items():
        values[group] = {**values[group], **given}
    return {CONFIG: json.dumps(values, indent=1, ensure_ascii=False) + "\n"}


def set_by_us(params: TrainParams) -> frozenset[str]:
    """Keys, with their group, that a recipe sets by the section's own fields, or that would change what is judged."""
    job = Job(params, "model", "train.jsonl", "validation.jsonl", 1, 1, schedule(params, rows=1))
    ours = {f"{group}.{key}" for group in GROUPS for key in config(job)[group]}
    return frozenset(ours | _OTHER_WAYS)


def cannot(params: TrainParams) -> list[tuple[str, str, str]]:
    """What of the section Unsloth cannot do as it is meant: key, what is wrong, what is expected instead."""
    found = []
    if params.packing:
        found.append(("packing", "rows are given to Unsloth with their labels, and those it does not pack",
                      "false, or trainer: axolotl"))  # fmt: skip
    if params.precision == "fp32" and params.hardware != "cpu":
        found.append(("precision", "Unsloth computes in 16 bit on a GPU, whatever is asked",
                      "bf16, or fp16 on a T4; or trainer: axolotl"))  # fmt: skip
    return found


def config(job: Job) -> dict[str, Any]:
    """The runner's configuration, without `train.extra`."""
    params, plan = job.params, job.schedule
    base, lora, held = params.base, params.lora, params.validation
    load: dict[str, Any] = {"model_name": job.model}
    if base.revision is not None and base.folder is None:
        load["revision"] = base.revision
    load |= {
        "max_seq_length": params.max_tokens,
        "dtype": _TORCH[params.precision],
        "load_in_4bit": base.quantization == "nf4",
        "use_exact_model_name": True,  # else it takes a quantized copy of its own in place of the model that is named
        "use_gradient_checkpointing": "unsloth" if params.gradient_checkpointing else False,
        "random_state": params.seed,
        "trust_remote_code": False,
    }
    return {
        "load": load,
        "lora": {
            "r": lora.r,
            "lora_alpha": lora.alpha,
            "lora_dropout": lora.dropout,
            "bias": "none",
            "target_modules": targets(params),
            "use_gradient_checkpointing": "unsloth" if params.gradient_checkpointing else False,
            "random_state": params.seed,
        },
        "sft": {
            "output_dir": OUT,
            "dataset_kwargs": {"skip_prepare_dataset": True},  # rows have ids and labels already
            "max_length": params.max_tokens,
            "packing": False,
            "padding_free": False,  # where there is a GPU it would join the examples of a batch
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
            "gradient_checkpointing": params.gradient_checkpointing,
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
            "loss_type": "nll",
            "seed": params.seed,
            "report_to": "none",
        },
        "patience": held.patience,
        "train": f"{DATA}/{job.train_file}",
        "validation": f"{DATA}/{job.validation_file}",
    }


def expected(job: Job) -> list[Expected]:
    """What Unsloth must really use: arguments of the Trainer, the adapter of peft, the model, the data."""
    params = job.params
    # Its CPU backend takes the fused kernel of the same optimizer.
    fused = params.hardware == "cpu" and params.optimizer == "adamw_torch"
    return [
        *expected_of_all(job, version=VERSION),
        Expected("train.optimizer", "arguments.optim", "adamw_torch_fused" if fused else params.optimizer),
        Expected("train.max_tokens", "arguments.max_length", params.max_tokens),
        Expected("train.gradient_checkpointing", "arguments.gradient_checkpointing", params.gradient_checkpointing),
        Expected("train.packing", "arguments.packing", False),
        Expected("train.validation.patience", "config.patience", params.validation.patience),
    ]
