"""The recipe that really runs, stored with its run: fully resolved, with where each value came from."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

from components.errors import InputError
from components.recipe.check import check_model
from components.recipe.faults import Fault, RecipeError
from components.recipe.load import LoadedRecipe
from components.recipe.model import Recipe
from components.recipe.resolve import Resolved
from components.recipe.source import MAX_BYTES, MAX_VALUES, Node, parse_yaml, read_text
from components.store import write_atomic

__all__ = ["freeze", "load_frozen"]

_HEADER = "# Frozen: what this run really used. Where each value came from is in origins.json.\n"


def freeze(loaded: LoadedRecipe, run_dir: Path) -> Path:
    """Write recipe.yaml and origins.json into `run_dir` (made when it is not there); returns the path of recipe.yaml.

    recipe.yaml is written last; after a crash each file is whole or not there.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    origins = {key: origin.to_dict() for key, origin in loaded.origins.items()}
    facts = {"recipe": str(loaded.path), "digest": loaded.digest, "origins": origins}
    write_atomic(run_dir / "origins.json", (json.dumps(facts, indent=2, ensure_ascii=False) + "\n").encode())
    write_atomic(run_dir / "recipe.yaml", (_HEADER + loaded.to_yaml()).encode())
    return run_dir / "recipe.yaml"


def load_frozen(run_dir: Path) -> Recipe:
    """The recipe that `freeze` stored in `run_dir`: nothing is composed, overridden or looked up again.

    Raises:
        InputError: there is none, or it was damaged (RecipeError, with the line).
    """
    path = run_dir / "recipe.yaml"
    text = read_text(path, file=str(path), max_bytes=8 * MAX_BYTES)  # the defaults are written out in it
    if isinstance(text, str):
        return _read(text, path)
    raise InputError(f"{run_dir} holds no frozen recipe: {text}\nStart the run again from its recipe file.")


@lru_cache(maxsize=8)
def _read(text: str, path: Path) -> Recipe:
    """The recipe in `text`. A run reads its own several times, and parsing takes longer than most sealed steps."""
    faults: list[Fault] = []
    node = parse_yaml(text, file=str(path), folder=path.parent, faults=faults, max_values=2 * MAX_VALUES)
    if node is not None and not faults:
        recipe, faults = check_model(_as_written(node))
        if recipe is not None:
            return recipe
    raise RecipeError(str(path), faults)


def _as_written(node: Node) -> Resolved:
    nodes: dict[tuple[str | int, ...], Node] = {}

    def plain(here: Node, keys: tuple[str | int, ...]) -> object:
        nodes[keys] = here
        if isinstance(here.value, dict):
            return {key: plain(child, (*keys, key)) for key, child in here.value.items()}
        if isinstance(here.value, list):
            return [plain(child, (*keys, index)) for index, child in enumerate(here.value)]
        return here.value

    values = plain(node, ())
    return Resolved(values if isinstance(values, dict) else {}, nodes, set())
