"""The published index: index status."""

from __future__ import annotations

import json

import click

from flows.commands.options import json_option, load, recipe_options


@click.group("index")
def index_command() -> None:
    """The published index."""


@index_command.command("status")
@recipe_options
@json_option
def status(recipe: str, overrides: tuple[str, ...], as_json: bool) -> None:
    """What is published for RECIPE: chunks, notes, embedder, version, size."""
    from components.index.steps import open_index

    loaded = load(recipe, overrides).recipe
    told = open_index(loaded.index, workspace=loaded.workspace).status()
    if as_json:
        click.echo(json.dumps(told, indent=1, ensure_ascii=False))
        return
    for key, value in told.items():
        click.echo(f"{key.replace('_', ' '):<20} {value}")
