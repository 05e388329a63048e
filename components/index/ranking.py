"""From two lists of candidates to one order: fusion, then time: what holds before what held.

Pure functions over small lists; nothing here knows LanceDB.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from statistics import median
from typing import Literal, TypeVar

from components.index.question import Tense
from components.index.shingles import Shingles

__all__ = ["RANKING_VERSION", "Candidate", "evidence", "fuse", "in_time"]

Key = TypeVar("Key", bound=Hashable)

RANKING_VERSION = 4
"""Part of the identity of every score: raise it with any change of order, the constants of this room and the
`dense_weight` of the embedders included (tests/index/test_ranking.py holds them)."""

_RRF_CONSTANT = 60
_HOLDS = {"current": 1.0, "archived": 0.8, "deprecated": 0.8, "template": 0.5}
_HOLDS_NOW = {"current": 1.0, "archived": 0.8, "deprecated": 0.5, "template": 0.5}
"""Where the question asks for the present."""
_ANSWERS = 0.5
"""A note answers in place of the one that it replaces from this share of that one's evidence on."""
_AGED, _AGED_DAYS = 0.1, 30.0
"""Where the question asks for the present: what a note as old as the candidates' median day loses; the newest lose
nothing, the oldest twice as much, and most of the difference lies within these days of the median."""


@dataclass(frozen=True)
class Candidate:
    """What ranking needs to know of a chunk: its note's paths, status, ISO day and what it replaces, and its text."""

    path: str
    paths: tuple[str, ...]
    status: str
    supersedes: tuple[str, ...]
    date: str | None = None
    text: str = ""

    @cached_property
    def shingles(self) -> Shingles:
        """The word triples of its text."""
        return Shingles.of(self.text)


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


def evidence(
    dense: Mapping[Key, float], text: Mapping[Key, float], *, dense_weight: float, coverage: Mapping[Key, float]
) -> dict[Key, float]:
    """How well each key answers, for comparing two of them, 0..1.

    As `minmax`, but a full-text score counts by its share of the best one: stretching makes the worst match nothing,
    and where only two notes match, the worst is the second best.
    """
    best = max(text.values(), default=0.0)
    shares = {key: value / best if best > 0 else 0.0 for key, value in text.items()}
    out: dict[Key, float] = defaultdict(float)
    for key, value in _stretched(dense).items():
        out[key] += dense_weight * value
    for key, value in shares.items():
        out[key] += (1.0 - dense_weight) * value * math.sqrt(coverage[key])
    return dict(out)


def _stretched(leg: Mapping[Key, float]) -> dict[Key, float]:
    if not leg:
        return {}
    low, high = min(leg.values()), max(leg.values())
    return {key: (value - low) / (high - low) if high > low else 1.0 for key, value in leg.items()}


def _reciprocal(leg: Mapping[Key, float]) -> dict[Key, float]:
    order = sorted(leg, key=lambda key: -leg[key])
    return {key: (_RRF_CONSTANT + 1) / (_RRF_CONSTANT + rank) for rank, key in enumerate(order, start=1)}


def in_time(
    scores: Mapping[Key, float],
    candidates: Mapping[Key, Candidate],
    *,
    answers: Mapping[Key, float],
    tense: Tense | None,
) -> dict[Key, float]:
    """Scores in which what holds goes before what held; `answers`: see `evidence`.

    - A note that no longer holds loses a little, a fifth; a template half.
    - A note that answers (at least half of the evidence) in place of one that it replaces takes that one's place, and
      the replaced one comes right behind. One that does not answer changes nothing: what only the old note says is
      still found where it was.
    - Where the question asks for the present ("oggi", "still"), a deprecated note loses half, and the older of two
      current ones up to a fifth. Age is counted from the median day of the candidates, not from the newest one, so
      that a single note of another year does not make all others equally old; a note without a day is of that day.

    A question about the past leaves all as it is.
    """
    if tense == "past":
        return dict(scores)
    holds = _HOLDS_NOW if tense == "present" else _HOLDS
    out = {key: score * holds.get(candidates[key].status, 1.0) for key, score in scores.items()}
    if tense == "present":
        out = _aged(out, candidates)
    return _succession(out, candidates, answers)


def _aged(scores: Mapping[Key, float], candidates: Mapping[Key, Candidate]) -> dict[Key, float]:
    days = {key: date.fromisoformat(day).toordinal() for key in scores if (day := candidates[key].date)}
    middle = median(days.values()) if days else 0
    return {
        key: score * (1 - _AGED * (1 - math.tanh((days.get(key, middle) - middle) / _AGED_DAYS)))
        for key, score in scores.items()
    }


def _succession(
    scores: Mapping[Key, float], candidates: Mapping[Key, Candidate], answers: Mapping[Key, float]
) -> dict[Key, float]:
    """Each note behind those that replace it, where they answer."""
    best: dict[str, Key] = {}
    proof: dict[str, float] = defaultdict(float)
    for key in scores:
        path = candidates[key].path
        proof[path] = max(proof[path], answers[key])
        if path not in best or scores[key] > scores[best[path]]:
            best[path] = key
    notes = {path: candidates[key] for path, key in best.items()}
    replacing = {path: note for path, note in notes.items() if note.supersedes}
    later = {
        old: [new for new, note in replacing.items() if _replaces(note, replaced)] for old, replaced in notes.items()
    }
    places = {path: scores[key] for path, key in best.items()}
    answering = {
        old: [new for new in news if proof[new] >= _ANSWERS * proof[old]] for old, news in later.items() if news
    }
    oldest_first = sorted(answering, key=lambda path: (-len(later[path]), path))
    for old in oldest_first:
        for new in answering[old]:
            places[new] = max(places[new], places[old])
    ceiling = {}
    for old in reversed(oldest_first):
        if answering[old]:
            places[old] = ceiling[old] = min(places[old], 0.99 * min(places[new] for new in answering[old]))
    out = {}
    for key, score in scores.items():
        path = candidates[key].path
        out[key] = places[path] if key == best[path] else min(score, ceiling.get(path, score))
    return out


def _replaces(new: Candidate, old: Candidate) -> bool:
    """Whether one says that it replaces the other, which does not say the same of it."""
    return not set(new.supersedes).isdisjoint(old.paths) and set(old.supersedes).isdisjoint(new.paths)
