"""The flow people trigger: pick a recipe, change what you like, run the phase that it names."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from prefect import flow
from prefect.client.schemas.objects import State

from components.recipe import MATRIX, load_frozen, load_recipe, start_run
from components.recipe.measured import try_to_remember
from components.recipe.plan_matrix import plan_loaded
from components.store import Run
from flows.dataset import dataset
from flows.matrix import matrix
from flows.mvp import mvp
from flows.optimize import optimize
from flows.reindex import reindex

__all__ = ["PHASES", "run_phase", "run_recipe"]

PHASES: dict[str, Callable[..., Any]] = {
    "mvp": mvp, "reindex": reindex, "dataset": dataset, "optimize": optimize, MATRIX: matrix,
}  # fmt: skip
RECIPES = Path(os.environ.get("CERVELLA_RECIPES", Path(__file__).resolve().parent.parent / "recipes"))
# A Literal that is built when this file is imported becomes a dropdown in the UI's run form.
NAMES = tuple(sorted(path.stem for path in RECIPES.glob("[!_]*.yaml")))
RecipeName = Literal[NAMES]  # type: ignore[valid-type]


def run_phase(run: Run) -> State[Any]:
    """Run the flow of the run's phase and record how it ended; returns Prefect's final state."""
    phase = run.read()["phase"]
    state: State[Any] = PHASES[phase](str(run.folder), return_state=True)
    if state.is_completed() and phase != MATRIX:
        try_to_remember(run, load_frozen(run.folder))
    run.update(
        status="done" if state.is_completed() else "failed", prefect_flow_run=str(state.state_details.flow_run_id)
    )
    return state


@flow(name="run-recipe", flow_run_name="{recipe}")
def run_recipe(
    recipe: RecipeName,
    overrides: list[str] | None = None,
    force: list[str] | None = None,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Run a recipe.

    Args:
        recipe: which file of recipes/ to run.
        overrides: values to change this time, such as `index.search.k=5`, one an item.
        force: steps to do again although they are sealed, such as `index.chunk`, one an item.
        dry_run: only show what would be done.
    """
    loaded = load_recipe(RECIPES / f"{recipe}.yaml", overrides=overrides or [])
    if dry_run:
        return {"plan": plan_loaded(loaded, force=force or []).to_dict()}
    run = start_run(loaded, force=force or [])
    run_phase(run).result()
    return run.read()
