"""Running recipes: run, reindex."""

from __future__ import annotations

import json
from collections.abc import Sequence

import click

from components.errors import TerminalError, TransientError
from components.recipe import LoadedRecipe, start_run
from components.services import apply_environment, prefect_environment, prefect_server, wait_until_stored
from components.store import Run, logger
from flows.commands.options import json_option, load, recipe_options
from flows.commands.past import print_run
from flows.commands.terminal import told_in_terminal

force_option = click.option(
    "--force", multiple=True, metavar="STEP", help="do this step again although it is sealed, such as index.chunk"
)


@click.command("run")
@recipe_options
@force_option
@json_option
def run_command(recipe: str, overrides: tuple[str, ...], force: tuple[str, ...], as_json: bool) -> int:
    """Run RECIPE: every step that is not sealed yet. Exit 0 for gate GO, 1 for NO-GO or INCONCLUSIVE."""
    return finish(execute(load(recipe, overrides), force=force), as_json=as_json)


@click.command("reindex")
@recipe_options
@force_option
@json_option
def reindex_command(recipe: str, overrides: tuple[str, ...], force: tuple[str, ...], as_json: bool) -> int:
    """Bring the index of RECIPE up to date with its notes, whatever the recipe's phase is."""
    return finish(execute(load(recipe, (*overrides, "phase=reindex")), force=force), as_json=as_json)


def execute(loaded: LoadedRecipe, *, force: Sequence[str]) -> Run:
    """Run the recipe in this process, with a Prefect server for as long as it takes.

    Raises:
        CervellaError: the error that ended the run.
    """
    run = start_run(loaded, force=force)
    try:
        with told_in_terminal():
            _execute(run)
    except KeyboardInterrupt:
        run.update(status="interrupted")
        raise
    except BaseException as error:
        run.update(status="failed", error=str(error) or type(error).__name__)
        raise
    return run


def _execute(run: Run) -> None:
    logger.info("run %s", run.id)
    environment = prefect_environment(run.workspace)
    with prefect_server(workspace=run.workspace, progress=logger.info) as server:
        apply_environment({**environment, "PREFECT_API_URL": server.api_url})
        from flows.run import run_phase

        state = run_phase(run)
        flow_run = state.state_details.flow_run_id
        try:
            wait_until_stored(server.api_url, str(flow_run), expected_task_runs=len(_tasks(run)))
        except TransientError as error:
            logger.warning("%s", error)
    if not state.is_completed():
        ended = state.result(raise_on_failure=False)
        if isinstance(ended, BaseException):
            raise ended
        raise TerminalError(f"run {run.id} ended as {state.name}: {state.message}")


def _tasks(run: Run) -> list[str]:
    return [step["name"] for step in run.read()["steps"] if step["status"] != "running"]


def finish(run: Run, *, as_json: bool) -> int:
    """Print what became of a run; returns the exit code."""
    state = run.read()
    if as_json:
        keys = ("run", "recipe", "phase", "status", "steps", "scorecard", "gate", "mlflow")
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
    gate = state.get("gate")
    return 0 if gate is None or gate["verdict"] == "GO" else 1
