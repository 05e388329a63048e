"""Prefect's view of the roadmap."""

from __future__ import annotations

from typing import Any

from prefect import task

from components.roadmap import steps
from components.roadmap.params import RoadmapParams
from components.store import Run, Store

__all__ = ["decide_training"]


@task(name="decide whether to train")
def decide_training(run: Run, params: RoadmapParams, *, prompt: str) -> dict[str, Any]:
    """Measure the triggers of fine-tuning; raises RefusedError where one is missing and no reason forces it."""
    return steps.decide_training(run, params, prompt=Store(run.workspace).open(prompt))
