"""Folders of jobs for real trainings that take seconds: the tiny model, made-up short examples."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from components.dataset.conversation import Conversation
from components.dataset.files.formats import to_sharegpt
from components.train.job import AUDITED, INSIDE, JOB, Job, schedule
from components.train.params import TrainParams
from components.train.prepare import write_job
from components.train.trainers import trainer
from tests.dataset.trainer_rows import conversation

__all__ = ["SMALL", "answers", "let_wait", "make_job", "small_params", "waits"]

SMALL: dict[str, Any] = {
    "hardware": "cpu", "epochs": 2, "batch_size": 2, "accumulation": 2, "learning_rate": 0.02, "max_tokens": 128,
    "optimizer": "adamw_torch", "precision": "fp32", "gradient_checkpointing": False, "masks_shown": 3,
    "lora": {"r": 4, "alpha": 8, "dropout": 0.1},
    "validation": {"evaluations_per_epoch": 2, "patience": None, "keep_checkpoints": 2},
}  # fmt: skip
"""On 16 examples: 8 steps, evaluated at 2, 4, 6 and 8."""


def small_params(**changes: Any) -> TrainParams:
    """`SMALL` with the tiny model as base, and changes on top."""
    base = {"model": None, "folder": "model", "quantization": "none", "template": "qwen3", **changes.pop("base", {})}
    return TrainParams.model_validate({**SMALL, "base": base, **changes})


def answers(count: int, *, first: int = 0) -> list[Conversation]:
    """Examples that follow one rule, so that what is learnt on some lowers the loss on others."""
    colours = ("red", "green", "blue", "black")
    return [
        conversation(("human", f"Which colour has door {n}?"), ("gpt", f"Door {n} is {colours[n % 4]}, of course."))
        for n in range(first, first + count)
    ]


def make_job(
    folder: Path,
    params: TrainParams,
    *,
    model: Path | None,
    train: Sequence[Conversation] | None = None,
    validation: Sequence[Conversation] | None = None,
    change: Callable[[dict[str, str]], None] | None = None,
) -> Job:
    """Write the folder of a job as the step `train.prepare` and `write_job` do.

    Args:
        folder: of the job.
        params: section `train`.
        model: folder of the base model; None: it is named in `params`.
        train: examples; None: 16 of `answers`.
        validation: likewise; None: 6 others.
        change: may alter the trainer's own files (name -> text) after they are written.
    """
    module = trainer(params.trainer)
    prepared = folder.with_name(folder.name + "-prepared")
    prepared.mkdir(parents=True)
    names = {}
    sides = {"train": train or answers(16), "validation": validation or answers(6, first=100)}
    for side, conversations in sides.items():
        data = b"".join(json.dumps(module.row(one)).encode() + b"\n" for one in conversations)
        names[side] = f"{side}-{hashlib.sha256(data).hexdigest()[:16]}.jsonl"
        (prepared / names[side]).write_bytes(data)
        audited = b"".join(json.dumps(to_sharegpt(one)).encode() + b"\n" for one in conversations)
        (prepared / f"{AUDITED}-{side}.jsonl").write_bytes(audited)
    job = Job(
        params=params,
        model="model" if params.base.folder or str(params.base.model).startswith("local/") else str(params.base.model),
        train_file=names["train"],
        validation_file=names["validation"],
        train_rows=len(sides["train"]),
        validation_rows=len(sides["validation"]),
        schedule=schedule(params, rows=len(sides["train"])),
    )
    (prepared / JOB).write_text(json.dumps(job.to_dict()), "utf-8")
    found = write_job(folder, prepared=prepared, model=model)
    if change is not None:
        texts = {name: (folder / name).read_text("utf-8") for name in module.files(job)}
        change(texts)
        for name, text in texts.items():
            (folder / name).write_text(text, "utf-8")
    return found


_WAITS = """

def waiting(tell):
    def told(event, **values):
        tell(event, **values)
        while os.path.exists(f"wait-{event}-{values['step']}"):
            time.sleep(0.02)
    return told

_tell = waiting(_tell)
"""


def let_wait(folder: Path) -> None:
    """Let the trainer of the job in this folder wait where `waits` says; its tiny steps end before one looks twice."""
    with (folder / INSIDE / "telling.py").open("a", encoding="utf-8") as telling:
        telling.write(_WAITS)


def waits(folder: Path, event: str, step: int) -> Path:
    """A file in the folder of a job: as long as it is there, the trainer does nothing once it has told this event."""
    file = folder / f"wait-{event}-{step}"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    return file
