"""The plan of training: what a trainer is given, what that takes on the hardware of the recipe, what is exported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from components.dataset.files.formats import to_conversation
from components.errors import InputError, TerminalError
from components.recipe.model import Recipe
from components.recipe.plan_dataset import PlannedExamples
from components.recipe.plan_steps import Input, Planner
from components.recipe.plan_work import Seconds, Work
from components.store import Artefact, Step
from components.train import steps as train
from components.train.base import base_identity
from components.train.estimate import Estimate, estimate, measured_speed, speeds_file
from components.train.export.export import export_spec
from components.train.machine import machine_problem
from components.train.prepare import Counts, count_rows, prepare_spec, read_job, write_prepared

__all__ = ["PlannedTraining", "plan_training"]


@dataclass(frozen=True)
class PlannedTraining:
    """What is known ahead of time of the adapter.

    Attributes:
        split: the examples, held-out ones apart.
        trained: the adapter.
        losses: what will be measured of it.
        exported: the adapter for other programs.
        estimate: memory, hours, dollars; None: there is nothing to train, or nothing is known of the examples yet.
        problems: why the run would stop.
    """

    split: Input
    trained: Input
    losses: Input
    exported: Input
    estimate: Estimate | None
    problems: tuple[str, ...]


def plan_training(planner: Planner, recipe: Recipe, examples: PlannedExamples) -> PlannedTraining:
    """Plan the steps from `train.prepare` to `train.export`."""
    params, template = recipe.train, recipe.dataset.check.template
    problems: list[str] = []
    split, audit = examples.split.artefact, examples.audit.artefact
    known = split if split is not None and audit is not None and audit.read_json("verdict.json")["passed"] else None
    try:
        prepared = planner.plan(
            lambda split, audit: prepare_spec(params, split=split, audit=audit, template=template),
            write=partial(_write, recipe=recipe, split=known) if known else None,
            split=examples.split, audit=examples.audit,
        )  # fmt: skip
    except TerminalError as error:  # nothing held out, or an example too long
        problems.append(str(error))
        prepared = Input("train.prepare", None)
    job = read_job(prepared.artefact) if prepared.artefact else None
    try:
        base = base_identity(params.base)
    except InputError as error:
        problems.append(str(error))
        base = {}
    spec = train.base_spec(params)
    if spec is not None:
        planner.plan(lambda: spec)
    if prepared.artefact is not None:  # a training hangs on the files alone
        prepared = replace(prepared, digest=prepared.artefact.outputs_digest)
    trained = planner.plan(
        lambda prepared: train.run_spec(params, job=job, prepared=prepared, base=base), prepared=prepared
    )
    made = None
    if planner.last.action != "skip":
        problem = machine_problem(params)
        problems += [problem] if problem else []
        made = _estimate(recipe, prepared.artefact, examples)
        if made is not None:
            hours = made.hours
            seconds = Seconds(hours[0] * 3600, hours[1] * 3600, made.measured) if hours else None
            planner.add(facts={"steps": job.schedule.steps} if job else {}, work=Work(seconds=seconds))
            problems += [made.refusal] if made.refusal else []
    losses = planner.plan(lambda trained: train.losses_spec(trained=trained), trained=trained)
    exported = planner.plan(lambda trained: export_spec(params, trained=trained), trained=trained)
    return PlannedTraining(examples.split, trained, losses, exported, made, tuple(problems))


def _write(step: Step, *, recipe: Recipe, split: Artefact) -> None:
    write_prepared(step, recipe.train, files=_files(split), template=recipe.dataset.check.template)


def _files(split: Artefact) -> dict[str, Any]:
    return {side: split.path / name for side, name in split.read_json("split.json")["files"].items()}


def _estimate(recipe: Recipe, prepared: Artefact | None, examples: PlannedExamples) -> Estimate | None:
    """From what the trainer will be given; before that is known, from the examples as they were gathered."""
    params = recipe.train
    if prepared is not None:
        counts = prepared.read_json("counts.json")
        own, held = counts["train"], counts["validation"]
    elif examples.gathered is not None and examples.gathered.rows:
        whole = _count(examples.gathered.rows, recipe)
        share = recipe.dataset.split.validation_share
        own = {key: round(value * (1 - share)) for key, value in whole.items()} | {"longest": whole["longest"]}
        held = {key: whole[key] - own[key] for key in whole}
    else:
        return None
    return estimate(
        params, rows=own["rows"], tokens=own["tokens"], longest=max(own["longest"], held["longest"]),
        validation_tokens=held["tokens"],
        measured=measured_speed(speeds_file(recipe.workspace), params),
    )  # fmt: skip


def _count(rows: Sequence[Any], recipe: Recipe) -> Counts:
    found = [
        to_conversation(row, index=number, line=number + 1, format="sharegpt")[0] for number, row in enumerate(rows)
    ]
    return count_rows(found, template=recipe.dataset.check.template)
