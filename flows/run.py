"""The flow people trigger: pick a recipe, change what you like, run the phase that it names.

Deployments of it are in prefect.yaml. Trainings are one at a time by the limit of their work pool: a recipe of phase
optimize that a worker took from another pool fails at once and says where to start it. `cervella run` in a terminal
passes no pool, and is not held back by one.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from prefect import flow, tags
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.exceptions import TerminationSignal
from prefect.runtime import flow_run
from prefect.states import Failed

from components.errors import CervellaError, HeldBackError, InputError, RefusedError
from components.recipe import MATRIX, LoadedRecipe, load_frozen, load_recipe, start_run
from components.recipe.measured import try_to_remember
from components.services.notify.runs import to_be_told
from components.store import Run, imported, logger
from flows.logs import ready_logs
from flows.names import asked_name, tag_this_run, tags_of, work_pool
from flows.notify import tell_cancelled, tell_crash, tell_end
from flows.spread import spread

if TYPE_CHECKING:
    from components.recipe.plan import Plan
    from components.recipe.plan_matrix import MatrixPlan

__all__ = ["PHASES", "phase_flow", "run_phase", "run_recipe"]

PHASES = ("mvp", "reindex", "dataset", "optimize", "scale", MATRIX)
"""Each is a flow of the same name in the module of the same name."""
TRAINING_POOL = "training"
_SCHEDULED = "auto-scheduled"  # Prefect's tag of runs that nobody asked for at this moment
RECIPES = Path(os.environ.get("CERVELLA_RECIPES", Path(__file__).resolve().parent.parent / "recipes"))
# A Literal that is built when this file is imported becomes a dropdown in the UI's run form.
NAMES = tuple(sorted(path.stem for path in RECIPES.glob("[!_]*.yaml")))
RecipeName = Literal[NAMES]  # type: ignore[valid-type]


def phase_flow(phase: str) -> Any:
    """The flow of a phase, a `prefect.Flow`; imported now, since at the top all others would come with it."""
    return getattr(imported(f"flows.{phase}"), phase)


def run_phase(run: Run) -> State[Any]:
    """Run the flow of the run's phase and record how it ended; returns Prefect's final state."""
    ready_logs()
    told = run.read()
    phase = told["phase"]
    with tags(*tags_of(phase=phase, recipe=told["recipe"])), spread(run):
        state: State[Any] = phase_flow(phase)(str(run.folder), return_state=True)
    if state.is_completed() and phase != MATRIX:
        try_to_remember(run, load_frozen(run.folder))
    run.update(
        status="done" if state.is_completed() else "failed", prefect_flow_run=str(state.state_details.flow_run_id)
    )
    return state


@flow(
    name="run-recipe", flow_run_name=asked_name,
    on_completion=[tell_end], on_failure=[tell_end], on_crashed=[tell_crash], on_cancellation=[tell_cancelled],
)  # fmt: skip
def run_recipe(
    recipe: RecipeName,
    overrides: tuple[str, ...] = (),  # none is empty, not null: the form asks for one kind, with a button to add
    force: tuple[str, ...] = (),
    dry_run: bool = False,
) -> dict[str, Any] | State[Any]:
    """Run a recipe.

    A training (a recipe of phase optimize) is started with the deployment `train-recipe`: they are one at a time.

    Args:
        recipe: which file of recipes/ to run.
        overrides: values to change this time, such as `index.search.k=5`, one an item.
        force: steps to do again although they are sealed, such as `index.chunk`, one an item.
        dry_run: only show what would be done, in the log and as an artifact.
    """
    ready_logs()
    try:
        loaded = load_recipe(RECIPES / f"{recipe}.yaml", overrides=overrides)
        tag_this_run(tags_of(phase=loaded.recipe.phase, recipe=loaded.recipe.name))
        if dry_run:
            from components.recipe.plan_matrix import plan_loaded

            return _show_plan(plan_loaded(loaded, force=force), recipe=loaded.recipe.name)
        _check_pool(loaded)
        run = start_run(loaded, force=force)
        to_be_told(run, loaded.recipe.execution, flow_run=str(flow_run.id) if flow_run.id else None)
        if _SCHEDULED in flow_run.tags:
            run.update(by_schedule=True)
        return _run(run)
    except CervellaError as error:  # told as in the terminal, without a traceback
        logger.error("%s", error)
        return Failed(message=str(error))


def _show_plan(plan: Plan | MatrixPlan, *, recipe: str) -> dict[str, Any]:
    from components.recipe.plan_matrix import render

    text = render(plan)
    logger.info("%s", text)
    if flow_run.id:
        about = "What a run would do, step by step"
        create_markdown_artifact(f"```\n{text}\n```", key=f"{recipe}-plan", description=about)
    return {"plan": plan.to_dict()}


def _check_pool(loaded: LoadedRecipe) -> None:
    if loaded.recipe.phase == "optimize" and work_pool() not in (None, TRAINING_POOL):
        raise InputError(
            f"{loaded.recipe.name} trains a model (phase optimize), and trainings are one at a time: start it with the "
            f"deployment train-recipe, which waits in the work pool {TRAINING_POOL!r}"
        )


def _run(run: Run) -> dict[str, Any]:
    from flows.outcome import show_outcome  # reads what every phase has to say, and so imports them all

    logger.info("run %s", run.id)
    try:
        run_phase(run).result()
    except Exception as error:
        refused = isinstance(error, HeldBackError | RefusedError)
        run.update(status="failed", error=str(error) or type(error).__name__, refused=refused)
        show_outcome(run)
        raise
    except BaseException as error:  # cancelled, which is then noted by a hook, or its worker ends
        by = signal.Signals(error.signal).name if isinstance(error, TerminationSignal) else str(error) or None
        run.update(status="interrupted", ended_by=by)
        raise
    show_outcome(run)
    return run.read()
