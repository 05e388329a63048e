"""What nobody checked of a training: said on its page, so that nobody takes it for checked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from components.train.report.facts import TrainingReport

__all__ = ["unchecked"]


def unchecked(report: TrainingReport) -> Iterator[str]:
    """A line each."""
    job, outcome, base = report.job, report.outcome, report.job.params.base
    yield (
        "Whether the answers are good, true or like her: a loss is how well a model foretells the held-out texts, "
        "nothing else. The golden questions and the gate ask for more."
    )
    yield (
        f"Whether the {job.validation_rows:,} held-out examples are like what people will ask. They also chose the "
        "checkpoint, so their loss is a little kinder than that of examples that nobody has used."
    )
    masks = report.audits.get("train")
    seen = len(masks.rows) if masks else 0
    if seen < job.train_rows:
        yield (
            f"The masks of {job.train_rows - seen:,} training examples: {seen:,} of {job.train_rows:,} were looked at "
            "token by token (train.masks_shown), the rest is counted."
        )
    if any(not audit.compared for audit in report.audits.values()) or not report.audits:
        yield f"Masks against our own: the template {base.template} is not known here, so they were only counted."
    if base.model and not base.model.startswith("local/") and base.revision is None:
        yield (
            f"Which weights of {base.model} these were: train.base.revision names no commit, and the hub may serve "
            "others tomorrow."
        )
    if base.quantization == "nf4":
        yield (
            "The quality of what is served: the trainer's held-out losses are of the base in 4 bit, and it may be "
            "served unquantized, or quantized otherwise."
        )
    if outcome.base_eval_loss is None:
        yield "The base's loss before training: the trainer did not evaluate it."
    if outcome.expected_trainable_parameters is None:
        yield "The number of the adapter's parameters against the formula: the shape of the base is not known here."
    if report.environment.get("cuda") or outcome.peak_gpu_bytes:
        yield "Whether a second run gives the same numbers: on a GPU it need not, to the last digits."
    yield "The code of the trainer and of its packages: they are pinned by their digests, and trusted."
