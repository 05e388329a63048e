"""An estimate in lines for people: what `plan` prints."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from components.train.estimate.architecture import Architecture
from components.train.estimate.duration import Work
from components.train.estimate.hardware import HARDWARE
from components.train.estimate.memory import Band, Part, loss_kind, memory_parts, total
from components.train.estimate.models import known_model
from components.train.estimate.speeds import Speed, machine_here
from components.train.params import TrainParams

__all__ = ["OWNER_HOURS", "Facts", "told"]

OWNER_HOURS = 4
"""The owner's measure of success: trained in less than this on a T4."""

_SESSION_HOURS = 12  # Colab's free tier cuts about then


@dataclass(frozen=True)
class Facts:
    """What is said about: see the attributes of `Estimate`. `longest`: tokens that memory is estimated for."""

    params: TrainParams
    shape: Architecture | None
    work: Work
    need: Band | None
    usable: float
    parts: tuple[Part, ...]
    verdict: str
    hours: Band | None
    setup: Band
    measured: Speed | None
    longest: int

    @property
    def vocab(self) -> int:
        """Words of the base model's vocabulary."""
        return self.shape.vocab if self.shape else 0


def told(
    facts: Facts, *, refusal: str | None, changes: list[str], costs: list[str], disk: Band | None
) -> Iterator[str]:
    """The lines, the most important first. `changes`: that would make it fit for sure."""
    if facts.shape is None:
        name = facts.params.base.model or facts.params.base.folder
        yield f"memory and hours: not known, since the shape of {name} is not (train.base.folder is read)"
    elif refusal:
        yield refusal
    else:
        yield from _memory(facts, changes)
    yield from _hours(facts)
    if costs:
        yield "money, setting up included: " + "; ".join(costs)
    elif facts.hours is not None:
        yield f"money: no price of {HARDWARE[facts.params.hardware].one} is known; train.prices names a file of them"
    if disk is not None:
        yield f"disk: {_gb(disk[1])} for base model, checkpoints and exports, beside the trainer itself"
    yield from _caution(facts)


def _memory(facts: Facts, changes: list[str]) -> Iterator[str]:
    params, need, shape = facts.params, facts.need, facts.shape
    if need is None or shape is None:
        return
    where = HARDWARE[params.hardware].one
    measured = facts.measured is not None and facts.measured.peak_gib and need[0] == facts.measured.peak_gib
    how = "measured" if measured else f"batches of {params.batch_size} x {facts.longest:,} tokens"
    of = f" of the {facts.usable:.1f} of {where}" if facts.usable else ""
    yield f"memory: {need[0]:.1f} to {need[1]:.1f} GiB{of} ({how}): {facts.verdict}"
    if not measured:
        most = ", ".join(f"{part.name} {part.low:.1f} to {part.high:.1f}" for part in facts.parts[:3])
        yield f"  the most of it: {most}"
    if facts.verdict == "may not fit":
        yield "  if it runs out of memory: " + "; or ".join(changes)
    if params.max_tokens > facts.longest:
        low, high = total(memory_parts(shape, params, longest=params.max_tokens))
        if facts.usable and high > facts.usable:
            yield f"  an example of all {params.max_tokens:,} max_tokens would need {low:.1f} to {high:.1f} GiB"


def _hours(facts: Facts) -> Iterator[str]:
    params, work = facts.params, facts.work
    if facts.hours is None:
        if facts.shape is not None:
            why = "no example is known yet" if not work.rows else "nothing was measured on this processor"
            yield f"hours: not measured ({why})"
        return
    low, high = facts.hours
    steps = f"{work.schedule.steps} steps"
    line = f"time: {_time(low)} to {_time(high)} for {steps}"
    if params.hardware == "t4":
        if high < OWNER_HOURS:
            line += f", under the {OWNER_HOURS} h that were asked for"
        else:
            line += f", {'over' if low >= OWNER_HOURS else 'maybe over'} the {OWNER_HOURS} h that were asked for"
    yield line + ("" if params.validation.patience is None else "; early stopping may end it sooner")
    if params.hardware == "t4" and high + facts.setup[1] > _SESSION_HOURS:
        yield f"  Colab's free tier cuts a session after about {_SESSION_HOURS} h; training goes on from a checkpoint"


def _caution(facts: Facts) -> Iterator[str]:
    params = facts.params
    speed = facts.measured
    if speed is not None and facts.hours is not None:
        if speed.machine == machine_here(params.hardware):
            where = "on this machine"
        else:
            where = f"on another {HARDWARE[speed.hardware].label}"
        yield f"measured {where}: {speed.tokens_per_second:,.0f} tokens a second over {speed.steps} steps, {speed.date}"
    elif facts.shape is not None:
        yield (
            "uncalibrated: formulas, chosen with the published runs that they were tried on; `cervella train probe "
            "RECIPE` measures three steps on this machine"
        )
    if facts.shape is not None and params.hardware != "cpu" and loss_kind(params) == "whole":
        yield f"  a guess in it: {params.trainer} holds the logits of a whole batch (its extra does not fuse the loss)"
    known = known_model(params.base.model or "")
    if known is not None and known.gated:
        yield f"the hub gives {known.name} only to accounts that accepted its licence ({known.licence}); set HF_TOKEN"
    if known is not None and facts.longest > known.shape.positions:
        yield f"examples of {facts.longest:,} tokens are longer than the {known.shape.positions:,} of {known.name}"


def _time(hours: float) -> str:
    return f"{hours * 60:.0f} min" if hours < 1.5 else f"{hours:.1f} h"


def _gb(number: float) -> str:
    return f"{number:.1f} GB" if number < 10 else f"{number:.0f} GB"
