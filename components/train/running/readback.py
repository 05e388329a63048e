"""What a trainer really uses, held against what was asked: effective.json, field by field."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from components.train.job import Job
from components.train.trainers import Expected, trainer

__all__ = ["differences", "difference", "value_at"]

_CLOSE = 1e-6
_MISSING = object()


def differences(job: Job, effective: Mapping[str, Any]) -> list[str]:
    """Each thing that the trainer uses otherwise than asked, in words; empty: all is as asked.

    Args:
        job: what was asked.
        effective: effective.json.
    """
    wanted = trainer(job.params.trainer).expected(job)
    return [told for one in wanted if (told := difference(one, effective)) is not None]


def difference(wanted: Expected, effective: Mapping[str, Any]) -> str | None:
    """How one thing differs from what was asked; None: it does not."""
    found = value_at(effective, wanted.path)
    if found is _MISSING:
        # Trainers leave out what is not set.
        return None if wanted.value is None else f"{wanted.what}: asked {wanted.value}, {wanted.path} says nothing"
    if _equal(wanted.value, found):
        return None
    return f"{wanted.what}: asked {_shown(wanted.value)}, the trainer uses {_shown(found)} ({wanted.path})"


def value_at(values: Any, path: str) -> Any:
    """The value at a dotted path; numbers count in lists."""
    for name in path.split("."):
        if isinstance(values, Mapping) and name in values:
            values = values[name]
        elif (
            isinstance(values, Sequence) and not isinstance(values, str) and name.isdigit() and int(name) < len(values)
        ):
            values = values[int(name)]
        else:
            return _MISSING
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
