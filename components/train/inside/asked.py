"""Whether a trainer really uses what was asked for: effective.json held against it. Used at home and in bundles."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

MISSING = object()
_CLOSE = 1e-6


def difference(what: str, path: str, wanted: Any, effective: Mapping[str, Any]) -> str | None:
    """How one thing differs from what was asked; None: it does not.

    Args:
        what: name of the setting in a recipe.
        path: of its value in effective.json, dotted.
        wanted: the value that must stand there, as JSON.
        effective: effective.json.
    """
    found = value_at(effective, path)
    if found is MISSING:
        # Trainers leave out what is not set.
        return None if wanted is None else f"{what}: asked {wanted}, {path} says nothing"
    if _equal(wanted, found):
        return None
    return f"{what}: asked {_shown(wanted)}, the trainer uses {_shown(found)} ({path})"


def value_at(values: Any, path: str) -> Any:
    """The value at a dotted path, where numbers count in lists; MISSING: there is none."""
    for name in path.split("."):
        if isinstance(values, Mapping) and name in values:
            values = values[name]
        elif (
            isinstance(values, Sequence) and not isinstance(values, str) and name.isdigit() and int(name) < len(values)
        ):
            values = values[int(name)]
        else:
            return MISSING
    return values


def _equal(wanted: Any, found: Any) -> bool:
    if isinstance(wanted, bool) or isinstance(found, bool):
        return wanted is found
    if isinstance(wanted, (int, float)) and isinstance(found, (int, float)):
        return math.isclose(wanted, found, rel_tol=_CLOSE)
    if isinstance(wanted, list) and isinstance(found, list):
        return sorted(map(str, wanted)) == sorted(map(str, found))
    return bool(wanted == found)


def _shown(value: Any) -> str:
    return ", ".join(sorted(map(str, value))) if isinstance(value, list) else str(value)
