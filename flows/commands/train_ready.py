"""What commands of training need first: the dataset, what a trainer is given, the base model, all sealed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from components.errors import InputError, TerminalError
from components.recipe import LoadedRecipe
from components.store import Artefact, Run, StepSpec, Store
from flows.commands.options import load
from flows.commands.terminal import told_in_terminal

if TYPE_CHECKING:
    from components.train.job import Job

__all__ = ["Ready", "ready"]

_DATASET = ("dataset.split", "dataset.audit")


@dataclass(frozen=True)
class Ready:
    """All that a training needs, sealed, and the identity that it will have."""

    loaded: LoadedRecipe
    run: Run
    split: Artefact
    prepared: Artefact
    model: Path | None
    job: Job
    spec: StepSpec


@contextmanager
def ready(name: str, overrides: tuple[str, ...]) -> Iterator[Ready]:
    """Make what a training is given, in a run of its own that keeps it from `gc`: dataset, job, base model."""
    from components.recipe import start_run
    from components.train.base import base_identity
    from components.train.prepare import prepare, read_job
    from components.train.steps import model_of, recover, run_spec

    loaded = load(name, overrides)
    recipe = loaded.recipe
    if recipe.phase != "optimize":
        raise InputError(f"{loaded.path}: its phase is {recipe.phase}; only one of phase optimize trains")
    if loaded.combinations:
        one = " ".join(f"-o {key}={value}" for key, value in loaded.combinations[0].values.items())
        raise InputError(f"{loaded.path} has a matrix: choose one combination, such as -o matrix=null {one}")
    split, audit = _dataset(loaded, load(name, (*overrides, "phase=dataset")))
    run = start_run(loaded)
    try:
        with told_in_terminal():
            params = recipe.train
            prepared = prepare(run, params, split=split, audit=audit, template=recipe.dataset.check.template)
            base = recover(run, params)
            job = read_job(prepared)
            spec = run_spec(params, job=job, prepared=prepared.outputs_digest, base=base_identity(params.base))
            yield Ready(loaded, run, split, prepared, model_of(params, base), job, spec)
    except BaseException as error:
        ended = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
        run.update(status=ended, error=str(error) or type(error).__name__)
        raise
    run.update(status="done")


def _dataset(loaded: LoadedRecipe, makes_it: LoadedRecipe) -> list[Artefact]:
    """The split and its audit: as they are sealed, else made now by a run of phase dataset."""
    found = _sealed(loaded)
    if len(found) < len(_DATASET):
        from flows.commands.run import execute

        click.echo("The dataset is made first", err=True)
        execute(makes_it, force=())
        found = _sealed(loaded)
    if len(found) < len(_DATASET):
        raise TerminalError("the examples changed while their dataset was made; do it again")
    return found


def _sealed(loaded: LoadedRecipe) -> list[Artefact]:
    from components.recipe.plan import plan_run

    planned = {step.name: step for step in plan_run(loaded.recipe).steps}
    store = Store(loaded.recipe.workspace)
    return [
        store.open(f"{name}/{planned[name].fingerprint}") for name in _DATASET if planned[name].action == "skip"
    ]  # fmt: skip
