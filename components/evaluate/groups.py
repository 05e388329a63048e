"""Groups of questions and prompts: of one language, of one kind, about one project. A good mean can hide a bad group.

Not covered: groups of a few questions have wide intervals, and who looks at many groups finds a bad one by chance.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from components.evaluate.intervals import Measure, rate_measure

__all__ = ["by_label", "joined", "labels_of", "rates_by_label"]

T = TypeVar("T")


def labels_of(*, lang: str, kind: str = "", project: str = "") -> tuple[str, ...]:
    """The groups that something is in: `lang:it`, `kind:fact`, `project:quaderno`; what is empty makes none."""
    named = (("lang", lang), ("kind", kind), ("project", project))
    return tuple(f"{by}:{name}" for by, name in named if name)


def by_label(items: Iterable[tuple[Sequence[str], T]]) -> dict[str, list[T]]:
    """Label -> items of that group, sorted by label; an item is in all its groups."""
    groups: dict[str, list[T]] = {}
    for labels, item in items:
        for label in labels:
            groups.setdefault(label, []).append(item)
    return {label: groups[label] for label in sorted(groups)}


def rates_by_label(metric: str, passed: Iterable[tuple[Sequence[str], bool]]) -> dict[str, dict[str, Measure]]:
    """Label -> share of `passed` in that group, under the name of the metric."""
    return {label: {metric: rate_measure(values)} for label, values in by_label(passed).items()}


def joined(*parts: Mapping[str, Mapping[str, Measure]]) -> dict[str, dict[str, Measure]]:
    """One dict of the metrics of each group, sorted by label."""
    labels = sorted({label for part in parts for label in part})
    return {
        label: {name: measure for part in parts for name, measure in part.get(label, {}).items()} for label in labels
    }
