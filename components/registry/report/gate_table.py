"""The gate as a table: each criterion with its interval against what is asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from components.registry.criteria import CRITERIA
from components.registry.report.gauge import draw_interval
from components.registry.report.headline import noun_of
from components.registry.report.reading import Measured, count, listed, measured, number, part, text, whole
from components.registry.report.words import interval, label, metric_of, value

__all__ = ["criteria"]

_BELOW = {rule.name for rules in CRITERIA.values() for rule in rules if rule.below}
_MOODS = {"GO": "good", "NO-GO": "error", "INCONCLUSIVE": "warning"}


def criteria(gate: Mapping[str, Any], scorecard: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A row for each criterion of the gate."""
    for place, one in enumerate(listed(gate.get("criteria"))):
        name, verdict = text(one.get("name")), text(one.get("verdict"))
        found = measured(one) or Measured(None, None, None, 0)
        at_least, plain = one.get("at_least") is not False, name.partition(" of ")[0]
        sign = "at least" if at_least else "below" if plain in _BELOW else "at most"
        limit = f"{sign} {value(name, one.get('threshold'))}"
        needed = whole(one.get("needed"))
        threshold, between = number(one.get("threshold")), interval(name, found)
        yield {
            "label": label(name), "name": name, "mood": _MOODS.get(verdict, "warning"),
            "verdict": verdict if verdict in _MOODS else "unknown",
            "value": value(name, found), "interval": between, "limit": limit,
            "n": f"{count(one.get('n'))} {noun_of(name)}", "reason": text(one.get("reason")),
            "needed": f"about {needed:,} {noun_of(name)} would decide it" if needed else "",
            "drawing": draw_interval(
                None if found.value is None else found, threshold=threshold, most=_most(plain, scorecard),
                at_least=at_least, kind=metric_of(name).kind, verdict=verdict, name=f"g{place}",
                told=f"{label(name)}: {value(name, found)}{f' ({between})' if between else ''}; asked is {limit}.",
            ),
        }  # fmt: skip


def _most(name: str, scorecard: Mapping[str, Any]) -> float | None:
    """Where the line of a criterion ends, where its own numbers do not tell."""
    tasks = whole(part(scorecard, "tasks").get("of")) if name == "tasks_passed" else None
    return float(tasks) if tasks else None
