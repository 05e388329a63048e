"""What people are told of a training: all of it in one object, gathered from the folder of its job."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.errors import CervellaError
from components.page import one_line
from components.store import file_digest
from components.train.estimate.estimate import Estimate, estimate
from components.train.job import DATA, EFFECTIVE, OUT, PROGRESS, Job
from components.train.losses import Perplexity, RowLoss, perplexity, perplexity_ratio
from components.train.report.curves import Curves, read_curves
from components.train.report.shown import ShownExample, load_decoder, read_masks, shown_example
from components.train.running.masks import MaskAudit
from components.train.running.outcome import Outcome
from components.train.running.progress import read_events
from components.train.running.readback import difference, value_at
from components.train.trainers import trainer

__all__ = ["Asked", "Measured", "TrainingReport", "base_name", "gather", "read_measured"]

_MEASURED = "measured.json"
_HELD_OUT_SHOWN = 4
_NOT_OF_AN_ADAPTER = ("checkpoint-", "runs", "README.md")


@dataclass(frozen=True)
class Asked:
    """A setting: what was asked, what the trainer uses (None: it says nothing), and where that was read."""

    what: str
    asked: Any
    used: Any
    path: str
    differs: bool


@dataclass(frozen=True)
class Measured:
    """Perplexity on the held-out examples, measured by us on the saved adapter."""

    base: Perplexity
    adapter: Perplexity
    ratio: Perplexity


@dataclass(frozen=True)
class TrainingReport:
    """A training.

    Attributes:
        job: what was asked.
        outcome: what came of it.
        effective: effective.json.
        curves: of its losses.
        settings: asked and effective, the differing ones first.
        differences: in words.
        audits: side -> the trainer's masks held against ours.
        examples: of each side, as the trainer saw them; none where its tokenizer cannot be read.
        environment: of the trainer.
        estimate: as it would be made before; None: it could not.
        files: (name, bytes, SHA-256) of the adapter's files.
        data: (name, bytes, SHA-256) of the examples.
        measured: None: not yet.
    """

    job: Job
    outcome: Outcome
    effective: Mapping[str, Any]
    curves: Curves
    settings: tuple[Asked, ...]
    differences: tuple[str, ...]
    audits: Mapping[str, MaskAudit]
    examples: tuple[ShownExample, ...]
    environment: Mapping[str, Any]
    estimate: Estimate | None
    files: tuple[tuple[str, int, str], ...]
    data: tuple[tuple[str, int, str], ...]
    measured: Measured | None

    @property
    def base(self) -> str:
        """Name of the base model."""
        return base_name(self.job)

    @property
    def masks_differ(self) -> bool:
        """Whether the trainer trains other tokens than were audited."""
        return any(audit.differing for audit in self.audits.values())

    @property
    def helped(self) -> bool | None:
        """Whether the held-out loss fell; None: nothing to compare with."""
        before = self.outcome.base_eval_loss
        return None if before is None else self.outcome.best_eval_loss < before


def base_name(job: Job) -> str:
    """How people call the base model; a folder of it is called `model` in every job."""
    return one_line(job.params.base.model or "a base model of one's own", longest=80)


def gather(
    folder: Path, job: Job, *, outcome: Outcome, environment: Mapping[str, Any], audits: Mapping[str, MaskAudit]
) -> TrainingReport:
    """The report of a training.

    Args:
        folder: of the job, after the training.
        job: what was asked.
        outcome: from `components.train.running.outcome.judge`.
        environment: `Environment.to_dict()`.
        audits: side (train, validation) -> from `components.train.running.masks.compare_masks`.
    """
    effective = json.loads((folder / EFFECTIVE).read_bytes())
    settings = sorted(_settings(job, effective), key=lambda one: not one.differs)
    wanted = trainer(job.params.trainer).expected(job)
    return TrainingReport(
        job=job,
        outcome=outcome,
        effective=effective,
        curves=read_curves(read_events(folder / PROGRESS), best_step=outcome.best_step),
        settings=tuple(settings),
        differences=tuple(told for one in wanted if (told := difference(one, effective)) is not None),
        audits=audits,
        examples=tuple(_examples(folder, job, audits)),
        environment=environment,
        estimate=_estimate(job, effective),
        files=tuple(_files(folder / OUT)),
        data=tuple(_files(folder / DATA)),
        measured=read_measured(folder / _MEASURED),
    )


def _settings(job: Job, effective: Mapping[str, Any]) -> Iterator[Asked]:
    for one in trainer(job.params.trainer).expected(job):
        used = value_at(effective, one.path)
        plain = used if isinstance(used, str | int | float | bool | list | dict) else None
        yield Asked(one.what, one.value, plain, one.path, difference(one, effective) is not None)


def _examples(folder: Path, job: Job, audits: Mapping[str, MaskAudit]) -> Iterator[ShownExample]:
    """The first ones of each side, and before them those whose masks are not as audited."""
    decoder = load_decoder(folder / OUT / "tokenizer.json")
    if decoder is None:
        return
    for side, most in (("train", job.params.masks_shown), ("validation", _HELD_OUT_SHOWN)):
        audit = audits.get(side)
        rows = read_masks(folder / f"masks-{side}.jsonl", most=max(most, len(audit.rows) if audit else 0))
        wrong = {place for place, row in enumerate(audit.rows) if row.difference} if audit else set()
        for place in sorted(range(len(rows)), key=lambda place: place not in wrong)[:most]:
            yield shown_example(rows[place], side=side, place=place, decoder=decoder)


def _estimate(job: Job, effective: Mapping[str, Any]) -> Estimate | None:
    """What `plan` would have said of these examples, by formula alone."""
    data = effective.get("data", {})
    try:
        return estimate(
            job.params, rows=job.train_rows, tokens=int(data["train_tokens"]),
            longest=max(int(data["train_longest"]), int(data.get("validation_longest", 0))),
            validation_tokens=int(data.get("validation_tokens", 0)), measured=None,
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, CervellaError):
        return None


def _files(folder: Path) -> Iterator[tuple[str, int, str]]:
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.is_file() and not path.name.startswith(_NOT_OF_AN_ADAPTER):
            yield path.name, path.stat().st_size, file_digest(path)


def read_measured(file: Path) -> Measured | None:
    """The perplexities in a file of `components.train.losses.Losses`; None where there is none."""
    if not file.is_file():
        return None
    sides = json.loads(file.read_bytes())["splits"].get("validation", {})
    base, adapted = (
        [RowLoss(int(row["tokens"]), float(row["nll"])) for row in sides.get(side, [])] for side in ("base", "adapted")
    )
    if not adapted:
        return None
    return Measured(perplexity(base), perplexity(adapted), perplexity_ratio(base, adapted))
