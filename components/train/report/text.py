"""A training in a dozen lines: for the terminal, for Prefect's artifact, and as the first words of its page."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from components.page import markdown_cell
from components.train.job import JOB, Job
from components.train.report.facts import Measured, base_name, read_measured
from components.train.running.outcome import Outcome

if TYPE_CHECKING:
    from components.store import Artefact
    from components.train.losses import Perplexity

__all__ = [
    "duration", "headline", "mask_words", "perplexity_words", "size", "training_markdown", "what_was_done",
]  # fmt: skip


def training_markdown(trained: Artefact) -> str:
    """A sealed `train.run` as Markdown."""
    job, outcome = Job.from_dict(trained.read_json(JOB)), Outcome.from_dict(trained.read_json("result.json"))
    measured = read_measured(trained.path / "measured.json")
    masks = trained.read_json("masks.json") if "masks.json" in trained.manifest["outputs"] else {}
    rows = [*_rows(job, outcome, measured), *(("masks", text) for text in _masks(masks))]
    table = "\n".join(f"| {name} | {markdown_cell(value)} |" for name, value in rows)
    return f"## {headline(outcome)}\n\n{markdown_cell(what_was_done(job, outcome))}\n\n| | |\n| --- | --- |\n{table}\n"


def _rows(job: Job, outcome: Outcome, measured: Measured | None) -> Iterator[tuple[str, str]]:
    best = f"{outcome.best_eval_loss:.3f} at step {outcome.best_step} of {outcome.steps}"
    yield "held-out loss", best + (", stopped early" if outcome.stopped_early else "")
    if outcome.base_eval_loss is not None:
        yield "of the base", f"{outcome.base_eval_loss:.3f}"
    yield "training loss", f"{outcome.mean_last_epoch_loss:.3f} (mean of the last epoch)"
    if measured:
        yield "perplexity, measured on the saved adapter", perplexity_words(measured.adapter)
        yield "of the base", perplexity_words(measured.base)
        yield "adapter against base", f"{perplexity_words(measured.ratio)}; below 1 is better"
    yield "examples", f"{job.train_rows:,} to train on, {job.validation_rows:,} held out"
    yield "adapter", f"{outcome.trainable_parameters:,} parameters, r {job.params.lora.r}"
    speed = f", {outcome.tokens_per_second:,.0f} tokens a second" if outcome.tokens_per_second else ""
    sittings = f", {outcome.sittings} sittings" if outcome.sittings > 1 else ""
    yield "time", f"{duration(outcome.seconds)}{speed}{sittings}"
    gpu = f", GPU {size(outcome.peak_gpu_bytes)}" if outcome.peak_gpu_bytes else ""
    yield "memory at its highest", f"{size(outcome.peak_memory_bytes)}{gpu}"


def _masks(masks: Mapping[str, Any]) -> Iterator[str]:
    for side, audit in masks.items():
        if isinstance(audit, Mapping) and "differing" in audit:
            yield mask_words(
                side, rows=audit["rows"], differing=len(audit["differing"]), compared=bool(audit["compared"])
            )


def mask_words(side: str, *, rows: int, differing: int, compared: bool) -> str:
    """Whether the trainer trains the tokens that were audited."""
    noun = "held-out examples" if side == "validation" else "training examples"
    if not compared:
        return f"{rows:,} {noun}: counted, not compared, as the template of the base is not known here"
    if differing:
        return f"{differing:,} of {rows:,} {noun} differ from what was audited"
    return f"{rows:,} {noun}: token by token as audited"


def headline(outcome: Outcome) -> str:
    """The result in one line."""
    best, before = outcome.best_eval_loss, outcome.base_eval_loss
    if before is None:
        return f"Held-out loss {best:.3f}, perplexity {_perplexity(best)}"
    verb = "fell" if best < before else "did not fall"
    return (
        f"Held-out loss {verb}: {before:.3f} to {best:.3f}, perplexity {_perplexity(before)} to {_perplexity(best)}"
    )  # fmt: skip


def what_was_done(job: Job, outcome: Outcome) -> str:
    """What was trained, on what, by which trainer, and how long."""
    params = job.params
    kind = "QLoRA, 4 bit" if params.base.quantization == "nf4" else "LoRA"
    steps = f"{outcome.steps:,} steps" + (f" of {outcome.steps_asked:,}" if outcome.stopped_early else "")
    name = base_name(job)
    return (
        f"{name[:1].upper()}{name[1:]} with {kind} (r {params.lora.r}) on {job.train_rows:,} examples, {steps} in "
        f"{duration(outcome.seconds)} with {outcome.trainer} {outcome.trainer_version}."
    )


def perplexity_words(found: Perplexity) -> str:
    """A perplexity with its interval."""
    value = f"{found.value:.3f}" if found.value < 10 else f"{found.value:,.1f}"
    if found.low is None or found.high is None:
        return f"{value} ({found.examples} examples are too few for an interval)"
    return f"{value} ({found.low:.3f} to {found.high:.3f}, {found.examples} examples)"


def _perplexity(loss: float) -> str:
    if loss > 20:
        return "over 10^8"
    value = math.exp(loss)
    return f"{value:.2f}" if value < 100 else f"{value:,.0f}"


def duration(seconds: float) -> str:
    """As people say it."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


def size(count: float) -> str:
    """Bytes as people say them (GB are 10^9)."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count:.0f} bytes"
