"""Why a score of a scorecard cannot be trusted: something failed on the way, nobody was asked, or it is no measure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from components.registry.criteria import Part, Rule

__all__ = ["count_of", "failures", "mapping", "measure_fault", "unasked", "undecided"]

_MOST = 1e15  # no count and no number of a scorecard is larger; beyond, arithmetic overflows
_PARTS: Mapping[Part, tuple[str, str]] = {
    "answers": ("answers", "no answer was asked for: set evaluate.answers"),
    "personality": ("answers to prompts of personality", "no prompt was asked: set evaluate.personality"),
    "task": ("answers to tasks", "no task was asked: set evaluate.tasks"),
}


def mapping(value: Any) -> Mapping[str, Any]:
    """`value`, or an empty mapping where it is none: a scorecard may be of another version, or damaged."""
    return value if isinstance(value, Mapping) else {}


def count_of(metric: Any) -> int:
    """What a measure rests on; 0 where it is no count."""
    n = mapping(metric).get("n")
    return n if isinstance(n, int) and not isinstance(n, bool) and 0 <= n < _MOST else 0


def _counts(rule: Rule, scorecard: Mapping[str, Any]) -> Iterator[tuple[Part, Mapping[str, Any]]]:
    """Whose answers a criterion rests on, and how many of them there are."""
    asked = mapping(scorecard.get("asked"))
    for part in rule.rests_on:
        yield part, mapping(scorecard.get("answers") if part == "answers" else asked.get(part))


def failures(rule: Rule, scorecard: Mapping[str, Any]) -> str | None:
    """What failed on the way, so that no score can be trusted; None: nothing did."""
    for part, counts in _counts(rule, scorecard):
        expected, scored, failed = (counts.get(key, 0) for key in ("expected", "scored", "failed"))
        if failed != 0 or scored != expected:
            return f"{failed} of {expected} {_PARTS[part][0]} failed: errors are not scores"
    judged = mapping(mapping(mapping(scorecard.get("judge")).get("parts")).get(rule.judged))
    if judged.get("failed", 0) != 0:
        return f"{judged['failed']} of {judged.get('expected')} verdicts of the judge failed: errors are not scores"
    return None


def unasked(rule: Rule, scorecard: Mapping[str, Any]) -> str | None:
    """Why a criterion rests on no answer at all; None: it rests on some."""
    for _, counts in _counts(rule, scorecard):
        if isinstance(counts.get("expected"), int) and counts["expected"] > 0:
            return None
    return _PARTS[rule.rests_on[0]][1] if rule.rests_on else None


def undecided(rule: Rule, scorecard: Mapping[str, Any]) -> str | None:
    """Why the scorecard itself says that it cannot tell; None: it does not say so."""
    told = scorecard.get("undecided")
    if told is not None and not isinstance(told, Mapping):
        return "what is undecided cannot be read in the scorecard"
    return str(told[rule.name] or "undecided") if told and rule.name in told else None


def measure_fault(rule: Rule, metric: Any) -> str | None:
    """Why this is no measure; None when it is one."""
    if not isinstance(metric, Mapping) or not {"value", "low", "high", "n"} <= set(metric):
        return "missing in the scorecard"
    for key in ("value", "low", "high"):
        number = metric[key]
        if number is None:
            continue
        if isinstance(number, bool) or not isinstance(number, int | float):
            return f"{key} is no number"
        if not -_MOST < number < _MOST:
            return f"{key} is {number:.3g}" if isinstance(number, float) else f"{key} is beyond all measure"
        if rule.kind in ("rate", "worst") and not -1e-9 <= number <= 1 + 1e-9:
            return f"{key} is {number:g}: no share"
    if metric["value"] is not None and count_of(metric) < 1:
        return "a score that rests on nothing (n is 0)"
    low, high = metric["low"], metric["high"]
    return "its interval ends before it begins" if low is not None and high is not None and low > high else None
