"""The plan of what is sealed to be put into service, and of the page of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from components.errors import TerminalError
from components.recipe.load import to_yaml
from components.recipe.model import Recipe
from components.recipe.plan_steps import Input, Planner
from components.registry.champion import read_champion
from components.registry.champion.release_step import release_adapter, release_spec
from components.registry.report.beside import beside_champion, previous_run
from components.registry.report.steps import report_spec

if TYPE_CHECKING:
    from components.recipe.plan_training import PlannedTraining

__all__ = ["plan_release"]


def plan_release(
    planner: Planner, recipe: Recipe, *, prompt: Input, scorecard: Input, gate: Input,
    training: PlannedTraining | None, release: Mapping[str, Any] | None, of_matrix: bool,
) -> None:  # fmt: skip
    """Plan `registry.release` and `registry.report`.

    `release`: None where something of it has to be made first. `of_matrix`: a combination is held
    against no run before.
    """
    exported = training.exported if training else None
    if release is None or (exported is not None and exported.artefact is None):
        planner.note("registry.release", "run", "what it seals is made first")
        sealed = Input("registry.release", None, new=True)
    else:
        adapter = release_adapter(exported.artefact if exported else None)
        known = dict(release)
        sealed = planner.plan(
            lambda prompt: release_spec(known, prompt=prompt, adapter=adapter[1] if adapter else None), prompt=prompt
        )
    trained = training.trained if training else None
    parts = [one for one in (scorecard, gate, sealed, trained) if one is not None]
    new = [one.step for one in parts if one.new]
    if any(one.artefact is None for one in parts) or scorecard.artefact is None:
        told = f"{new[0]} will make something new" if new else "on what the steps before it make"
        planner.note("registry.report", "run" if new else "depends", told)
        return
    workspace, text = recipe.workspace, to_yaml(recipe.model_dump(mode="json"))
    try:
        champion = read_champion(workspace, recipe.registry.model_name)
        beside = beside_champion(workspace, champion, recipe_yaml=text) if champion else None
    except TerminalError:  # the record of the champion is damaged: the run tells it
        beside = None
    previous = None
    if not of_matrix:
        previous = previous_run(workspace, recipe=recipe.name, recipe_yaml=text, scorecard=scorecard.artefact.id)
    planner.plan(
        lambda scorecard, gate, release, training=None: report_spec(
            recipe=recipe.name, scorecard=scorecard, gate=gate, release=release, training=training, champion=beside,
            previous=previous,
        ),
        scorecard=scorecard, gate=gate, release=sealed, training=trained,
    )  # fmt: skip
