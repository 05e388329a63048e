"""Prefect's view of training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from prefect import task

from components.dataset.params import DatasetParams
from components.store import Run, StepSpec, Store
from components.store.shown import show_markdown, shows_progress
from components.train import steps
from components.train.environments.find import find_environment
from components.train.export import export
from components.train.job import Job
from components.train.live import LiveRecord
from components.train.machine import check_machine
from components.train.params import TrainParams
from components.train.prepare import prepare as prepare_data
from components.train.report.text import training_markdown
from components.train.running.process import Progress

__all__ = ["Registry", "export_model", "measure_losses", "prepare", "recover_base", "train"]


class Registry(Protocol):
    """Where a training is recorded while it runs: section `registry` of a recipe."""

    @property
    def tracking_uri(self) -> str | None: ...  # noqa: D102
    @property
    def experiment(self) -> str: ...  # noqa: D102


@task(name="prepare training")
def prepare(run: Run, params: TrainParams, dataset: DatasetParams, *, split: str, audit: str) -> str:
    """Write what the trainer is given; returns the artefact's id."""
    store = Store(run.workspace)
    return prepare_data(
        run, params, split=store.open(split), audit=store.open(audit), template=dataset.check.template
    ).id  # fmt: skip


@task(name="recover base model")
@shows_progress
def recover_base(run: Run, params: TrainParams) -> str | None:
    """Recover the weights of a packaged base; returns the artefact's id, None where the base is another."""
    found = steps.recover(run, params)
    return found.id if found else None


@task(name="train")
@shows_progress
def train(run: Run, params: TrainParams, registry: Registry, *, prepared: str, base: str | None) -> str:
    """Train the adapter, shown while it goes on; returns the artefact's id."""
    store = Store(run.workspace)

    @contextmanager
    def live(spec: StepSpec, job: Job) -> Iterator[Callable[[Progress], None]]:
        check_machine(params)
        with LiveRecord(
            workspace=run.workspace, tracking_uri=registry.tracking_uri, experiment=registry.experiment,
            run_name=f"training {run.id}", fingerprint=spec.fingerprint, params=job.to_dict(),
        ) as record:  # fmt: skip
            yield record.log

    trained = steps.train_adapter(
        run, params, prepared=store.open(prepared), base=store.open(base) if base else None,
        environment=lambda: find_environment(params.trainer), live=live,
    )  # fmt: skip
    run.update(training=steps.training_facts(trained))
    page = f"\n\nThe page with curves and masks: `{trained.path / 'page.html'}`\n"
    show_markdown(run, "training", training_markdown(trained) + page, description="What was trained, and how it went")
    return trained.id


@task(name="measure losses")
@shows_progress
def measure_losses(run: Run, params: TrainParams, *, trained: str) -> str:
    """Perplexity of base and adapter on what was held out; returns the artefact's id."""
    return steps.sum_up_losses(run, trained=Store(run.workspace).open(trained)).id


@task(name="export the adapter")
@shows_progress
def export_model(run: Run, params: TrainParams, *, trained: str, base: str | None) -> str:
    """The trained model in the forms of other programs, proved; returns the artefact's id."""
    store = Store(run.workspace)
    return export.export_model(
        run, params, trained=store.open(trained),
        model=steps.model_of(params, store.open(base) if base else None),
        environment=lambda: find_environment(params.trainer),
    ).id  # fmt: skip
