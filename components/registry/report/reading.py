"""Reading a scorecard whatever is in it: an older one, a partial one, a damaged one. What is not there is not there."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from components.registry.faults import count_of, mapping

__all__ = ["Measured", "count", "listed", "mapping", "measured", "measures", "number", "part", "text", "whole"]

_MOST = 1e15


@dataclass(frozen=True)
class Measured:
    """One score. None: unknown, or no bound can be given."""

    value: float | None
    low: float | None
    high: float | None
    n: int


def part(value: Any, *keys: str) -> Mapping[str, Any]:
    """The mapping under these keys; empty where there is none."""
    for key in keys:
        value = mapping(value).get(key)
    return mapping(value)


def listed(value: Any) -> list[Mapping[str, Any]]:
    """The mappings in a list; none where it is no list."""
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list | tuple) else []


def number(value: Any) -> float | None:
    """A finite number within reason; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not -_MOST < value < _MOST:
        return None
    return None if math.isnan(value) else float(value)


def whole(value: Any) -> int | None:
    """A count; None where it is none."""
    found = number(value)
    return int(found) if found is not None and found == int(found) and found >= 0 else None


def count(value: Any) -> str:
    """A count for people; `?` where it is none."""
    found = whole(value)
    return "?" if found is None else f"{found:,}"


def text(value: Any, *, longest: int = 600) -> str:
    """A text, cut where it is long; empty for None, and other values in words."""
    plain = value if isinstance(value, str) else "" if value is None else str(value)
    return plain if len(plain) <= longest else plain[: longest - 1] + "…"


def measured(value: Any) -> Measured | None:
    """A score; None where there is none at all."""
    if not isinstance(value, Mapping) or "value" not in value:
        return None
    return Measured(number(value["value"]), number(value.get("low")), number(value.get("high")), count_of(value))


def measures(value: Any) -> dict[str, Measured]:
    """Name -> score, of those that are scores."""
    return {str(name): found for name, one in mapping(value).items() if (found := measured(one)) is not None}
