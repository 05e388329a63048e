"""Questions about recipes: where does this value come from, which recipes are there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.errors import InputError
from components.recipe.faults import RecipeError
from components.recipe.load import LoadedRecipe, load_recipe
from components.recipe.shape import describe, nearest

__all__ = ["Explained", "RecipeInfo", "explain", "list_recipes"]


@dataclass(frozen=True, slots=True)
class Explained:
    """A value, where it came from (`file:line:col`, an override or `default`) and what it is for."""

    key: str
    value: Any
    origin: str
    description: str


def explain(loaded: LoadedRecipe, key: str | None = None) -> list[Explained]:
    """Every value of the recipe, or those at and under a dotted `key`, in the order of the recipe.

    Raises:
        InputError: there is no such key.
    """
    found = []
    for name, origin in loaded.origins.items():
        if key is None or name == key or name.startswith(f"{key}."):
            keys = _split(loaded.dump(), name)
            found.append(Explained(name, _at(loaded.dump(), keys), str(origin), describe(keys)))
    if not found:
        near = nearest(str(key), sorted({part for name in loaded.origins for part in _prefixes(name)}))
        raise InputError(f"the recipe has no key '{key}'" + (f"; did you mean '{near}'?" if near else ""))
    return found


def _prefixes(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[: length + 1]) for length in range(len(parts))]


def _split(values: Any, name: str) -> list[str]:
    """The keys of a dotted name; a free key may itself contain dots."""
    if not name:
        return []
    for key, child in values.items() if isinstance(values, dict) else ():
        if name == key:
            return [key]
        if name.startswith(f"{key}.") and isinstance(child, dict):
            return [key, *_split(child, name[len(key) + 1 :])]
    return [name]


def _at(values: Any, keys: list[str]) -> Any:
    for key in keys:
        values = values[key]
    return values


@dataclass(frozen=True, slots=True)
class RecipeInfo:
    """One line of the list of recipes. `fault`: the first thing wrong with it, None when it is valid."""

    name: str
    path: Path
    phase: str | None
    description: str
    fault: str | None


def list_recipes(folder: Path) -> list[RecipeInfo]:
    """The recipes in `folder` by file name; `_*.yaml` are bases of others and left out. Faulty ones say why."""
    return [_info(path) for path in sorted(folder.glob("*.yaml")) if not path.name.startswith("_")]


def _info(path: Path) -> RecipeInfo:
    what = _what(path)
    try:
        recipe = load_recipe(path).recipe
    except RecipeError as error:
        return RecipeInfo(path.stem, path, None, what, str(error.faults[0]).splitlines()[0])
    return RecipeInfo(path.stem, path, recipe.phase, recipe.description or what, None)


def _what(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", errors="replace") as opened:
            head = opened.read(2000)
    except OSError:
        return ""
    found = re.search(r"^#\s*What:\s*(.+?)(?:\s{2,}Before:.*)?$", head, re.MULTILINE)
    return found[1].strip() if found else ""
