"""What trainers have in common: all train with transformers' Trainer and peft, by the same names."""

from __future__ import annotations

from components.dataset.conversation import Conversation
from components.train.estimate.architecture import ALL_LINEAR
from components.train.job import Job
from components.train.params import TrainParams
from components.train.trainers import Expected

__all__ = ["expected_of_all", "row_name", "scheduler", "targets"]


def row_name(conversation: Conversation) -> str:
    """How an example is named to a person: by its id, else by its line among those of its side."""
    given = conversation.id
    return f"example {given!r}" if isinstance(given, str | int) and given else f"example of line {conversation.line}"


def scheduler(job: Job) -> str:
    """With its `constant` transformers takes no notice of warmup."""
    name = job.params.scheduler
    return "constant_with_warmup" if name == "constant" and job.schedule.warmup_steps else name


def targets(params: TrainParams) -> list[str]:
    """Names of the layers with an adapter."""
    return list(ALL_LINEAR) if params.lora.targets == "all-linear" else sorted(set(params.lora.targets))


def expected_of_all(job: Job, *, version: str) -> list[Expected]:
    """Arguments of the Trainer, the adapter, the quantization and the rows."""
    params, plan = job.params, job.schedule
    nf4 = params.base.quantization == "nf4"
    return [
        Expected("trainer", "trainer.version", version),
        Expected("train.base.model", "peft.base_model_name_or_path", job.model),
        Expected("train.lora.r", "peft.r", params.lora.r),
        Expected("train.lora.alpha", "peft.lora_alpha", params.lora.alpha),
        Expected("train.lora.dropout", "peft.lora_dropout", params.lora.dropout),
        Expected("train.lora.targets", "peft.target_modules", targets(params)),
        Expected("train.lora.targets", "peft.modules_to_save", None),
        Expected("train.batch_size", "arguments.per_device_train_batch_size", params.batch_size),
        Expected("train.accumulation", "arguments.gradient_accumulation_steps", params.accumulation),
        Expected("train.epochs", "arguments.max_steps", plan.steps),
        Expected("train.learning_rate", "arguments.learning_rate", params.learning_rate),
        Expected("train.scheduler", "arguments.lr_scheduler_type", scheduler(job)),
        Expected("train.warmup_ratio", "arguments.warmup_steps", plan.warmup_steps),
        Expected("train.weight_decay", "arguments.weight_decay", params.weight_decay),
        Expected("train.max_grad_norm", "arguments.max_grad_norm", params.max_grad_norm),
        Expected("train.precision", "arguments.bf16", params.precision == "bf16"),
        Expected("train.precision", "arguments.fp16", params.precision == "fp16"),
        Expected("train.seed", "arguments.seed", params.seed),
        Expected("train.validation.evaluations_per_epoch", "arguments.eval_steps", plan.eval_steps),
        Expected("train.validation.evaluations_per_epoch", "arguments.save_steps", plan.eval_steps),
        Expected("train.validation.evaluations_per_epoch", "arguments.eval_on_start", True),
        Expected("train.validation.keep_checkpoints", "arguments.save_total_limit", params.validation.keep_checkpoints),
        Expected("train.validation", "arguments.load_best_model_at_end", True),
        Expected("train.validation", "arguments.metric_for_best_model", "eval_loss"),
        Expected("train.validation", "arguments.greater_is_better", False),
        Expected("train.base.quantization", "model.quantization.bnb_4bit_quant_type", "nf4")
        if nf4
        else Expected("train.base.quantization", "model.quantization", None),
        Expected("examples", "data.train_rows", job.train_rows),
        Expected("examples", "data.train_without_loss", 0),
        Expected("held-out examples", "data.validation_rows", job.validation_rows),
        Expected("held-out examples", "data.validation_without_loss", 0),
    ]
