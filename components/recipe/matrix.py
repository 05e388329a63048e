"""Section `matrix` of a recipe: lists of values for some keys, and one run for each combination of them.

`matrix: {index.chunk.max_tokens: [200, 300], index.search.k: [5, 8]}` is four runs. The keys are those of the recipe,
dotted or nested. A combination is a recipe like any other: it is checked as one, and its faults are told at the line of
the matrix that says the value. An override of a key that the matrix varies sets it for all combinations.

Each combination has an index of its own under `<workspace>/matrix/`, shared by those that index in the same way: what
is published in the recipe's own index stays as it was.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from components.recipe.compose import merge
from components.recipe.faults import Fault
from components.recipe.model import Recipe
from components.recipe.resolve import Keys
from components.recipe.shape import default_of, keys_of, nearest
from components.recipe.source import BROKEN, Node
from components.store import canonical_json, sha256_hex

if TYPE_CHECKING:
    from components.recipe.load import LoadedRecipe

__all__ = ["MAX_COMBINATIONS", "Combination", "Variant", "own_index", "variants"]

MAX_COMBINATIONS = 64

_FIXED = (
    "version", "extends", "name", "description", "phase", "workspace", "registry", "matrix", "index.uri",
    "index.copy_to",
)  # fmt: skip
"""What all combinations share: they are one experiment in one workspace, each with an index of its own."""
_EXPECTED = "keys of the recipe with lists of values, like index.search.k: [5, 8]"


@dataclass(frozen=True)
class Combination:
    """One run of a matrix: how people call it (`max_tokens=200, k=5`), its values by dotted key, and its recipe."""

    name: str
    values: dict[str, Any]
    loaded: LoadedRecipe


@dataclass(frozen=True)
class Variant:
    """A combination before it is checked: the tree of its recipe, without the matrix."""

    name: str
    keys: tuple[str, ...]
    tree: Node


def variants(tree: Node, *, pinned: Sequence[str], faults: list[Fault]) -> list[Variant]:
    """The combinations of a composed recipe, in the order of their values; none when it has no matrix.

    Args:
        tree: the recipe, overrides included.
        pinned: keys that were overridden (dotted): the matrix does not vary them, nor anything in them.
        faults: gets what is wrong with the matrix itself.
    """
    items = tree.value if isinstance(tree.value, dict) else {}
    matrix = items.get("matrix")
    if matrix is None or matrix.value is None or matrix.value is BROKEN:
        return []
    before = len(faults)
    phase = items.get("phase")
    if phase is not None and phase.value in ("reindex", "dataset", "scale"):
        what = f"phase {phase.value} scores nothing, so there is nothing to compare"
        faults.append(Fault(matrix.key_at or matrix.at, "matrix", what, "phase: mvp, or -o matrix=null"))
    axes = {key: node for key, node in _axes(matrix, (), faults) if not _is_pinned(key, pinned)}
    values = {key: _values(key, node, faults) for key, node in axes.items()}
    count = math.prod(map(len, values.values()))
    if count > MAX_COMBINATIONS:
        faults.append(
            Fault(matrix.key_at or matrix.at, "matrix", f"has {count:,} combinations", f"at most {MAX_COMBINATIONS}")
        )
    if not values:
        return []
    base = replace(tree, value={key: node for key, node in items.items() if key != "matrix"})
    short = _short_names(list(values))
    found = []
    rows: Iterable[tuple[tuple[str, Node], ...]]
    if len(faults) > before:  # nothing will run: each value is checked by itself, so that its faults are told as well
        rows = [((key, node),) for key, nodes in values.items() for node in nodes]
    else:
        rows = (tuple(zip(values, chosen, strict=True)) for chosen in itertools.product(*values.values()))
    for row in rows:
        over, named = base, []
        for key, node in row:
            over = replace(merge(over, _at(key, node)), at=tree.at)
            named.append(f"{short[key]}={_plain(node)}")
        found.append(Variant(", ".join(named), tuple(key for key, _ in row), over))
    return found


def own_index(recipe: Recipe) -> Recipe:
    """The recipe of a combination with its own index, the same for all that read, cut and embed in the same way."""
    made_of = {
        "sncp": recipe.sncp.model_dump(mode="json"),
        "persona": [str(file) for file in recipe.persona.files],
        "chunk": recipe.index.chunk.model_dump(mode="json"),
        "embedding": recipe.index.embedding.model_dump(mode="json", include={"model", "dimensions", "api_base"}),
        "privacy": recipe.privacy.model_dump(mode="json"),
    }
    uri = recipe.workspace / "matrix" / sha256_hex(canonical_json(made_of))[:12]
    index = recipe.index.model_copy(update={"uri": uri, "copy_to": None})
    return recipe.model_copy(update={"matrix": None, "index": index})


def _axes(node: Node, keys: Keys, faults: list[Fault]) -> Iterator[tuple[str, Node]]:
    """Dotted key -> its list, from dotted and from nested keys."""
    if isinstance(node.value, dict):
        for key, child in node.value.items():
            yield from _axes(child, (*keys, *key.split(".")), faults)
        return
    dotted = ".".join(map(str, keys))
    place = node.key_at or node.at
    if not keys:
        faults.append(Fault(node.at, "matrix", "is no map of keys", _EXPECTED))
    elif any(dotted == fixed or dotted.startswith(f"{fixed}.") for fixed in _FIXED):
        faults.append(Fault(place, f"matrix: {dotted}", "is the same for all combinations", "another key"))
    elif (section := [str(key) for key in keys[:-1]]) is not None and keys[-1] not in keys_of(section):
        near = nearest(str(keys[-1]), keys_of(section))
        hint = {"suggestion": f"did you mean '{'.'.join([*section, near])}'?"} if near else {}
        faults.append(Fault(place, f"matrix: {dotted}", "is no key of a recipe", **hint))
    elif keys_of([str(key) for key in keys]):
        faults.append(Fault(place, f"matrix: {dotted}", "is a section", "one key of it, with a list of values"))
    elif not isinstance(node.value, list):
        if node.value is not BROKEN:
            faults.append(
                Fault(node.at, f"matrix: {dotted}", "is no list", f"a list of values, like [{_example(keys)}]")
            )
    else:
        yield dotted, node


def _example(keys: Keys) -> str:
    default = default_of([str(key) for key in keys])
    return "a, b" if default is None or isinstance(default, dict | list) else json.dumps(default)


def _values(key: str, node: Node, faults: list[Fault]) -> list[Node]:
    values = node.value if isinstance(node.value, list) else []
    if not values:
        faults.append(Fault(node.at, f"matrix: {key}", "is an empty list", "one value at least"))
    seen: set[str] = set()
    for value in values:
        text = json.dumps(_plain_value(value), sort_keys=True)
        if text in seen:
            faults.append(Fault(value.at, f"matrix: {key}", f"has the value {_plain(value)} twice", "different values"))
        seen.add(text)
    return values


def _is_pinned(key: str, pinned: Sequence[str]) -> bool:
    return any(key == name or key.startswith(f"{name}.") for name in pinned)


def _at(key: str, node: Node) -> Node:
    for name in reversed(key.split(".")):
        node = Node({name: replace(node, key_at=node.key_at or node.at)}, node.at)
    return node


def _short_names(keys: Sequence[str]) -> dict[str, str]:
    """Each key by as many of its last parts as tell it from the others."""
    names = {}
    for key in keys:
        parts = key.split(".")
        for length in range(1, len(parts) + 1):
            name = ".".join(parts[-length:])
            if sum(other == name or other.endswith(f".{name}") for other in keys) == 1:
                break
        names[key] = name
    return names


def _plain_value(node: Node) -> Any:
    if isinstance(node.value, dict):
        return {key: _plain_value(child) for key, child in node.value.items()}
    if isinstance(node.value, list):
        return [_plain_value(child) for child in node.value]
    return None if node.value is BROKEN else node.value


def _plain(node: Node) -> str:
    value = _plain_value(node)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
