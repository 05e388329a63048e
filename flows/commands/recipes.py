"""The recipe language: recipes, schema, validate, explain."""

from __future__ import annotations

import json
from pathlib import Path

import click

from components.errors import InputError
from components.recipe import explain, list_recipes, recipe_schema, schema_text, write_schema
from flows.commands.options import json_option, load, recipe_options


@click.command("recipes")
@click.argument("folder", default="recipes", type=click.Path(path_type=Path))
@json_option
def recipes_command(folder: Path, as_json: bool) -> None:
    """List the recipes of FOLDER (default: recipes)."""
    found = list_recipes(folder)
    if as_json:
        rows = [
            {"name": r.name, "path": str(r.path), "phase": r.phase, "description": r.description, "fault": r.fault}
            for r in found
        ]
        click.echo(json.dumps(rows, indent=1, ensure_ascii=False))
        return
    width = max((len(info.name) for info in found), default=0)
    for info in found:
        click.echo(f"{info.name:<{width}}  {info.phase or '?':<8}  {info.fault or info.description}")


@click.command("schema")
@click.option("--write", is_flag=True, help="write recipes/schema.json")
@click.option("--check", is_flag=True, help="exit 1 when recipes/schema.json is not up to date")
def schema_command(write: bool, check: bool) -> int:
    """Print the JSON schema of recipes; editors complete and check recipes with it."""
    path = Path("recipes/schema.json")
    if write:
        write_schema(path)
        click.echo(f"wrote {path}")
    elif check:
        if not path.is_file() or path.read_text(encoding="utf-8") != schema_text():
            click.echo(f"{path} is not up to date; run: cervella schema --write", err=True)
            return 1
        click.echo(f"{path} is up to date")
    else:
        click.echo(json.dumps(recipe_schema(), indent=1, ensure_ascii=False))
    return 0


@click.command("validate")
@recipe_options
def validate_command(recipe: str, overrides: tuple[str, ...]) -> None:
    """Check RECIPE: every fault at once, with file:line:col. Exit 2 when there is one."""
    loaded = load(recipe, overrides)
    click.echo(f"{loaded.path}: good ({loaded.recipe.phase}, digest {loaded.digest[:12]})")


@click.command("explain")
@recipe_options
@click.argument("key", required=False)
def explain_command(recipe: str, overrides: tuple[str, ...], key: str | None) -> None:
    """Where each value of RECIPE comes from, or the values under KEY."""
    rows = explain(load(recipe, overrides), key)
    if not rows:
        raise InputError(f"{recipe} has no key {key!r}")
    width = min(max(len(row.key) for row in rows), 40)
    for row in rows:
        click.echo(f"{row.key:<{width}}  {row.value}  [{row.origin}]")
        if key and row.description:
            click.echo(f"{'':<{width}}  {row.description}")
