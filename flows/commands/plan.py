"""What a run would do: plan."""

from __future__ import annotations

import json
from pathlib import Path

import click

from flows.commands.options import json_option, load, recipe_options

COLOURS = {"run": "yellow", "skip": "bright_black", "depends": "cyan"}


@click.command("plan")
@recipe_options
@click.option("--force", multiple=True, metavar="STEP", help="as if this step were to be done again")
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="write the plan, for `run --plan FILE`")
@json_option
def plan_command(
    recipe: str, overrides: tuple[str, ...], force: tuple[str, ...], out: Path | None, as_json: bool
) -> int:
    """Each step of RECIPE: run, skip, or depends on a step before it; why, and what it costs. No run is begun.

    Exit 1 when it is known ahead of time that the run would stop, and where.
    """
    from components.recipe.plan_file import write_plan
    from components.recipe.plan_matrix import plan_loaded, render

    loaded = load(recipe, overrides)
    plan = plan_loaded(loaded, force=force)
    if out:
        write_plan(out, plan, loaded, overrides=overrides, force=force)
    if as_json:
        click.echo(json.dumps(plan.to_dict(), indent=1, ensure_ascii=False))
    else:
        click.echo(render(plan, paint=lambda text, action: click.style(text, fg=COLOURS[action])))
        if out:
            click.echo(f"\nWritten to {out}; to run exactly this: cervella run --plan {out}")
    return 1 if plan.problems else 0
