"""Three optimizer steps of the real training, on its longest examples: how fast this machine is, and what it holds.

What the trainer writes is thrown away; the speed is kept (`speeds.py`). Not seen: a machine that slows down when it
gets hot, memory that fragments over hours, and what short examples cost, which is estimated from these.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from components.errors import InputError, TerminalError
from components.store import write_atomic
from components.train.estimate.memory import GIB
from components.train.estimate.speeds import (
    Speed,
    base_name,
    gpu_here,
    machine_here,
    remember_speed,
    settings_of,
    speeds_file,
)
from components.train.job import EFFECTIVE, JOB, LOG, PROGRESS, Job, schedule
from components.train.params import HardwareName, TrainParams
from components.train.prepare import write_job
from components.train.running.causes import cause
from components.train.running.outcome import Outcome
from components.train.running.process import Progress, run_trainer
from components.train.running.progress import Event, read_events
from components.train.trainers import trainer

__all__ = ["STEPS", "check_hardware", "probe", "remember_training", "write_probe"]

STEPS = 3
"""The first one loads what is loaded once, so the speed is that of the others."""

_GPU_NAMES: Mapping[str, HardwareName] = {
    r"\bT4\b": "t4", r"\bL4\b": "l4", r"\bRTX 3090\b": "rtx3090", r"\bRTX 4090\b": "rtx4090",
    r"\bA100\b.*\b40GB\b": "a100-40", r"\bA100\b.*\b80GB\b": "a100-80", r"\bH100\b": "h100",
}  # fmt: skip
"""What the name that NVIDIA's driver gives has in it -> our name. Other GPUs are taken for what the recipe says."""


def probe(
    folder: Path,
    params: TrainParams,
    *,
    prepared: Path,
    model: Path | None,
    python: Path,
    tell: Callable[[Progress], None] = lambda progress: None,
) -> Speed:
    """Train for three steps and measure.

    Args:
        folder: to work in; the caller removes it.
        params: section `train` of the recipe.
        prepared: folder of a sealed `train.prepare`.
        model: folder of the base model, where it does not come from the hub.
        python: of the trainer's environment.
        tell: called with each progress.

    Raises:
        InputError: the machine has another GPU than the recipe names.
        TerminalError: the training failed, with why; one that ran out of memory would do so in the real training.
    """
    check_hardware(params.hardware, gpu_here())
    job = write_probe(folder, prepared=prepared, model=model)
    at = folder / "job"
    run_trainer(at, python=python, entry=trainer(params.trainer).ENTRY, tell=tell)
    events = read_events(at / PROGRESS)
    logs = [event for event in events if event["event"] == "log"]
    speed = _tokens_per_second(logs)
    if not events or events[-1]["event"] != "end" or speed is None:
        raise TerminalError(
            f"{params.trainer} did not get through {STEPS} steps: {cause(at / LOG, params)}. It would not get through "
            "the whole training either"
        )
    end = events[-1]
    return _speed(
        params, job=job, data=json.loads((at / EFFECTIVE).read_bytes())["data"], tokens_per_second=speed,
        steps=len(logs) - 1, peak=end["peak_memory_bytes"] if params.hardware == "cpu" else end["peak_gpu_bytes"],
        machine=machine_here(params.hardware),
    )  # fmt: skip


def write_probe(folder: Path, *, prepared: Path, model: Path | None) -> Job:
    """Write `job` in the folder: the job that is prepared, but for three steps on its longest examples.

    Lengths are told by bytes. Held out is one example, the longest: a trainer needs one.
    """
    whole = Job.from_dict(json.loads((prepared / JOB).read_bytes()))
    asked = whole.params
    rows = _longest(prepared / whole.train_file)
    if not asked.packing:  # a pack takes as many rows as there is room for
        rows = rows[: STEPS * asked.batch_size * asked.accumulation]
    held = _longest(prepared / whole.validation_file)[:1]
    validation = asked.validation.model_copy(update={"evaluations_per_epoch": 1, "patience": None})
    params = asked.model_copy(update={"max_steps": STEPS, "validation": validation, "masks_shown": 1})
    steps = replace(schedule(params, rows=len(rows)), eval_steps=STEPS)
    job = replace(
        whole, params=params, train_rows=len(rows), validation_rows=len(held), schedule=steps,
        train_file="train-probe.jsonl", validation_file="validation-probe.jsonl",
    )  # fmt: skip
    at = folder / "rows"
    write_atomic(at / job.train_file, b"".join(rows))
    write_atomic(at / job.validation_file, b"".join(held))
    write_atomic(at / JOB, json.dumps(job.to_dict()).encode())
    return write_job(folder / "job", prepared=at, model=model)


def check_hardware(named: HardwareName, gpu: str | None) -> None:
    """Raise InputError when this machine's GPU is known to be another one than the recipe names."""
    known = gpu is not None and "Laptop" not in gpu  # those of laptops are other chips
    found = next((name for pattern, name in _GPU_NAMES.items() if known and re.search(pattern, str(gpu))), None)
    if found and named not in (found, "cpu"):
        raise InputError(
            f"this machine has {gpu}, train.hardware says {named}: what is measured here would be kept for another "
            f"machine. Extend hardware/{found}.yaml, or give -o train.hardware={found}"
        )


def remember_training(workspace: Path, params: TrainParams, *, trained: Path, here: bool) -> Speed | None:
    """Keep the speed that a whole training had; None: it was too short to tell.

    Args:
        workspace: whose plans shall count with it.
        params: section `train` of the recipe.
        trained: folder of the sealed `train.run`.
        here: whether it ran on this machine; else it came back from another one.
    """
    outcome = Outcome.from_dict(json.loads((trained / "result.json").read_bytes()))
    if not outcome.tokens_per_second:
        return None
    speed = _speed(
        params, job=Job.from_dict(json.loads((trained / JOB).read_bytes())),
        data=json.loads((trained / EFFECTIVE).read_bytes())["data"], tokens_per_second=outcome.tokens_per_second,
        steps=outcome.steps, machine=machine_here(params.hardware) if here else "elsewhere",
        peak=outcome.peak_memory_bytes if params.hardware == "cpu" else outcome.peak_gpu_bytes,
    )  # fmt: skip
    remember_speed(speeds_file(workspace), speed)
    return speed


def _speed(
    params: TrainParams, *, job: Job, data: Mapping[str, Any], tokens_per_second: float, steps: int, peak: int | None,
    machine: str,
) -> Speed:  # fmt: skip
    return Speed(
        trainer=params.trainer, model=base_name(params), hardware=params.hardware, machine=machine,
        tokens_per_second=round(tokens_per_second, 3), steps=steps,
        batch_tokens=round(job.params.batch_size * data["train_tokens"] / max(1, data["train_rows"]), 1),
        longest=int(data["train_longest"]), peak_gib=round(peak / GIB, 3) if peak else None,
        settings=settings_of(params), date=datetime.now(UTC).date().isoformat(),
    )  # fmt: skip


def _tokens_per_second(logs: Sequence[Event]) -> float | None:
    """From the end of the first step to the end of the last; nothing is evaluated in between."""
    if len(logs) < 2:
        return None
    tokens, seconds = logs[-1]["tokens"] - logs[0]["tokens"], logs[-1]["time"] - logs[0]["time"]
    return float(tokens / seconds) if tokens > 0 and seconds > 0 else None


def _longest(file: Path) -> list[bytes]:
    """The lines of a file, the longest first."""
    return sorted(file.read_bytes().splitlines(keepends=True), key=len, reverse=True)
