"""A score and its interval against a threshold: GO, NO-GO or INCONCLUSIVE, why, and what would decide it."""

from __future__ import annotations

import math
from typing import Any, Literal

from components.registry.criteria import Rule
from components.registry.needed import needed_at_rate

__all__ = ["Verdict", "Weighed", "weigh", "weigh_tasks"]

Verdict = Literal["GO", "NO-GO", "INCONCLUSIVE"]
Weighed = tuple[Verdict, str, int | None]
"""Verdict, reason, and about how many questions would decide it, where more of them would."""

_MIN_FOR_BOOTSTRAP = 10  # below, a bootstrap interval of a mean is too narrow to decide on


def weigh_tasks(threshold: float, low: float | None, high: float | None, n: int, suite: Any) -> Weighed:
    """`low` tasks passed for certain, `high` at most; `suite`: what the task suite says of them."""
    if low is None or high is None or suite not in ("GO", "CONDITIONAL", "NO-GO", "UNDECIDED"):
        return "NO-GO", "missing in the scorecard", None
    passed = f"{low:g} of {n}" if low == high else f"{low:g} to {high:g} of {n}"
    if suite == "NO-GO" or (suite == "GO" and high < threshold):
        more = ": the suite says NO-GO" if suite == "NO-GO" else f": misses at least {threshold:g}"
        return "NO-GO", f"{passed} tasks passed{more}", None
    if suite == "CONDITIONAL":
        return "INCONCLUSIVE", f"conditional: simple tasks only ({passed} passed)", None
    if suite == "GO" and low >= threshold:
        return "GO", f"{passed} tasks passed, and of each tier enough", None
    return "INCONCLUSIVE", f"{passed} tasks passed: the judge could not tell of the others", None


def weigh(rule: Rule, threshold: float, value: float | None, low: float | None, high: float | None, n: int) -> Weighed:
    """Hold one score against a least value, or a greatest one, as its rule has it."""
    if value is None:
        unknown = {
            "cost": "the price of the model is unknown",
            "percentile": "no time was measured",
            "mean": f"no {rule.of} to measure it on",
            "factor": f"no {rule.of} to measure it on",
            "whole": "it was not measured",
        }.get(rule.kind, "no verdict that counts" if rule.judged else "no question of this kind")
        return "INCONCLUSIVE", unknown, None
    if rule.kind in ("mean", "factor") and n < _MIN_FOR_BOOTSTRAP:
        more = f": it takes {_MIN_FOR_BOOTSTRAP} or more" if rule.of != "questions" else ""
        return "INCONCLUSIVE", f"{n} {rule.of} are too few for an interval{more}", _MIN_FOR_BOOTSTRAP
    side = "below" if rule.below else "at least" if rule.at_least else "at most"

    def meets(number: float) -> bool:
        if rule.at_least:
            return number >= threshold
        return number < threshold if rule.below else number <= threshold

    if rule.kind == "whole" and low is None and high is None:
        verdict: Verdict = "GO" if meets(value) else "NO-GO"
        return verdict, f"{'is' if meets(value) else 'misses'} {side} {threshold:g}, on all {n} {rule.of}", None
    good, bad = (low, high) if rule.at_least else (high, low)
    if good is not None and meets(good):
        return "GO", f"the whole interval is {side} {threshold:g}", None
    if bad is not None and not meets(bad):
        return "NO-GO", f"the whole interval misses {side} {threshold:g}", None
    if (value <= threshold) if rule.at_least else (value >= threshold):
        return "INCONCLUSIVE", f"misses {side} {threshold:g}, but so narrowly that {n} {rule.of} cannot tell", None
    needed = _needed(rule, threshold, value, good, n)
    more = f"; about {needed} would" if needed else "; more would"
    if rule.judged:
        more += ", and more labels where errors of the judge are corrected"
    return "INCONCLUSIVE", f"meets {side} {threshold:g}, but {n} {rule.of} cannot show it{more}", needed


def _needed(rule: Rule, threshold: float, value: float, good: float | None, n: int) -> int | None:
    """How many questions would show it, if the score stayed what it is."""
    if rule.kind in ("rate", "worst"):
        return needed_at_rate(value, threshold, rule.at_least)
    if good is None:
        # An upper bound of a 95th percentile exists once 0.95 ** n <= 0.025.
        return math.ceil(math.log(0.025) / math.log(0.95))
    if rule.kind == "percentile":
        return None  # depends on the shape of the tail
    if rule.kind == "factor":
        value, good, threshold = (math.log(max(number, 1e-300)) for number in (value, good, threshold))
    # The half-width of an interval of a mean shrinks with the square root of n.
    wider = abs(value - good) / max(abs(value - threshold), 1e-300)
    return math.ceil(n * wider**2) if wider < 1000 else None
