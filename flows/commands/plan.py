"""What a run would do: plan."""

from __future__ import annotations

import json

import click

from flows.commands.options import json_option, load, recipe_options

COLOURS = {"run": "yellow", "skip": "bright_black", "depends": "cyan"}


@click.command("plan")
@recipe_options
@click.option("--force", multiple=True, metavar="STEP", help="as if this step were to be done again")
@json_option
def plan_command(recipe: str, overrides: tuple[str, ...], force: tuple[str, ...], as_json: bool) -> int:
    """Each step of RECIPE: run, skip, or depends on a step before it; why, and what it costs. Nothing is written.

    Exit 1 when it is known ahead of time that the run would stop, and where.
    """
    from components.recipe.plan import plan_run
    from components.recipe.plan_text import render_plan

    plan = plan_run(load(recipe, overrides).recipe, force=force)
    if as_json:
        click.echo(json.dumps(plan.to_dict(), indent=1, ensure_ascii=False))
    else:
        click.echo(render_plan(plan, paint=lambda text, action: click.style(text, fg=COLOURS[action])))
    return 1 if plan.problems else 0
