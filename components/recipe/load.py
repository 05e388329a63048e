"""Load a recipe: read, compose, override, resolve, check. The result knows where each value came from."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Any, Literal

from components.recipe.check import check_model
from components.recipe.compose import compose_files, overridden, parse_override, shown
from components.recipe.faults import Fault, Place, RecipeError, mask
from components.recipe.matrix import Combination, own_index, variants
from components.recipe.model import Recipe
from components.recipe.resolve import Keys, Resolved, resolve
from components.recipe.rules import check_files, check_rules
from components.recipe.source import MAX_BYTES, MAX_VALUES, Node

__all__ = ["LoadedRecipe", "Origin", "load_recipe", "to_yaml"]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value came from. `text`: the line that says it (secrets masked), or the override."""

    kind: Literal["file", "override", "default"]
    file: str | None = None
    line: int | None = None
    col: int | None = None
    text: str | None = None

    def __str__(self) -> str:
        """`recipes/mvp.yaml:12:7`, `-o index.search.k=5` or `default`."""
        if self.kind == "file":
            return f"{self.file}:{self.line}:{self.col}"
        return self.text or "default"

    def to_dict(self) -> dict[str, Any]:
        """JSON values, without those that are not there."""
        return {key: value for key, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class LoadedRecipe:
    """A valid recipe, the file it came from, and where each value came from (dotted key -> Origin).

    `combinations`: the recipes of its matrix, in order; none when it has no matrix.
    """

    recipe: Recipe
    path: Path
    origins: dict[str, Origin]
    combinations: tuple[Combination, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the canonical JSON of what `dump` gives: same values, same digest, whatever wrote them."""
        text = json.dumps(self.dump(), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def dump(self) -> dict[str, Any]:
        """The whole recipe as JSON values: defaults written out, references replaced, paths absolute, no `extends`."""
        return self.recipe.model_dump(mode="json", exclude={"extends"})

    def to_yaml(self) -> str:
        """`dump` as YAML that loads to an equal recipe."""
        return to_yaml(self.dump())


def to_yaml(values: dict[str, Any]) -> str:
    """JSON values as block YAML 1.2, keys in their order."""
    from ruamel.yaml import YAML
    from ruamel.yaml.representer import SafeRepresenter

    class Exact(SafeRepresenter):
        """Text with odd characters in double quotes: other styles would lose some of them (U+0085)."""

        def represent_str(self, data: str) -> Any:
            return self.represent_scalar("tag:yaml.org,2002:str", data, style=None if data.isprintable() else '"')

    Exact.add_representer(str, Exact.represent_str)
    yaml = YAML(typ="safe", pure=True)
    yaml.Representer = Exact
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.allow_unicode = True
    yaml.width = 2**20
    out = StringIO()
    yaml.dump(values, out)
    return out.getvalue()


def load_recipe(path: str | Path, *, overrides: Sequence[str] = (), cwd: Path | None = None) -> LoadedRecipe:
    """A recipe file, what it extends and the overrides as one valid recipe.

    Args:
        path: the recipe file, relative to `cwd`.
        overrides: `section.key=value`, the value in YAML, later ones win. Relative paths in them start from `cwd`.
        cwd: folder that a person stands in; none: the current one.

    Raises:
        RecipeError: all that is wrong, at once, with file, line and column.
    """
    here = Path(os.path.abspath(cwd or Path.cwd()))
    top = Path(os.path.normpath(here / path))
    named = shown(top, here)
    faults: list[Fault] = []
    tree = compose_files(top, cwd=here, faults=faults)
    parsed = [parse_override(text, cwd=here, faults=faults) for text in overrides]
    if tree is None:
        raise RecipeError(named, faults)
    tree = overridden(tree, [node for node in parsed if node is not None])
    resolved = resolve(tree, folder=top.parent, faults=faults)
    _check_size(resolved, tree, faults)
    loaded = _checked(resolved, top, faults)
    overridden_keys = [text.partition("=")[0].strip() for text in overrides]
    combinations = []
    for variant in variants(tree, pinned=overridden_keys, faults=faults):
        one = _checked(resolve(variant.tree, folder=top.parent, faults=faults), top, faults)
        if one is not None:
            values = {key: _value_at(one.dump(), key) for key in variant.keys}
            combinations.append(Combination(variant.name, values, replace(one, recipe=own_index(one.recipe))))
    if faults or loaded is None:
        raise RecipeError(named, faults)
    return replace(loaded, combinations=tuple(combinations))


def _checked(resolved: Resolved, top: Path, faults: list[Fault]) -> LoadedRecipe | None:
    """The recipe of a resolved tree; what is wrong with it goes to `faults`."""
    recipe, wrong = check_model(resolved)
    faults += wrong
    faults += check_rules(resolved, faulty=frozenset(fault.key for fault in wrong))
    faults += check_files(resolved)
    if recipe is None:
        return None
    recipe = recipe.model_copy(update={"workspace": _absolute(recipe.workspace, top.parent)})
    return LoadedRecipe(recipe=recipe, path=top, origins=_origins(recipe, resolved))


def _value_at(values: Any, key: str) -> Any:
    for name in key.split("."):
        values = values[name]
    return values


def _check_size(resolved: Resolved, tree: Node, faults: list[Fault]) -> None:
    """Several files, or references to long texts, may add up to more than one file may hold."""
    if len(resolved.nodes) > MAX_VALUES or _length(resolved.plain) > MAX_BYTES:
        expected = f"at most {MAX_VALUES:,} values and {MAX_BYTES:,} characters, bases and references included"
        faults.append(Fault(tree.at, "", "is too large for a recipe", expected))


def _length(value: Any) -> int:
    if isinstance(value, dict):
        return sum(_length(child) for child in value.values())
    if isinstance(value, list):
        return sum(map(_length, value))
    return len(value) if isinstance(value, str) else 0


def _absolute(path: Path, folder: Path) -> Path:
    return Path(os.path.normpath(folder / path))


def _origins(recipe: Recipe, resolved: Resolved) -> dict[str, Origin]:
    leaves = _leaves(recipe.model_dump(mode="json", exclude={"extends"}), ())
    return {".".join(map(str, keys)): _origin(keys, resolved) for keys in leaves}


def _leaves(value: Any, keys: Keys) -> list[Keys]:
    if isinstance(value, dict) and value:
        return [leaf for key, child in value.items() for leaf in _leaves(child, (*keys, key))]
    return [keys]


def _origin(keys: Keys, resolved: Resolved) -> Origin:
    node = resolved.nodes.get(keys)
    if node is None:
        return Origin("default")
    place: Place = node.at
    if place.line is None:
        return Origin("override", text=place.file)
    return Origin("file", place.file, place.line, place.col, mask((place.source or "").strip()))
