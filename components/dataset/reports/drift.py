"""Rule E10: whether distributions moved between two reports, and by how much.

Two measures of each: the total variation distance (half the sum of |p - q|: the share that lies elsewhere; Levin, Peres
and Wilmer, Markov Chains and Mixing Times, proposition 4.2) for people, and the population stability index
(sum of (p - q) ln(p / q), 0.1 and 0.25 being the usual marks; Siddiqi, Credit Risk Scorecards, 2006) to decide.
In small sets the index is large by chance alone: divided by 1/N + 1/M it is about chi-square with bins - 1 degrees of
freedom (Yurdakul, Statistical Properties of Population Stability Index, 2018), so it must be beyond its 95 % point too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import log, sqrt
from typing import Any

from components.page import one_line

__all__ = ["Moved", "index_by_chance", "moved", "stability_index", "variation"]

_SOME, _MUCH = 0.1, 0.25
_OTHERS = "(others)"


@dataclass(frozen=True, slots=True)
class Moved:
    """A distribution that moved. `variation`: share that lies elsewhere; `index`: population stability index."""

    name: str
    variation: float
    index: float
    most: tuple[tuple[str, float, float], ...]
    """(bin, share before, share now) of the bins that moved most."""

    def __str__(self) -> str:
        """`tokens moved much: 31 % lie elsewhere (stability index 0.42); 256-511 from 39 % to 12 %`."""
        bins = ", ".join(f"{one_line(key, longest=40)} from {old:.0%} to {new:.0%}" for key, old, new in self.most)
        much = "much" if self.index >= _MUCH else "somewhat"
        return (
            f"{self.name} moved {much}: {self.variation:.0%} lie elsewhere (stability index {self.index:.2f}); {bins}"
        )


def moved(
    before: Mapping[str, Mapping[str, int]], statistics_before: Mapping[str, Any],
    after: Mapping[str, Any], statistics_after: Mapping[str, Any],
) -> Iterator[Moved]:  # fmt: skip
    """The distributions that moved, in a fixed order: tokens, turns, languages, stages, roles, openings of answers."""
    pairs = [(name, before.get(name), after.get(name)) for name in ("tokens", "turns", "languages", "stages")]
    pairs.append(("roles", _counts(statistics_before, "roles"), _counts(statistics_after, "roles")))
    pairs.append(("openings", *_openings(statistics_before, statistics_after)))
    for name, old, new in pairs:
        if old and new and (found := _moved(name, old, new)):
            yield found


def _moved(name: str, old: Mapping[str, int], new: Mapping[str, int]) -> Moved | None:
    bins = [key for key in {**old, **new} if old.get(key, 0) or new.get(key, 0)]
    before, after = [old.get(key, 0) for key in bins], [new.get(key, 0) for key in bins]
    if not sum(before) or not sum(after) or len(bins) < 2:
        return None
    index = stability_index(before, after)
    if index < _SOME or index <= index_by_chance(len(bins), sum(before), sum(after)):
        return None
    shares = [(key, one / sum(before), two / sum(after)) for key, one, two in zip(bins, before, after, strict=True)]
    shares.sort(key=lambda share: -abs(share[1] - share[2]))
    return Moved(name, variation(before, after), index, tuple(shares[:3]))


def variation(before: list[int], after: list[int]) -> float:
    """Total variation distance: 0 for the same distribution, 1 for those that share nothing."""
    old, new = sum(before), sum(after)
    return sum(abs(one / old - two / new) for one, two in zip(before, after, strict=True)) / 2


def stability_index(before: list[int], after: list[int]) -> float:
    """Population stability index. Half a count is added to each bin, so that an empty one does not make it endless."""
    old, new = sum(before) + len(before) / 2, sum(after) + len(after) / 2
    shares = [((one + 0.5) / old, (two + 0.5) / new) for one, two in zip(before, after, strict=True)]
    return sum((p - q) * log(p / q) for p, q in shares)


def index_by_chance(bins: int, before: int, after: int) -> float:
    """What the index stays below in 95 of 100 draws of two sets from one distribution (Wilson and Hilferty 1931)."""
    free = bins - 1
    cube = 1 - 2 / (9 * free) + 1.645 * sqrt(2 / (9 * free))
    return free * cube**3 * (1 / before + 1 / after)


def _counts(statistics: Mapping[str, Any], name: str) -> dict[str, int]:
    found = statistics.get(name)
    if not isinstance(found, dict):
        return {}
    return {key: count for key, count in found.items() if isinstance(count, int) and 0 <= count < 10**12}


def _openings(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[dict[str, int], dict[str, int]]:
    """Only the most frequent are known, so those that are known of both are compared, and the rest as one."""
    found = []
    both = _counts(before, "openings").keys() & _counts(after, "openings").keys()
    for statistics in (before, after):
        counts = _counts(statistics, "openings")
        answers = statistics.get("answers")
        total = answers if isinstance(answers, int) else sum(counts.values())
        kept = {key: counts[key] for key in counts if key in both}
        found.append({**kept, _OTHERS: max(0, total - sum(kept.values()))})
    return found[0], found[1]
