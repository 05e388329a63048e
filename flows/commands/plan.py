"""What a run would do: plan."""

from __future__ import annotations

import json

import click

from flows.commands.options import json_option, load, recipe_options


@click.command("plan")
@recipe_options
@click.option("--force", multiple=True, metavar="STEP", help="as if this step were to be done again")
@json_option
def plan_command(recipe: str, overrides: tuple[str, ...], force: tuple[str, ...], as_json: bool) -> None:
    """Each step of RECIPE: run, skip, or depends on a step before it; and why. Nothing is written."""
    from components.recipe.plan import plan_run

    steps = plan_run(load(recipe, overrides).recipe, force=force)
    if as_json:
        click.echo(json.dumps({"steps": [step.to_dict() for step in steps]}, indent=1, ensure_ascii=False))
        return
    for step in steps:
        facts = ", ".join(f"{value} {key.replace('_', ' ')}" for key, value in step.facts.items())
        click.echo(f"{step.action:<8} {step.name:<20} {step.reason}" + (f"  ({facts})" if facts else ""))
