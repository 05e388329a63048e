"""Two runs, or a run and a recipe, side by side: diff."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from components.errors import InputError
from components.store import list_runs
from flows.commands.options import json_option, load
from flows.commands.past import workspace_option

if TYPE_CHECKING:
    from components.recipe.compare import Side


@click.command("diff")
@click.argument("old", metavar="A")
@click.argument("new", metavar="B")
@workspace_option
@json_option
def diff_command(old: str, new: str, workspace: Path, as_json: bool) -> None:
    """What differs between A and B, each a run (its id, or the beginning of it) or a recipe.

    Of two runs: values of their recipes, steps, scores with their intervals, and golden questions whose note is found
    at another rank. Of a run and a recipe: the values.
    """
    from components.recipe.compare import compare, render

    difference = compare(_side(old, workspace), _side(new, workspace))
    if as_json:
        click.echo(json.dumps(difference.to_dict(), indent=1, ensure_ascii=False))
    else:
        click.echo(render(difference))


def _side(text: str, workspace: Path) -> Side:
    from components.recipe.compare import side_of_recipe, side_of_run

    runs = [run for run in list_runs(workspace) if run.id.startswith(text)]
    if len(runs) == 1:
        return side_of_run(runs[0])
    if len(runs) > 1:
        raise InputError(f"{len(runs)} runs in {workspace} begin with {text!r}; `cervella runs` lists them")
    try:
        return side_of_recipe(load(text, ()))
    except InputError as error:
        if Path(text).suffix or Path(text).exists():
            raise
        raise InputError(
            f"{text!r} is neither a run in {workspace} (`cervella runs` lists them) nor a recipe"
        ) from error
