"""When a run that a worker started has ended, whoever wants to hear of it is told: hooks of `run-recipe` and `clean`.

Prefect calls them after the run's state is stored, so they delay nothing that anybody waits for. It calls `crashed` in
the run's own process when a signal ends it, and in a process of the worker when the run's process was killed. Whatever
goes wrong here is a line in the log.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.errors import CervellaError
from components.store import Run, logger

if TYPE_CHECKING:
    from prefect import Flow
    from prefect.client.schemas.objects import FlowRun, State

    from components.recipe import LoadedRecipe

__all__ = ["tell_cancelled", "tell_crash", "tell_end", "tell_ended_here", "tell_uncleaned"]


def tell_end(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Of a run that ended by itself, well or not."""
    _tell(flow_run, state, crashed=False)


def tell_crash(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Of a run whose process was ended."""
    _tell(flow_run, state, crashed=True)


def tell_cancelled(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Of a run that a person cancelled nobody is told: the keeper, who sees that a signal ended it, neither."""
    from components.services.notify.runs import run_of, seen_to

    try:
        loaded = _loaded(str(flow_run.parameters.get("recipe")), list(flow_run.parameters.get("overrides") or []))
        workspace = loaded.recipe.workspace if loaded else _workspace_of_worker()
        if workspace and (run := run_of(workspace, str(flow_run.id))):
            seen_to(run)
    except Exception as error:
        logger.warning("this run may be told as ended from outside: %s", error)


def tell_ended_here(run: Run) -> None:
    """Of a run in a terminal, where a receiver wants to hear of these as well. Never raises."""
    from components.services.notify.runs import tell_run

    try:
        tell_run(run)
    except Exception as error:
        logger.warning("nobody was told of this run: %s", error)


def tell_uncleaned(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Of a workspace that could not be cleaned: its disk would fill up, and nobody hear of it."""
    try:
        asked = flow_run.parameters
        recipe = str(asked.get("recipe"))
        loaded = _loaded(recipe, [])
        workspace = loaded.recipe.workspace if loaded else _workspace_of_worker()
        if workspace and not asked.get("dry_run"):
            _tell_without_run(
                workspace, recipe, str(flow_run.id), state.message, loaded,
                title=f"{recipe}: its workspace could not be cleaned", look=f"cervella gc {recipe}",
            )  # fmt: skip
    except Exception as error:
        logger.warning("nobody was told of this run: %s", error)


def _tell(flow_run: FlowRun, state: State[Any], *, crashed: bool) -> None:
    from components.services.notify.runs import run_of, tell_run

    try:
        asked = flow_run.parameters
        if asked.get("dry_run"):
            return
        loaded = _loaded(str(asked.get("recipe")), list(asked.get("overrides") or []))
        workspace = loaded.recipe.workspace if loaded else _workspace_of_worker()
        if workspace is None:
            return
        if run := run_of(workspace, str(flow_run.id)):
            tell_run(run, crashed=crashed)
        elif not state.is_completed():
            recipe = str(asked.get("recipe"))
            _tell_without_run(
                workspace, recipe, str(flow_run.id), state.message, loaded,
                title=f"{recipe}: it could not be started", look=f"cervella validate {recipe}",
            )  # fmt: skip
    except Exception as error:
        logger.warning("nobody was told of this run: %s", error)


def _loaded(recipe: str, overrides: list[str]) -> LoadedRecipe | None:
    from components.recipe import load_recipe
    from flows.run import RECIPES

    try:
        return load_recipe(RECIPES / f"{recipe}.yaml", overrides=overrides)
    except CervellaError:
        return None


def _workspace_of_worker() -> Path | None:
    """The workspace whose Prefect runs this: where the runs of a recipe that cannot be read any more should be."""
    home = os.environ.get("PREFECT_HOME")
    return Path(home).parent if home and Path(home).name == "prefect" else None


def _tell_without_run(
    workspace: Path, recipe: str, flow_run: str, why: str | None, loaded: LoadedRecipe | None, *, title: str, look: str
) -> None:
    """Of what failed and has no folder of a run. Where the recipe cannot be read: to those of its last run."""
    from components.services.notify.deliver import deliver
    from components.services.notify.news import News
    from components.services.notify.runs import receivers_of
    from components.store import read_runs
    from components.store.services import address_of
    from flows.run import RECIPES

    if loaded:
        receivers = loaded.recipe.execution.notify
    else:
        file = os.path.realpath(RECIPES / f"{recipe}.yaml")
        runs = [state for state in read_runs(workspace) if state.get("recipe_file") and "matrix" not in state]
        last = next((state["run"] for state in runs if os.path.realpath(state["recipe_file"]) == file), None)
        receivers = receivers_of(workspace / "runs" / last) if last else []
    url = address_of(workspace, "prefect")
    facts = {"recipe": recipe, "phase": None, "run": None, "status": "failed", "step": None, "verdict": None}
    deliver(
        News(
            event="failure", about=f"run:{flow_run}", title=title,
            facts=facts | {"seconds": None, "flow_run": flow_run}, look=look,
            link=f"{url}/runs/flow-run/{flow_run}" if url else None, details=why,
        ),
        receivers, workspace=workspace,
    )  # fmt: skip
