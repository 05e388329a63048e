"""Prefect's view of the roadmap."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from prefect import task

from components.dataset.params import DatasetParams
from components.evaluate.params import EvaluateParams
from components.llm.params import LlmParams
from components.persona.steps import read_persona
from components.registry.params import RegistryParams
from components.roadmap import steps
from components.roadmap.params import RoadmapParams
from components.roadmap.render import roadmap_markdown, triggers_markdown
from components.roadmap.risks import presets_beside
from components.roadmap.stand import roadmap_of
from components.store import Run, Store
from components.store.shown import show_markdown
from components.train.params import TrainParams

__all__ = ["Sections", "decide_training", "show_roadmap"]


class Sections(Protocol):
    """The sections of a recipe that the roadmap is told from."""

    @property
    def roadmap(self) -> RoadmapParams: ...  # noqa: D102
    @property
    def dataset(self) -> DatasetParams: ...  # noqa: D102
    @property
    def train(self) -> TrainParams: ...  # noqa: D102
    @property
    def evaluate(self) -> EvaluateParams: ...  # noqa: D102
    @property
    def llm(self) -> LlmParams: ...  # noqa: D102
    @property
    def registry(self) -> RegistryParams: ...  # noqa: D102
    @property
    def serve(self) -> Any: ...  # noqa: D102 - of a room that comes after this one


@task(name="decide whether to train")
def decide_training(run: Run, params: RoadmapParams, *, prompt: str) -> dict[str, Any]:
    """Measure the triggers of fine-tuning, and show them; raises RefusedError where one is missing and not forced.

    Returns what the run's record says of it.
    """
    try:
        return steps.decide_training(run, params, prompt=Store(run.workspace).open(prompt))
    finally:
        told = run.read().get("triggers")
        if told is not None:  # of a refused run as well
            show_markdown(run, "triggers", triggers_markdown(told), description="Triggers of fine-tuning")


@task(name="roadmap")
def show_roadmap(run: Run, recipe: Sections, *, prompt: str) -> None:
    """Show where the owner stands after this run; `prompt` is the id of its `persona.compile`."""
    state = run.read()
    persona, _ = read_persona(Store(run.workspace).open(prompt))
    found = roadmap_of(
        workspace=run.workspace, recipe=state["recipe"], params=recipe.roadmap, dataset=recipe.dataset,
        train=recipe.train, evaluate=recipe.evaluate, llm=recipe.llm, model_name=recipe.registry.model_name,
        prompt=persona, tokenizer=persona.tokenizer, model_presets=presets_beside(Path(state.get("recipe_file") or "")),
        helper=recipe.serve.router.helper.model if recipe.serve.router else None,
    )  # fmt: skip
    show_markdown(run, "roadmap", roadmap_markdown(found), description=f"Phase reached: {found.reached}")
