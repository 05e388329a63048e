"""What a training will take: GPU memory, hours, dollars, disk; and whether it fits the machine that the recipe names.

All are bands, and "uncalibrated" until something was measured on such a machine: `cervella train probe` measures three
steps, and every finished training leaves its speed behind. Nothing is loaded or asked of the network.
"""

from __future__ import annotations

import datetime
import os
from dataclasses import asdict, dataclass
from typing import Any, Literal

from components.train.estimate.architecture import (
    Architecture,
    architecture_of,
    base_parameters,
    lora_parameters,
)
from components.train.estimate.duration import Work, seconds_by_formula, seconds_measured
from components.train.estimate.hardware import HARDWARE
from components.train.estimate.memory import GIB, Band, Part, memory_parts, total
from components.train.estimate.prices import prices_of
from components.train.estimate.remedies import remedies
from components.train.estimate.speeds import Speed
from components.train.estimate.words import Facts, told
from components.train.job import schedule
from components.train.params import TrainParams

__all__ = ["Cost", "Estimate", "Verdict", "estimate"]

Verdict = Literal["fits", "may not fit", "does not fit", "unknown"]

_SETUP_SECONDS = (120, 900)  # GUESS: start the machine, install the trainer
_DOWNLOAD_BYTES = (200e6, 20e6)  # a second, of the base model (GUESS)


@dataclass(frozen=True)
class Cost:
    """What a provider would ask for the training, setting up included."""

    provider: str
    usd: Band
    priced: str
    old: bool
    note: str


@dataclass(frozen=True)
class Estimate:
    """What a training will take. A band is (low, high).

    Attributes:
        vram_gib: memory of the GPU; None: no GPU, or a base model of unknown shape.
        memory_gib: memory of the machine, where it trains on the processor; None otherwise.
        usable_gib: what there is of it: of the GPU, or of this machine for a processor.
        parts: of the memory, the largest first.
        hours: of training and its evaluations; None: nothing is known of the speed.
        setup_hours: before it: machine, trainer, base model.
        usd: the least and the most that a provider of the table asks; None: no price or no hours are known.
        costs: of each provider, the lowest first.
        disk_gb: base model, checkpoints, adapter and exports; None: a base model of unknown shape.
        trainable: parameters of the adapter; None: a base model of unknown shape.
        verdict: whether it fits into the memory.
        fits: False when even the low end is too much.
        refusal: then: why, and what to change.
        measured: whether the hours come from a measured speed.
        notes: lines for people.
    """

    vram_gib: Band | None
    memory_gib: Band | None
    usable_gib: float
    parts: tuple[Part, ...]
    hours: Band | None
    setup_hours: Band
    usd: Band | None
    costs: tuple[Cost, ...]
    disk_gb: Band | None
    trainable: int | None
    verdict: Verdict
    fits: bool
    refusal: str | None
    measured: bool
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON values only."""
        return asdict(self)


def estimate(
    params: TrainParams, *, rows: int, tokens: int, longest: int, validation_tokens: int, measured: Speed | None
) -> Estimate:
    """Estimate a training.

    Args:
        params: section `train` of the recipe.
        rows: training examples; 0: not known yet, then there are no hours.
        tokens: of all of them.
        longest: tokens of the longest example on either side; 0: not known yet, then `max_tokens`.
        validation_tokens: of all that is held out.
        measured: speed of this training as an earlier one had it, see `speeds.measured_speed`; None: by formula.

    Raises:
        InputError: the file of `train.prices`, or the config.json of the base, cannot be understood.
    """
    shape = architecture_of(params.base)
    widest = longest or params.max_tokens
    work = Work(rows, tokens, widest, validation_tokens, schedule(params, rows=rows))
    parts = tuple(memory_parts(shape, params, longest=widest)) if shape else ()
    need = _needed(parts, params, measured, widest)
    usable = _machine_memory_gib() if params.hardware == "cpu" else HARDWARE[params.hardware].usable_gib
    verdict = _verdict(need, usable)
    seconds = seconds_measured(params, work, measured) if measured else None
    if seconds is None and shape is not None:
        seconds = seconds_by_formula(shape, params, work)
    hours = (seconds[0] / 3600, seconds[1] / 3600) if seconds else None
    setup = _setup_hours(shape, params)
    costs = _costs(params, hours=hours, setup=setup)
    facts = Facts(params, shape, work, need, usable, parts, verdict, hours, setup, measured, widest)
    tight = shape is not None and verdict in ("may not fit", "does not fit")
    changes = remedies(shape, params, longest=widest, usable=usable) if shape is not None and tight else []
    refusal = _refusal(facts, changes) if verdict == "does not fit" and parts else None
    disk = _disk_gb(shape, params) if shape else None
    cpu = params.hardware == "cpu"
    return Estimate(
        vram_gib=None if cpu else need, memory_gib=need if cpu else None, usable_gib=usable, parts=parts, hours=hours,
        setup_hours=setup, usd=_range([cost.usd for cost in costs]), costs=costs, disk_gb=disk,
        trainable=lora_parameters(shape, params.lora.r, params.lora.targets) if shape else None, verdict=verdict,
        fits=verdict != "does not fit", refusal=refusal, measured=measured is not None and hours is not None,
        notes=tuple(told(facts, refusal=refusal, changes=changes, costs=_cost_lines(costs), disk=disk)),
    )  # fmt: skip


def _needed(parts: tuple[Part, ...], params: TrainParams, measured: Speed | None, longest: int) -> Band | None:
    """Memory by formula; where the same training was measured with rows as long, what it held."""
    if measured and measured.peak_gib and measured.longest >= longest:
        # A GPU's peak is torch's own: its context, and what it keeps for the next batch, come on top.
        return measured.peak_gib, measured.peak_gib + (0.5 if params.hardware == "cpu" else 1.0)
    return total(list(parts)) if parts else None


def _verdict(need: Band | None, usable: float) -> Verdict:
    if need is None or not usable:
        return "unknown"
    if need[0] > usable:
        return "does not fit"
    return "fits" if need[1] <= usable else "may not fit"


def _refusal(facts: Facts, changes: list[str]) -> str:
    assert facts.need is not None  # noqa: S101  (a verdict was reached)
    largest = max(facts.parts, key=lambda part: part.low)
    why = {
        "logits": f"one score for each of the {facts.vocab:,} words of its vocabulary and each token of a batch",
        "weights": "the base model itself",
        "activations": "what each layer keeps of a batch until the gradients are known",
    }.get(largest.name, largest.name)
    return (
        f"does not fit: batch_size {facts.params.batch_size} x {facts.longest:,} tokens needs {facts.need[0]:.0f} GiB "
        f"at the least, {HARDWARE[facts.params.hardware].one} has {facts.usable:.1f}. The most go to the "
        f"{largest.name} ({largest.low:.0f} GiB): {why}. To change: {'; or '.join(changes)}."
    )


def _setup_hours(shape: Architecture | None, params: TrainParams) -> Band:
    size = base_parameters(shape) * 2 if shape and params.base.model and "local/" not in params.base.model else 0
    low, high = (fixed + size / rate for fixed, rate in zip(_SETUP_SECONDS, _DOWNLOAD_BYTES, strict=True))
    return low / 3600, high / 3600


def _costs(params: TrainParams, *, hours: Band | None, setup: Band) -> tuple[Cost, ...]:
    """What each provider asks. The file of prices is read in any case, so that its faults are told."""
    prices = prices_of(params.hardware, overrides=params.prices)
    if hours is None:
        return ()
    today = datetime.datetime.now(datetime.UTC).date()
    billed = hours[0] + setup[0], hours[1] + setup[1]
    return tuple(
        Cost(
            price.provider, (price.usd_per_hour[0] * billed[0], price.usd_per_hour[1] * billed[1]),
            price.date.isoformat(), price.is_old(today), price.note,
        )
        for price in prices
    )  # fmt: skip


def _cost_lines(costs: tuple[Cost, ...]) -> list[str]:
    lines = []
    for cost in costs:
        low, high = cost.usd
        sum_ = "$0" if high == 0 else f"${low:.2f} to {high:.2f}"
        age = f"price of {cost.priced}, which is old" if cost.old else f"price of {cost.priced}"
        lines.append(f"{sum_} at {cost.provider} ({age}{'; ' + cost.note if cost.note else ''})")
    return lines


def _range(bands: list[Band]) -> Band | None:
    return (min(low for low, _ in bands), max(high for _, high in bands)) if bands else None


def _disk_gb(shape: Architecture, params: TrainParams) -> Band:
    """Base model, checkpoints (adapter in 32 bit and its optimizer) and what is exported; not the trainer itself."""
    adapter = lora_parameters(shape, params.lora.r, params.lora.targets)
    whole = base_parameters(shape)
    base = 0 if params.base.folder else whole * (4 if params.base.packaged else 2)
    optimizer = 8 if params.optimizer == "adamw_torch" else 2
    checkpoints = (params.validation.keep_checkpoints + 1) * adapter * (4 + optimizer)
    exported = adapter * 4 * (2 if params.export.gguf_adapter else 1) + (whole * 2 if params.export.merged else 0)
    low = base + checkpoints + exported
    return low / 1e9, low * 1.15 / 1e9  # GUESS: tokenizers, logs, and files that are written beside before a rename


def _machine_memory_gib() -> float:
    """Memory of this machine, or of the container that it runs in; 0: not known."""
    try:
        total_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError):
        return 0.0
    try:
        with open("/sys/fs/cgroup/memory.max", encoding="ascii") as file:
            limit = file.read().strip()
    except OSError:
        limit = "max"
    return min(total_bytes, int(limit) if limit.isdigit() else total_bytes) / GIB
