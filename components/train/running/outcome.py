"""Whether a training succeeded, judged by what it left and told, never by its exit code; and what came out of it.

A trainer ends with 0 after a Ctrl-C and after errors that it only logs, and writes adapter_config.json before it
trains. Judged are the adapter's own numbers, its configuration, and progress.jsonl. Not seen: an adapter that is whole,
trained, and bad; that is for the held-out examples and the gate.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.errors import TerminalError
from components.store import file_digest
from components.train.estimate.architecture import Architecture, architecture_of, lora_parameters
from components.train.job import EFFECTIVE, LOG, MODEL, OUT, PROGRESS, Job
from components.train.params import BaseModelParams, TrainerName
from components.train.running.causes import cause
from components.train.running.progress import Event, Speedometer, read_events
from components.train.running.tensors import read_tensors

if TYPE_CHECKING:
    import numpy as np

__all__ = ["ADAPTER", "ADAPTER_CONFIG", "Outcome", "judge"]

ADAPTER, ADAPTER_CONFIG = "adapter_model.safetensors", "adapter_config.json"
_CLOCK = 2.0  # seconds: file systems keep times coarsely
_SAME = 1e-6


@dataclass(frozen=True)
class Outcome:
    """What came out of a training that succeeded.

    Attributes:
        trainer: its name.
        trainer_version: as it said itself.
        steps: optimizer steps that were done.
        steps_asked: as the trainer planned them; the schedule's, without packing.
        stopped_early: the held-out loss fell no more, so training ended before all steps.
        train_loss: of the last step.
        mean_last_epoch_loss: of the last pass over the examples, or what there was of it.
        best_eval_loss: the lowest held-out loss; the adapter is of that step.
        best_step: of it.
        base_eval_loss: held-out loss before the first step; None where the trainer does not evaluate then.
        eval_perplexity: exp(best_eval_loss).
        trainable_parameters: numbers in the adapter.
        expected_trainable_parameters: as the base's shape says; None: the shape is not known.
        tokens: that were trained on, padding not counted.
        tokens_per_second: while training, evaluations left out; None: too few steps to tell.
        seconds: of all sittings, from the first step's start to the end, without loading.
        peak_memory_bytes: of the machine's memory.
        peak_gpu_bytes: of the GPU's; None: no GPU.
        sittings: how often training was begun or gone on with.
    """

    trainer: TrainerName
    trainer_version: str
    steps: int
    steps_asked: int
    stopped_early: bool
    train_loss: float
    mean_last_epoch_loss: float
    best_eval_loss: float
    best_step: int
    base_eval_loss: float | None
    eval_perplexity: float
    trainable_parameters: int
    expected_trainable_parameters: int | None
    tokens: int
    tokens_per_second: float | None
    seconds: float
    peak_memory_bytes: int
    peak_gpu_bytes: int | None
    sittings: int

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Outcome:
        """The outcome that `to_dict` wrote."""
        return cls(**data)


@dataclass
class _Told:
    """progress.jsonl of all sittings, each step once: as it was done last."""

    end: Event
    asked: int
    losses: dict[int, float]
    held_out: dict[int, float]
    tokens: int
    seconds: float
    tokens_per_second: float | None
    sittings: int
    checkpoints: dict[int, Event]


def judge(folder: Path, job: Job, *, started: float) -> Outcome:
    """What came out of the training in the folder of a job.

    Args:
        folder: of the job, after the trainer ended.
        job: what was asked.
        started: unix seconds; an adapter that is older is of another training.

    Raises:
        TerminalError: it did not succeed; the message has every reason, and where the whole log is.
    """
    told = _told(read_events(folder / PROGRESS))
    if told is None or not (folder / OUT / ADAPTER).is_file():
        raise TerminalError(
            f"{job.params.trainer} trained nothing: {cause(folder / LOG, job.params)}. "
            f"All that it printed: {folder / LOG}"
        )
    effective = json.loads((folder / EFFECTIVE).read_bytes())
    reasons = [*_of_progress(told, job, effective)]
    try:
        tensors = read_tensors(folder / OUT / ADAPTER)
    except ValueError as error:
        tensors = {}
        reasons.append(str(error))
    else:
        reasons += _of_adapter(folder, job, told, effective, tensors, started=started)
    if reasons:
        listed = "".join(f"\n- {reason}" for reason in reasons)
        raise TerminalError(
            f"the training with {job.params.trainer} cannot be used:{listed}\nAll that it printed: {folder / LOG}"
        )
    last = max(told.losses)
    epoch = [loss for step, loss in told.losses.items() if step > last - job.schedule.per_epoch]
    best = min(told.held_out, key=lambda step: (step == 0, told.held_out[step], step))
    return Outcome(
        trainer=job.params.trainer,
        trainer_version=effective["trainer"]["version"],
        steps=int(told.end["step"]),
        steps_asked=told.asked,
        stopped_early=bool(told.end["stopped_early"]),
        train_loss=told.losses[last],
        mean_last_epoch_loss=sum(epoch) / len(epoch),
        best_eval_loss=told.held_out[best],
        best_step=best,
        base_eval_loss=told.held_out.get(0),
        eval_perplexity=math.exp(told.held_out[best]),
        trainable_parameters=sum(one.size for one in tensors.values()),
        expected_trainable_parameters=_expected(folder, job),
        tokens=told.tokens,
        tokens_per_second=told.tokens_per_second,
        seconds=told.seconds,
        peak_memory_bytes=int(told.end["peak_memory_bytes"]),
        peak_gpu_bytes=told.end["peak_gpu_bytes"],
        sittings=told.sittings,
    )


def _told(events: list[Event]) -> _Told | None:
    """None: no sitting came to its end, or the last one did not."""
    sittings: list[list[Event]] = []
    for event in events:
        if event["event"] == "begin":
            sittings.append([])
        if sittings and event["event"] != "stopping":  # which may come before its sitting begins
            sittings[-1].append(event)
    if not sittings or sittings[-1][-1]["event"] != "end":
        return None
    end, speed = sittings[-1][-1], Speedometer()
    found = _Told(end, int(sittings[-1][0]["steps"]), {}, {}, 0, 0.0, None, len(sittings), {})
    for sitting in sittings:
        found.seconds += sitting[-1]["time"] - sitting[0]["time"]
        for event in sitting:
            speed.take(event)
            step = int(event.get("step") or 0)
            if step > end["step"]:
                continue  # of a sitting that was killed, after the checkpoint that the last one went on from
            if event["event"] == "log":
                found.losses[step] = _number(event["loss"])
                found.tokens = int(event["tokens"])
            elif event["event"] == "eval":
                found.held_out[step] = _number(event["eval_loss"])
            elif event["event"] == "save":
                found.checkpoints[step] = event
    found.tokens_per_second = speed.tokens / speed.seconds if speed.seconds else None
    return found


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else math.nan


def _of_progress(told: _Told, job: Job, effective: Mapping[str, Any]) -> Iterator[str]:
    end, patience = told.end, job.params.validation.patience
    if not told.losses:
        yield "no step told its loss"
    bad = sorted(step for step, loss in told.losses.items() if not math.isfinite(loss))
    if bad:
        yield (
            f"the loss is no number at step {bad[0]} ({len(bad)} steps): lower train.learning_rate, or set "
            "train.precision to bf16 where the GPU has it"
        )
    after = {step: loss for step, loss in told.held_out.items() if step > 0}
    if not after:
        yield "the held-out examples were never evaluated"
    elif not all(map(math.isfinite, told.held_out.values())):
        yield "a held-out loss is no number: lower train.learning_rate"
    elif end["best_eval_loss"] is None or abs(min(after.values()) - end["best_eval_loss"]) > _SAME:
        yield f"the lowest held-out loss is {min(after.values())}, the trainer took {end['best_eval_loss']} for it"
    if effective.get("arguments", {}).get("eval_on_start") and 0 not in told.held_out:
        yield "the base model was not evaluated before training"
    if not job.params.packing and told.asked != job.schedule.steps:
        yield f"{job.schedule.steps} steps were asked for, the trainer planned {told.asked}"
    if end["step"] < told.asked:
        best = min(after, key=lambda step: after[step], default=0)
        waited = sum(step > best for step in after)
        if patience is None or waited < patience:
            yield f"it ended after {end['step']} of {told.asked} steps, and the held-out loss is no reason for it"


def _of_adapter(
    folder: Path, job: Job, told: _Told, effective: Mapping[str, Any], tensors: Mapping[str, np.ndarray[Any, Any]],
    *, started: float,
) -> Iterator[str]:  # fmt: skip
    import numpy

    path = folder / OUT / ADAPTER
    if path.stat().st_mtime < started - _CLOCK:
        yield f"{path} is older than this training"
    wrong = [name for name, one in tensors.items() if not numpy.isfinite(one).all()]
    if wrong:
        yield f"the adapter has numbers that are none, in {wrong[0]} ({len(wrong)} of {len(tensors)} tensors)"
    ups = {name: one for name, one in tensors.items() if ".lora_B" in name}
    untrained = [name for name, one in ups.items() if not one.any()]
    if not ups:
        yield "the adapter has no lora_B"
    elif untrained:
        yield f"{len(untrained)} of {len(ups)} lora_B in the adapter are zero: not trained, as {untrained[0]}"
    yield from _of_best(folder, told)
    numbers = sum(one.size for one in tensors.values())
    trained = effective.get("model", {}).get("trainable_parameters")
    for what, wanted in (("the trainer trained", trained), ("the base's shape asks for", _expected(folder, job))):
        if wanted is not None and wanted != numbers:
            yield f"the adapter has {numbers:,} parameters, {what} {wanted:,}"
    try:
        config = json.loads((folder / OUT / ADAPTER_CONFIG).read_bytes())
    except (OSError, ValueError) as error:
        yield f"{OUT}/{ADAPTER_CONFIG} cannot be read ({error})"
        return
    lora = job.params.lora
    wanted_config = {"peft_type": "LORA", "r": lora.r, "lora_alpha": lora.alpha, "base_model_name_or_path": job.model}
    for key, value in wanted_config.items():
        if config.get(key) != value:
            yield f"{ADAPTER_CONFIG} says {key}: {config.get(key)}, asked was {value}"


def _of_best(folder: Path, told: _Told) -> Iterator[str]:
    """Whether the adapter is the one of the best checkpoint, by that checkpoint's file, or its digest where it is."""
    name = told.end.get("best_checkpoint")
    if not name:
        yield "the trainer kept no best checkpoint"
        return
    path, best = folder / OUT / ADAPTER, folder / OUT / Path(name).name / ADAPTER
    step = int(Path(name).name.rpartition("-")[2])
    noted = told.checkpoints.get(step, {}).get("adapter")
    if noted == file_digest(path):
        return
    if not best.is_file():
        yield f"the adapter is not the one of the best checkpoint ({Path(name).name}), as far as digests tell"
        return
    try:
        theirs, ours = read_tensors(best), read_tensors(path)
    except ValueError as error:
        yield f"{Path(name).name}: {error}"
        return
    import numpy

    same = theirs.keys() == ours.keys() and all(numpy.array_equal(one, ours[key]) for key, one in theirs.items())
    if not same:
        yield f"the adapter is not the one of the best checkpoint ({Path(name).name})"


def _expected(folder: Path, job: Job) -> int | None:
    shape = _architecture(folder, job.params.base)
    return None if shape is None else lora_parameters(shape, job.params.lora.r, job.params.lora.targets)


def _architecture(folder: Path, base: BaseModelParams) -> Architecture | None:
    """Of a base in the folder of the job where it is there: `job` names it by its place in it."""
    if base.folder is not None:
        return architecture_of(base.model_copy(update={"folder": folder / MODEL}))
    return architecture_of(base)
