"""Arguments that many commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from components.errors import InputError
from components.recipe import LoadedRecipe, load_recipe

__all__ = ["json_option", "load", "override_option", "recipe_options"]

Decorated = Callable[..., Any]


def recipe_options(function: Decorated) -> Decorated:
    """Argument RECIPE and option -o."""
    return click.argument("recipe", metavar="RECIPE")(override_option(function))


def override_option(function: Decorated) -> Decorated:
    """Option -o."""
    return click.option(
        "-o", "--override", "overrides", multiple=True, metavar="KEY=VALUE",
        help="change a value for this time, such as -o index.search.k=5 (repeatable; paths are relative to here)",
    )(function)  # fmt: skip


def json_option(function: Decorated) -> Decorated:
    """Option --json."""
    return click.option("--json", "as_json", is_flag=True, help="print JSON")(function)


def load(recipe: str, overrides: tuple[str, ...]) -> LoadedRecipe:
    """Load RECIPE: a path, or the name of a file in `recipes/`."""
    path = Path(recipe)
    if not path.suffix and not path.exists():
        named = Path("recipes") / f"{recipe}.yaml"
        if not named.is_file():
            known = ", ".join(sorted(file.stem for file in Path("recipes").glob("[!_]*.yaml"))) or "none"
            raise InputError(f"no recipe {recipe!r}: neither a file nor a name in recipes/ (there: {known})")
        path = named
    return load_recipe(path, overrides=overrides)
