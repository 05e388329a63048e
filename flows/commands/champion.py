"""What is in service: promote, rollback."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from components.errors import TerminalError
from flows.commands.options import json_option, load, recipe_options

if TYPE_CHECKING:
    from components.recipe.model import Recipe
    from components.registry.champion import Changed


@click.command("promote")
@recipe_options
@click.option("--run", "run", metavar="RUN", help="of this run (its id, or the beginning); else of the newest")
@click.option("--reason", metavar="TEXT", help="why, in 10 characters or more; with it the gate need not be GO")
@json_option
def promote_command(
    recipe: str, overrides: tuple[str, ...], run: str | None, reason: str | None, as_json: bool
) -> int:  # fmt: skip
    """Put the release of RECIPE's newest run into service, as champion.

    Exit 1: the gate is not GO, and no reason was given. A reason is recorded with your name (git's user.name).
    """
    from components.registry.champion import promote

    return _change(recipe, overrides, as_json, lambda loaded, by: promote(
        workspace=loaded.workspace, registry=loaded.registry, recipe=loaded.name, by=by, run=run, reason=reason
    ))  # fmt: skip


@click.command("rollback")
@recipe_options
@click.option("--to", metavar="VERSION|DIGEST", help="to this one that was in service; else to the one before")
@click.option("--reason", metavar="TEXT", help="why; recorded with your name")
@json_option
def rollback_command(
    recipe: str, overrides: tuple[str, ...], to: str | None, reason: str | None, as_json: bool
) -> int:  # fmt: skip
    """Go back to the champion before: its prompt, adapter and settings. Notes and index are not touched."""
    from components.registry.champion import rollback

    return _change(recipe, overrides, as_json, lambda loaded, by: rollback(
        workspace=loaded.workspace, registry=loaded.registry, by=by, to=to, reason=reason
    ))  # fmt: skip


def _change(
    recipe: str, overrides: tuple[str, ...], as_json: bool, change: Callable[[Recipe, str], Changed]
) -> int:  # fmt: skip
    """Do it, tell it; returns the exit code."""
    from components.dataset.curation.reviews import reviewer_name
    from components.recipe.forget import asking_in
    from components.services.notify.changed import tell_champion

    loaded = load(recipe, overrides).recipe
    if not loaded.workspace.is_dir():
        raise TerminalError(f"{loaded.workspace} is not there yet: cervella run {recipe} first")
    with asking_in(loaded.workspace):
        done = change(loaded, reviewer_name())
    tell_champion(
        done, loaded.execution.notify, workspace=loaded.workspace, model_name=loaded.registry.model_name, recipe=recipe
    )
    _tell(done, loaded, as_json=as_json)
    return 1 if done.refused else 0


def _tell(done: Changed, recipe: Recipe, *, as_json: bool) -> None:
    from components.registry.champion.told import differences, render_changed

    if as_json:
        found = None
        if done.changed and done.champion and done.before:
            try:
                found = differences(recipe.workspace, done.before, done.champion)
            except TerminalError as error:
                click.echo(f"cervella: what changed cannot be told: {error}", err=True)
        click.echo(json.dumps({
            "model": recipe.registry.model_name,
            "champion": done.champion.to_dict() if done.champion else None,
            "before": done.before.to_dict() if done.before else None,
            "changed": done.changed,
            "refused": done.refused.to_dict() if done.refused else None,
            "differences": [{"what": what, "before": old, "now": new} for what, old, new in found or []],
            "mlflow": {"agrees": done.fault is None, "fault": done.fault},
        }, indent=1, ensure_ascii=False))  # fmt: skip
    else:
        if done.refused:
            click.echo(f"refused: the gate of phase {done.refused.phase} says {done.refused.verdict}")
            for criterion in done.refused.criteria:
                if criterion.verdict != "GO":
                    click.echo(f"  {criterion.verdict:<12} {criterion.name}: {criterion.reason}")
            click.echo("A person may decide otherwise: cervella promote ... --reason TEXT, which is recorded\n")
        click.echo(render_changed(done, workspace=recipe.workspace, model_name=recipe.registry.model_name))
    if done.fault:
        click.echo(
            f"MLflow does not tell it yet: {done.fault}. The same command, or the next run, tells it again", err=True
        )
