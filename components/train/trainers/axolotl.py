"""Axolotl 0.19.0: its YAML, its rows (OpenAI's messages), and what its effective configuration must say.

Facts behind the less obvious lines: research on trainers, section 1. Axolotl drops unknown keys without a word, drops
rows that are too long unless told to raise, keeps prepared rows by the name of their file, takes one warmup step for
two, turns on GPU kernels on a CPU, gives datasets the tokenizer's template whatever the global one is, and does not
seed the adapter's first weights (our plugin does).
"""

from __future__ import annotations

from typing import Any

from components.dataset.checks.templates import to_row
from components.dataset.conversation import Conversation
from components.train.job import DATA, OUT, Job
from components.train.params import TrainParams
from components.train.trainers import Expected
from components.train.trainers.shared import scheduler, targets

__all__ = ["CONFIG", "ENTRY", "VERSION", "expected", "files", "row", "set_by_us"]

VERSION = "0.19.0"
ENTRY = "run_axolotl.py"
CONFIG = "config.yaml"

TEMPLATES = {
    # Axolotl's own where it was compared with ours token by token; the tokenizer's where that is what is served.
    "qwen3": "qwen3", "smollm2": "tokenizer_default", "llama3": "llama3", "mistral": "tokenizer_default",
    "chatml": "chatml",
}  # fmt: skip
_CHANGEABLE = frozenset({
    "lora_mlp_kernel", "lora_qkv_kernel", "lora_o_kernel", "lora_embedding_kernel", "tf32", "attn_implementation",
    "pad_to_sequence_len", "special_tokens",
})  # fmt: skip
"""Keys with a careful value of ours that `train.extra` may set otherwise."""


def row(conversation: Conversation) -> dict[str, Any]:
    """Messages in OpenAI's form, with their training flags; `tools` as JSON text."""
    return to_row(conversation)


def files(job: Job) -> dict[str, str]:
    """config.yaml: our values, then `train.extra`."""
    import yaml

    head = f"# Axolotl {VERSION}. Written by Cervella from section train of a recipe; edit that, not this.\n"
    values = {**config(job), **job.params.extra}
    return {CONFIG: head + yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=100)}


def set_by_us(params: TrainParams) -> frozenset[str]:
    """Keys of Axolotl that a recipe sets by the section's own fields, or that would change what is judged."""
    from components.train.job import schedule

    job = Job(params, "model", "train.jsonl", "validation.jsonl", 1, 1, schedule(params, rows=1))
    ours = config(job).keys() - _CHANGEABLE
    other_ways = {
        "batch_size", "warmup_ratio", "val_set_size", "evals_per_epoch", "saves_per_epoch", "eval_strategy",
        "save_strategy", "lora_target_modules", "lora_target_linear", "load_in_8bit", "revision_of_model", "max_steps",
        "early_stopping_patience", "gradient_checkpointing_kwargs", "resume_from_checkpoint", "save_only_model",
        "bfloat16", "float16", "float32", "base_model_config", "tokenizer_config", "chat_template_jinja",
        "skip_prepare_dataset", "streaming", "pretraining_dataset", "rl", "embeddings_skip_upcast",
    }  # fmt: skip
    return frozenset(ours | other_ways)


def config(job: Job) -> dict[str, Any]:
    """Axolotl's configuration, without `train.extra`."""
    params = job.params
    base, lora, held = params.base, params.lora, params.validation
    plan = job.schedule
    values: dict[str, Any] = {"base_model": job.model}
    if base.revision is not None and base.folder is None:
        values["revision_of_model"] = base.revision
    values |= {
        "load_in_4bit": base.quantization == "nf4",
        "load_in_8bit": False,
        "adapter": "qlora" if base.quantization == "nf4" else "lora",
        "lora_r": lora.r,
        "lora_alpha": lora.alpha,
        "lora_dropout": lora.dropout,
        **({"lora_target_linear": True} if lora.targets == "all-linear" else {"lora_target_modules": lora.targets}),
        # One of them written turns off that all four turn themselves on, also where there is no GPU.
        **dict.fromkeys(("lora_mlp_kernel", "lora_qkv_kernel", "lora_o_kernel", "lora_embedding_kernel"), False),
        "chat_template": TEMPLATES[base.template],
        "datasets": [_dataset(job.train_file, base.template)],
        "test_datasets": [_dataset(job.validation_file, base.template)],
        "val_set_size": 0,
        "shuffle_merged_datasets": False,  # the Trainer shuffles, by the seed; masks stay in the order of the file
        "dataset_prepared_path": "prepared",
        "dataset_num_proc": 0,  # in this process: each other one imports everything again, and may outlive it
        "dataloader_num_workers": 0,
        "output_dir": OUT,
        "sequence_len": params.max_tokens,
        "excess_length_strategy": "raise",
        "sample_packing": params.packing,
        "eval_sample_packing": False,
        "pad_to_sequence_len": False,
        "micro_batch_size": params.batch_size,
        "gradient_accumulation_steps": params.accumulation,
        "eval_batch_size": params.batch_size,
        "num_epochs": params.epochs,
    }
    steps = params.max_steps if params.packing else plan.steps
    if steps is not None:
        values["max_steps"] = steps
    values |= {
        "learning_rate": params.learning_rate,
        "lr_scheduler": scheduler(job),
        "warmup_steps": plan.warmup_steps,
        "optimizer": params.optimizer,
        "weight_decay": params.weight_decay,
        "max_grad_norm": params.max_grad_norm,
        "bf16": params.precision == "bf16",
        "fp16": params.precision == "fp16",
        "tf32": False,
        "gradient_checkpointing": params.gradient_checkpointing,
        "attn_implementation": "sdpa",
        "eval_steps": plan.eval_steps,
        "save_steps": plan.eval_steps,
        "save_total_limit": held.keep_checkpoints,
        "load_best_model_at_end": True,
        "metric_for_best_model": "eval_loss",
        "logging_steps": 1,
        "seed": params.seed,
        "auto_resume_from_checkpoints": True,
        "plugins": ["cervella_axolotl.Plugin"],
        "strict": True,
    }
    if params.gradient_checkpointing:
        values["gradient_checkpointing_kwargs"] = {"use_reentrant": False}
    if held.patience is not None:
        values["early_stopping_patience"] = held.patience
    if base.quantization == "nf4" and params.hardware == "t4":
        values["embeddings_skip_upcast"] = True  # else 1.5 of 16 GB are an embedding in fp32
    if base.template == "llama3":
        values["special_tokens"] = {"pad_token": "<|end_of_text|>"}  # its tokenizer has none
    return values


def _dataset(name: str, template: str) -> dict[str, Any]:
    return {
        "path": f"{DATA}/{name}",
        "ds_type": "json",
        "split": "train",
        "type": "chat_template",
        "chat_template": TEMPLATES[template],  # the global one is not taken for datasets
        "field_messages": "messages",
        "field_tools": "tools",
        "message_field_training": "train",
        "message_field_training_detail": "train_detail",
        "roles_to_train": ["assistant"],
        "train_on_eos": "turn",
    }


def expected(job: Job) -> list[Expected]:
    """What Axolotl must really use: arguments of transformers' Trainer, the adapter of peft, the model, the data."""
    params, plan = job.params, job.schedule
    nf4 = params.base.quantization == "nf4"
    found = [
        Expected("trainer", "trainer.version", VERSION),
        Expected("train.base.model", "config.base_model", job.model),
        Expected("train.base.model", "peft.base_model_name_or_path", job.model),
        Expected("train.base.quantization", "config.load_in_4bit", nf4),
        Expected("train.base.template", "config.datasets.0.chat_template", TEMPLATES[params.base.template]),
        Expected("train.base.template", "config.test_datasets.0.chat_template", TEMPLATES[params.base.template]),
        Expected("train.lora.r", "peft.r", params.lora.r),
        Expected("train.lora.alpha", "peft.lora_alpha", params.lora.alpha),
        Expected("train.lora.dropout", "peft.lora_dropout", params.lora.dropout),
        Expected("train.lora.targets", "peft.target_modules", targets(params)),
        Expected("train.lora.targets", "peft.modules_to_save", None),
        Expected("train.batch_size", "arguments.per_device_train_batch_size", params.batch_size),
        Expected("train.accumulation", "arguments.gradient_accumulation_steps", params.accumulation),
        Expected("train.learning_rate", "arguments.learning_rate", params.learning_rate),
        Expected("train.scheduler", "arguments.lr_scheduler_type", scheduler(job)),
        Expected("train.warmup_ratio", "arguments.warmup_steps", plan.warmup_steps),
        Expected("train.weight_decay", "arguments.weight_decay", params.weight_decay),
        Expected("train.max_grad_norm", "arguments.max_grad_norm", params.max_grad_norm),
        Expected("train.optimizer", "arguments.optim", params.optimizer),
        Expected("train.precision", "arguments.bf16", params.precision == "bf16"),
        Expected("train.precision", "arguments.fp16", params.precision == "fp16"),
        Expected("train.max_tokens", "config.sequence_len", params.max_tokens),
        Expected("train.max_tokens", "config.excess_length_strategy", "raise"),
        Expected("train.gradient_checkpointing", "arguments.gradient_checkpointing", params.gradient_checkpointing),
        Expected("train.packing", "config.sample_packing", params.packing),
        Expected("train.seed", "arguments.seed", params.seed),
        Expected("train.validation.evaluations_per_epoch", "arguments.eval_steps", plan.eval_steps),
        Expected("train.validation.evaluations_per_epoch", "arguments.save_steps", plan.eval_steps),
        Expected("train.validation.evaluations_per_epoch", "arguments.eval_on_start", True),
        Expected("train.validation.keep_checkpoints", "arguments.save_total_limit", params.validation.keep_checkpoints),
        Expected("train.validation", "arguments.load_best_model_at_end", True),
        Expected("train.validation", "arguments.metric_for_best_model", "eval_loss"),
        Expected("train.validation", "arguments.greater_is_better", False),
        Expected("examples", "data.train_without_loss", 0),
        Expected("held-out examples", "data.validation_rows", job.validation_rows),
        Expected("held-out examples", "data.validation_without_loss", 0),
    ]
    if nf4:
        found.append(Expected("train.base.quantization", "model.quantization.bnb_4bit_quant_type", "nf4"))
    else:
        found.append(Expected("train.base.quantization", "model.quantization", None))
    if params.base.revision is not None and params.base.folder is None:
        found.append(Expected("train.base.revision", "config.revision_of_model", params.base.revision))
    if params.validation.patience is not None:
        found.append(
            Expected("train.validation.patience", "config.early_stopping_patience", params.validation.patience)
        )
    if not params.packing:
        found.append(Expected("examples", "data.train_rows", job.train_rows))
        found.append(Expected("train.epochs", "arguments.max_steps", plan.steps))
    elif params.max_steps is not None:
        found.append(Expected("train.max_steps", "arguments.max_steps", params.max_steps))
    return found
