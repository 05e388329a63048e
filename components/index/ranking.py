"""From two lists of candidates to one order: fusion, evidence of the same note, what still holds before what does not.

Pure functions over small lists; nothing here knows LanceDB.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

__all__ = ["Candidate", "demoted", "fuse", "with_siblings"]

Key = TypeVar("Key", bound=Hashable)
_RRF_CONSTANT = 60  # Cormack, Clarke, Buettcher 2009


@dataclass(frozen=True)
class Candidate:
    """What ranking needs to know of a chunk."""

    path: str
    paths: tuple[str, ...]
    status: str
    supersedes: tuple[str, ...]


def fuse(
    dense: Mapping[Key, float], text: Mapping[Key, float], *, fusion: Literal["minmax", "rrf"], dense_weight: float
) -> dict[Key, float]:
    """One score in 0..1 for each key of either leg.

    `minmax`: each leg's scores are stretched to 0..1 (a key that a leg lacks gets 0) and added,
    `dense_weight` to 1 - `dense_weight`. `rrf`: reciprocal ranks, divided by the best that is possible.
    """
    weights = (dense_weight, 1.0 - dense_weight) if fusion == "minmax" else (0.5, 0.5)
    scores: dict[Key, float] = defaultdict(float)
    for leg, weight in zip((dense, text), weights, strict=True):
        for key, value in (_stretched(leg) if fusion == "minmax" else _reciprocal(leg)).items():
            scores[key] += weight * value
    return dict(scores)


def _stretched(leg: Mapping[Key, float]) -> dict[Key, float]:
    if not leg:
        return {}
    low, high = min(leg.values()), max(leg.values())
    return {key: (value - low) / (high - low) if high > low else 1.0 for key, value in leg.items()}


def _reciprocal(leg: Mapping[Key, float]) -> dict[Key, float]:
    order = sorted(leg, key=lambda key: -leg[key])
    return {key: (_RRF_CONSTANT + 1) / (_RRF_CONSTANT + rank) for rank, key in enumerate(order, start=1)}


def with_siblings(
    scores: Mapping[Key, float], candidates: Mapping[Key, Candidate], *, share: float
) -> dict[Key, float]:
    """Scores raised by what else of the same note was found, still in 0..1.

    A note that is about the subject in several places is the better source: `share` of its next three chunks,
    halved each time, is added to each of its chunks.
    """
    by_note: dict[str, list[float]] = defaultdict(list)
    for key, score in scores.items():
        by_note[candidates[key].path].append(score)
    for values in by_note.values():
        values.sort(reverse=True)
    most = 1 + share * 1.75
    raised = {}
    for key, score in scores.items():
        others = by_note[candidates[key].path][1:4]
        raised[key] = (score + share * sum(value / 2**place for place, value in enumerate(others))) / most
    return raised


_HOLDS = {"current": 1.0, "archived": 0.8, "deprecated": 0.5, "template": 0.5}


def demoted(scores: Mapping[Key, float], candidates: Mapping[Key, Candidate]) -> dict[Key, float]:
    """Scores lowered where a note no longer holds.

    An archived note needs a quarter more evidence than a current one to stand above it, a deprecated note or a
    template twice as much. A note that another one replaces stays below it where both were found.
    """
    lowered = {key: score * _HOLDS.get(candidates[key].status, 1.0) for key, score in scores.items()}
    best: dict[str, float] = {}
    for key, score in lowered.items():
        for name in candidates[key].supersedes:
            best[name] = max(best.get(name, 0.0), score)
    for key in lowered:
        for path in candidates[key].paths:
            if path in best and path not in candidates[key].supersedes:
                lowered[key] = min(lowered[key], 0.99 * best[path])
    return lowered
