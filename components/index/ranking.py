"""From two lists of candidates to one order: fusion, then what still holds before what does not.

Pure functions over small lists; nothing here knows LanceDB.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

__all__ = ["Candidate", "demoted", "fuse"]

Key = TypeVar("Key", bound=Hashable)
_RRF_CONSTANT = 60


@dataclass(frozen=True)
class Candidate:
    """What ranking needs to know of a chunk."""

    path: str
    paths: tuple[str, ...]
    status: str
    supersedes: tuple[str, ...]


def fuse(
    dense: Mapping[Key, float],
    text: Mapping[Key, float],
    *,
    fusion: Literal["minmax", "rrf"],
    dense_weight: float,
    coverage: Mapping[Key, float] | None = None,
) -> dict[Key, float]:
    """One score in 0..1 for each key of either leg.

    `minmax`: each leg's scores are stretched to 0..1 (a key that a leg lacks gets 0) and added,
    `dense_weight` to 1 - `dense_weight`. A full-text score counts by the square root of `coverage`, the share of the
    question's words that the key holds: the best of many poor matches is still a poor match, which stretching hides.
    `rrf`: reciprocal ranks (Cormack, Clarke, Buettcher, SIGIR 2009), divided by the best that is possible.
    """
    scores: dict[Key, float] = defaultdict(float)
    if fusion == "rrf":
        for leg in (dense, text):
            for key, value in _reciprocal(leg).items():
                scores[key] += value / 2
        return dict(scores)
    for key, value in _stretched(dense).items():
        scores[key] += dense_weight * value
    for key, value in _stretched(text).items():
        held = 1.0 if coverage is None else coverage[key]
        scores[key] += (1.0 - dense_weight) * value * math.sqrt(held)
    return dict(scores)


def _stretched(leg: Mapping[Key, float]) -> dict[Key, float]:
    if not leg:
        return {}
    low, high = min(leg.values()), max(leg.values())
    return {key: (value - low) / (high - low) if high > low else 1.0 for key, value in leg.items()}


def _reciprocal(leg: Mapping[Key, float]) -> dict[Key, float]:
    order = sorted(leg, key=lambda key: -leg[key])
    return {key: (_RRF_CONSTANT + 1) / (_RRF_CONSTANT + rank) for rank, key in enumerate(order, start=1)}


_HOLDS = {"current": 1.0, "archived": 0.8, "deprecated": 0.5, "template": 0.5}


def demoted(scores: Mapping[Key, float], candidates: Mapping[Key, Candidate]) -> dict[Key, float]:
    """Scores lowered where a note no longer holds.

    An archived note needs a quarter more evidence than a current one to stand above it, a deprecated note or a
    template twice as much. A note that another one replaces stays below it where both were found.
    """
    lowered = {key: score * _HOLDS.get(candidates[key].status, 1.0) for key, score in scores.items()}
    below: dict[Key, float] = {}
    for old, replaced in candidates.items():
        successors = [
            lowered[new]
            for new, candidate in candidates.items()
            if set(candidate.supersedes) & set(replaced.paths) and not set(replaced.supersedes) & set(candidate.paths)
        ]
        if successors:
            below[old] = min(lowered[old], 0.99 * max(successors))
    return lowered | below
