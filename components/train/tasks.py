"""Prefect's view of training."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol
from uuid import UUID

from prefect import task
from prefect.artifacts import create_markdown_artifact, create_progress_artifact, update_progress_artifact

from components.dataset.params import DatasetParams
from components.store import Run, StepSpec, Store
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

_EVERY_SECONDS = 5.0


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
def recover_base(run: Run, params: TrainParams) -> str | None:
    """Recover the weights of a packaged base; returns the artefact's id, None where the base is another."""
    found = steps.recover(run, params)
    return found.id if found else None


@task(name="train")
def train(run: Run, params: TrainParams, registry: Registry, *, prepared: str, base: str | None) -> str:
    """Train the adapter, shown while it goes on; returns the artefact's id."""
    store = Store(run.workspace)

    @contextmanager
    def live(spec: StepSpec, job: Job) -> Iterator[Callable[[Progress], None]]:
        check_machine(params)
        with LiveRecord(
            workspace=run.workspace, tracking_uri=registry.tracking_uri, experiment=registry.experiment,
            run_name=f"training {run.id}", fingerprint=spec.fingerprint, params=job.to_dict(),
        ) as record, _drawn() as draw:  # fmt: skip

            def tell(progress: Progress) -> None:
                record.log(progress)
                draw(progress)

            yield tell

    trained = steps.train_adapter(
        run, params, prepared=store.open(prepared), base=store.open(base) if base else None,
        environment=lambda: find_environment(params.trainer), live=live,
    )  # fmt: skip
    run.update(training=steps.training_facts(trained))
    page = f"\n\nThe page with curves and masks: `{trained.path / 'page.html'}`\n"
    create_markdown_artifact(
        key="training", markdown=training_markdown(trained) + page, description="What was trained, and how it went"
    )
    return trained.id


@contextmanager
def _drawn() -> Iterator[Callable[[Progress], None]]:
    """A progress bar in Prefect's UI, moved every few seconds."""
    bar: UUID | None = None
    last = 0.0

    def draw(progress: Progress) -> None:
        nonlocal bar, last
        if not progress.steps or (time.monotonic() - last < _EVERY_SECONDS and progress.step < progress.steps):
            return
        share = 100.0 * progress.step / progress.steps
        if bar is None:
            found = create_progress_artifact(progress=share, key="training-progress", description="Steps of training")
            bar = found if isinstance(found, UUID) else None
        else:
            update_progress_artifact(artifact_id=bar, progress=share)
        last = time.monotonic()

    yield draw


@task(name="measure losses")
def measure_losses(run: Run, params: TrainParams, *, trained: str) -> str:
    """Perplexity of base and adapter on what was held out; returns the artefact's id."""
    return steps.sum_up_losses(run, trained=Store(run.workspace).open(trained)).id


@task(name="export the adapter")
def export_model(run: Run, params: TrainParams, *, trained: str, base: str | None) -> str:
    """The trained model in the forms of other programs, proved; returns the artefact's id."""
    store = Store(run.workspace)
    return export.export_model(
        run, params, trained=store.open(trained),
        model=steps.model_of(params, store.open(base) if base else None),
        environment=lambda: find_environment(params.trainer),
    ).id  # fmt: skip
