"""Running recipes: run, reindex."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from components.errors import HeldBackError, InputError, RefusedError, TerminalError, TransientError
from components.recipe import MATRIX, LoadedRecipe, start_run
from components.services import Server, apply_environment, prefect_environment, prefect_server, wait_until_stored
from components.services.notify.runs import to_be_told
from components.store import Run, imported, leave_unrun, logger
from flows.commands.options import json_option, load, override_option, recipe_options
from flows.commands.past import print_run
from flows.commands.terminal import told_in_terminal
from flows.notify import tell_ended_here

# What Prefect imports and no run of ours asks for: two of them load the certificates of all the world's servers.
_UNRUN = ("prefect.blocks.notifications", "prefect.blocks.webhook", "coolname")

force_option = click.option(
    "--force", multiple=True, metavar="STEP", help="do this step again although it is sealed, such as index.chunk"
)


@click.command("run")
@click.argument("recipe", metavar="RECIPE", required=False)
@override_option
@force_option
@click.option(
    "--plan",
    "plan",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="run exactly what `cervella plan --out FILE` planned; refused when anything has changed since",
)
@click.option("--fail-fast", is_flag=True, help="of a matrix: do not begin another combination after one has failed")
@json_option
def run_command(
    recipe: str | None, overrides: tuple[str, ...], force: tuple[str, ...], plan: Path | None, fail_fast: bool,
    as_json: bool,
) -> int:  # fmt: skip
    """Run RECIPE: every step that is not sealed yet. Exit 0 for gate GO, 1 for NO-GO or INCONCLUSIVE.

    Of phase dataset: 0 when it is fit for training, 1 when it is not. Of phase scale: 1 also when the release was taken
    back.

    With a matrix, all its combinations: the exit code is that of the best, 3 when one of them failed.
    """
    if plan is None:
        if recipe is None:
            raise InputError("which recipe? cervella run RECIPE, or cervella run --plan FILE")
        return finish(execute(load(recipe, overrides), force=force, fail_fast=fail_fast), as_json=as_json)
    return finish(_execute_plan(plan, recipe, overrides, force, fail_fast=fail_fast), as_json=as_json)


def _execute_plan(
    file: Path, recipe: str | None, overrides: tuple[str, ...], force: tuple[str, ...], *, fail_fast: bool
) -> Run:
    from components.recipe.plan_file import check_plan, read_plan

    plan = read_plan(file)
    if overrides and recipe is None:
        raise InputError("-o needs the recipe that it changes; a plan has its overrides in it")
    if set(force) - set(plan.force):
        raise InputError(
            f"--force {', '.join(force)} contradicts the plan, which forces {list(plan.force) or 'nothing'}"
        )
    loaded = check_plan(plan, recipe=load(recipe, (*plan.overrides, *overrides)) if recipe else None)
    return execute(loaded, force=plan.force, planned=plan.planned, fail_fast=fail_fast)


@click.command("reindex")
@recipe_options
@force_option
@click.option("--watch", is_flag=True, help="go on, and reindex whenever notes or recipe have changed, until Ctrl-C")
@click.option(
    "--quiet-seconds", type=click.FloatRange(min=0.1, max=30), default=2.0, show_default=True, metavar="SECONDS",
    help="of --watch: how long nothing may change before a reindex begins",
)  # fmt: skip
@json_option
def reindex_command(
    recipe: str, overrides: tuple[str, ...], force: tuple[str, ...], watch: bool, quiet_seconds: float, as_json: bool
) -> int:
    """Bring the index of RECIPE up to date with its notes, whatever the recipe's phase is.

    With --watch until it is interrupted: exit 130, as everywhere. What fails meanwhile is told, and watching goes on.
    With --json it prints a line for each reindex.
    """
    overrides = (*overrides, "phase=reindex")
    if watch:
        from flows.commands.watch import watch_notes

        return watch_notes(recipe, overrides, force=force, quiet_seconds=quiet_seconds, as_json=as_json)
    return finish(execute(load(recipe, overrides), force=force), as_json=as_json)


def execute(
    loaded: LoadedRecipe,
    *,
    force: Sequence[str],
    planned: Mapping[str, Mapping[str, str]] | None = None,
    fail_fast: bool = False,
    server: Server | None = None,
    begun: Callable[[Run], None] = lambda run: None,
) -> Run:
    """Run the recipe in this process.

    Args:
        loaded: the recipe.
        force: steps to be done again.
        planned: see `start_run`.
        fail_fast: of a matrix: begin no combination after one has failed.
        server: the Prefect server of the workspace; whoever has it sees to it that the history is stored before it ends
            (`see_stored`). None: there is one for as long as it takes.
        begun: called with the run when there is one, also where it then fails.

    Raises:
        CervellaError: the error that ended the run.
    """
    _check_machine(loaded)
    run = start_run(loaded, force=force, planned=planned)
    begun(run)
    run.update(fail_fast=fail_fast)
    to_be_told(run, loaded.recipe.execution, flow_run=None)
    try:
        with told_in_terminal():
            _execute(run, server)
    except KeyboardInterrupt as error:
        # Ctrl-C says nothing of itself; `flows.cli` names the signal that it ends a command for.
        run.update(status="interrupted", ended_by=str(error) or None)
        raise
    except BaseException as error:
        refused = isinstance(error, HeldBackError | RefusedError)
        run.update(status="failed", error=str(error) or type(error).__name__, refused=refused)
        raise
    finally:
        tell_ended_here(run)
    return run


def _check_machine(loaded: LoadedRecipe) -> None:
    """A machine that cannot train is told before a server is started; of a matrix, when it can train none of it."""
    recipes = [one.loaded.recipe for one in loaded.combinations] or [loaded.recipe]
    if any(recipe.phase != "optimize" for recipe in recipes):
        return
    from components.train.machine import can_train

    faults = []
    for recipe in recipes:
        try:
            can_train(recipe.workspace, recipe.train)
        except TerminalError as error:
            faults.append(error)
    if len(faults) == len(recipes):
        raise faults[0]


def _execute(run: Run, server: Server | None) -> None:
    logger.info("run %s", run.id)
    if server:
        failed = _carried_out(run, server)
    else:
        with prefect_server(workspace=run.workspace, progress=logger.info) as started:
            failed = _carried_out(run, started)
            see_stored(run, started)
    if failed:
        raise failed


def _carried_out(run: Run, server: Server) -> BaseException | None:
    """Run it on a server; returns what it failed with."""
    apply_environment({**prefect_environment(run.workspace), "PREFECT_API_URL": server.api_url})
    leave_unrun(*_UNRUN)
    state = imported("flows.run").run_phase(run)
    if state.is_completed():
        return None
    ended = state.result(raise_on_failure=False)
    if isinstance(ended, BaseException):
        return ended
    return TerminalError(f"run {run.id} ended as {state.name}: {state.message}")


def see_stored(run: Run, server: Server) -> None:
    """Wait until the history of a run is stored, so that the server may end; only warns when it is not."""
    try:
        for one in [run, *_combinations(run)]:
            flow_run = one.read().get("prefect_flow_run")
            if flow_run:
                wait_until_stored(server.api_url, flow_run, expected_task_runs=len(_tasks(one)))
    except TransientError as error:
        logger.warning("%s", error)


def _combinations(run: Run) -> list[Run]:
    """The runs of a matrix that were begun."""
    told = run.read().get("combinations", [])
    return [Run(run.folder.parent / one["run"]) for one in told if one.get("run")]


def _tasks(run: Run) -> list[str]:
    return [step["name"] for step in run.read()["steps"] if step["status"] != "running"]


def finish(run: Run, *, as_json: bool) -> int:
    """Print what became of a run; returns the exit code."""
    state = run.read()
    if as_json:
        keys: tuple[str, ...] = ("run", "recipe", "phase", "status", "steps", "scorecard", "gate", "mlflow")
        keys += ("dataset",) if state["phase"] in ("dataset", "optimize") else ()
        keys += ("training",) if state["phase"] == "optimize" else ()
        keys += ("scale",) if state["phase"] == "scale" else ()
        keys += ("combinations", "best", "criterion") if state["phase"] == MATRIX else ()
        click.echo(json.dumps({key: state.get(key) for key in keys}, indent=1, ensure_ascii=False))
    else:
        print_run(run, as_json=False)
        click.echo(f"\nThe run's folder: {run.folder}")
        if state.get("mlflow"):
            mlflow = state["mlflow"]
            click.echo(f"MLflow: {mlflow['model']} version {mlflow['version']}, run {mlflow['run']}")
            database = run.workspace / "mlflow" / "mlflow.db"
            if database.is_file():
                click.echo(f"  see it: mlflow ui --backend-store-uri sqlite:///{database}")
    if state["phase"] == MATRIX:
        return _matrix_code(state)
    if state["phase"] == "dataset":
        return 0 if state["dataset"]["passed"] else 1
    gate = state.get("gate")
    return 0 if gate is None or gate["verdict"] == "GO" else 1


def _matrix_code(state: Mapping[str, Any]) -> int:
    """3: a combination could not be run; else 0 when the best is GO, 1 when it is not."""
    if any(one.get("status") != "done" for one in state["combinations"]):
        return 3
    return 0 if any(one["name"] == state["best"] and one["verdict"] == "GO" for one in state["combinations"]) else 1
