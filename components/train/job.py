"""What a trainer is asked for, in one folder that can be moved: the contract between recipes, trainers and bundles.

The folder of a job (all paths in its files are relative to it; the trainer's working directory is this folder):

    job.json             what is asked: `Job.to_dict()`
    config.yaml|json     the trainer's own configuration, and what else it needs (dataset_info.json)
    data/                train-<sha16>.jsonl, validation-<sha16>.jsonl in the rows that the trainer takes
    audited/             train.jsonl, validation.jsonl: the rows as they were audited; masks are held against them
    inside/              our scripts that run in the trainer's environment; they import nothing of this project
    model/               the base model, where it does not come from the hub (a link or a folder)
    out/                 written by the trainer: checkpoints, adapter, tokenizer
    progress.jsonl       written by our callback inside the trainer: one line an event
    effective.json       written by our callback: the configuration that the trainer really uses
    masks-train.jsonl, masks-validation.jsonl   written by our callback: {"ids": [...], "trained": [positions]}
    trainer.log          all that the trainer printed
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from components.train.params import TrainParams

__all__ = [
    "AUDITED", "DATA", "EFFECTIVE", "INSIDE", "JOB", "LOG", "MODEL", "OUT", "PROGRESS", "Job", "Schedule", "schedule",
]  # fmt: skip

JOB, PROGRESS, EFFECTIVE, LOG = "job.json", "progress.jsonl", "effective.json", "trainer.log"
AUDITED, DATA, INSIDE, MODEL, OUT = "audited", "data", "inside", "model", "out"


@dataclass(frozen=True)
class Schedule:
    """Optimizer steps of a training.

    Attributes:
        steps: in all.
        per_epoch: of one pass over the examples.
        eval_steps: from one evaluation, with its checkpoint, to the next.
        warmup_steps: in which the learning rate rises.
    """

    steps: int
    per_epoch: int
    eval_steps: int
    warmup_steps: int


def schedule(params: TrainParams, *, rows: int) -> Schedule:
    """The steps of a training on `rows` examples (without packing), as transformers' Trainer counts them."""
    per_epoch = max(1, math.ceil(math.ceil(rows / params.batch_size) / params.accumulation))
    steps = params.max_steps or max(1, math.ceil(per_epoch * params.epochs))
    eval_steps = max(1, min(steps, round(per_epoch / params.validation.evaluations_per_epoch)))
    return Schedule(steps, per_epoch, eval_steps, math.ceil(steps * params.warmup_ratio))


@dataclass(frozen=True)
class Job:
    """What a trainer is asked for.

    Attributes:
        params: section `train` of the recipe.
        model: what the trainer is told as the base model: a name on the hub, or `model`, the folder in the job.
        train_file: name in `data/`.
        validation_file: likewise.
        train_rows: how many rows it has.
        validation_rows: likewise.
        schedule: its steps.
    """

    params: TrainParams
    model: str
    train_file: str
    validation_file: str
    train_rows: int
    validation_rows: int
    schedule: Schedule

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {**asdict(self), "params": self.params.model_dump(mode="json")}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Job:
        """The job that `to_dict` wrote."""
        values = {**data, "params": TrainParams.model_validate_json(_json(data["params"])),
                  "schedule": Schedule(**data["schedule"])}  # fmt: skip
        return cls(**values)


def _json(value: Any) -> str:
    import json

    return json.dumps(value)
