"""The gate: is this candidate good enough for its phase?

GO needs proof, not luck: a criterion passes when its whole 95 % interval is on the good side of the threshold, fails
when the whole interval is on the bad side, and is INCONCLUSIVE in between. What is missing, NaN, or computed although
answers failed is NO-GO; what is honestly unknown (a price) is INCONCLUSIVE.

Not covered: questions that are easier than real ones, golden questions that leaked into prompts, held-out examples that
are easier than what people will ask, and each criterion is tested alone (five 95 % intervals do not make a 95 %
verdict).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from components.errors import TerminalError

__all__ = ["CRITERIA", "Criterion", "GateReport", "Verdict", "criteria_of", "decide"]

Verdict = Literal["GO", "NO-GO", "INCONCLUSIVE"]

_MIN_FOR_BOOTSTRAP = 10  # below, a bootstrap interval of a mean is too narrow to decide on
_Z95 = 1.959963984540054


@dataclass(frozen=True)
class _Rule:
    """`name` is both the metric of the scorecard and the threshold of the recipe.

    kind: `factor`: the exponential of a mean, whose interval is as wide on both sides by a factor; `whole`: computed on
    all there is, so that it may come without an interval. `below`: the threshold itself is not good enough.
    """

    name: str
    at_least: bool
    kind: Literal["rate", "mean", "percentile", "cost", "factor", "whole"]
    from_answers: bool
    of: str = "questions"
    below: bool = False


_MVP = (
    _Rule("recall_at_5", True, "rate", False),
    _Rule("mrr", True, "mean", False),
    _Rule("persona_checks", True, "rate", True),
    _Rule("latency_p95_seconds", False, "percentile", True),
    _Rule("cost_per_query_usd", False, "cost", True),
)
CRITERIA: Mapping[str, tuple[_Rule, ...]] = {
    "mvp": _MVP,
    "optimize": (
        *_MVP,
        _Rule("train_loss", False, "whole", False, "training examples"),
        _Rule("held_out_perplexity", False, "factor", False, "held-out examples"),
        _Rule("perplexity_against_base", False, "factor", False, "held-out examples", below=True),
    ),
}
"""Phase -> its closed list of criteria."""


@dataclass(frozen=True)
class Criterion:
    """One criterion, decided. `threshold` is a least value when `at_least`, else a greatest one.

    `low`, `high`: 95 % interval. `needed`: about how many questions would decide it, when more of them would.
    """

    name: str
    verdict: Verdict
    value: float | None
    low: float | None
    high: float | None
    threshold: float
    at_least: bool
    n: int
    reason: str
    needed: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON, field by field."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Criterion:
        """The criterion that `to_dict` wrote."""
        return cls(**data)


@dataclass(frozen=True)
class GateReport:
    """NO-GO if any criterion is, else INCONCLUSIVE if any is, else GO."""

    phase: str
    verdict: Verdict
    criteria: tuple[Criterion, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON: `{phase, verdict, criteria: [...]}`."""
        criteria = [criterion.to_dict() for criterion in self.criteria]
        return {"phase": self.phase, "verdict": self.verdict, "criteria": criteria}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> GateReport:
        """The report that `to_dict` wrote."""
        criteria = tuple(Criterion.from_dict(criterion) for criterion in data["criteria"])
        return cls(data["phase"], data["verdict"], criteria)


def decide(*, phase: str, thresholds: Mapping[str, float], scorecard: Mapping[str, Any]) -> GateReport:
    """Hold a scorecard (as `components.evaluate.build_scorecard` makes it) against the thresholds of a phase.

    Raises TerminalError for a phase without criteria, or a criterion without a threshold.
    """
    rules = criteria_of(phase)
    missing = [rule.name for rule in rules if rule.name not in thresholds]
    if missing:
        raise TerminalError(f"The gate of phase {phase} lacks thresholds: gate.{', gate.'.join(missing)}.")
    criteria = tuple(_decide(rule, float(thresholds[rule.name]), scorecard) for rule in rules)
    verdicts = {criterion.verdict for criterion in criteria}
    verdict: Verdict = "NO-GO" if "NO-GO" in verdicts else "INCONCLUSIVE" if "INCONCLUSIVE" in verdicts else "GO"
    return GateReport(phase, verdict, criteria)


def criteria_of(phase: str) -> tuple[_Rule, ...]:
    """What is decided in a phase. Raises TerminalError for a phase without criteria."""
    if phase not in CRITERIA:
        raise TerminalError(f"No gate for phase {phase!r}; expected one of: {', '.join(CRITERIA)}.")
    return CRITERIA[phase]


def _decide(rule: _Rule, threshold: float, scorecard: Mapping[str, Any]) -> Criterion:
    metric = scorecard.get("metrics", {}).get(rule.name)
    fault = _fault(rule, metric, scorecard.get("answers", {}))
    if fault:
        return Criterion(rule.name, "NO-GO", None, None, None, threshold, rule.at_least, _count(metric), fault)
    value, low, high, n = (metric[key] for key in ("value", "low", "high", "n"))
    verdict, reason, needed = _weigh(rule, threshold, value, low, high, n)
    return Criterion(rule.name, verdict, value, low, high, threshold, rule.at_least, n, reason, needed)


def _count(metric: Any) -> int:
    return metric["n"] if isinstance(metric, Mapping) and isinstance(metric.get("n"), int) else 0


def _fault(rule: _Rule, metric: Any, answers: Mapping[str, Any]) -> str | None:
    """Why no score can be trusted here; None when it can."""
    if rule.from_answers:
        if not answers.get("expected"):
            return "no answer was asked for: set evaluate.answers"
        if answers.get("failed") or answers.get("scored") != answers["expected"]:
            return f"{answers.get('failed')} of {answers['expected']} answers failed: errors are not scores"
    if not isinstance(metric, Mapping) or not {"value", "low", "high", "n"} <= set(metric):
        return "missing in the scorecard"
    for key in ("value", "low", "high"):
        number = metric[key]
        if number is not None and (isinstance(number, bool) or not isinstance(number, int | float)):
            return f"{key} is no number"
        if number is not None and not math.isfinite(number):
            return f"{key} is {number}"
    if metric["value"] is not None and _count(metric) < 1:
        return "a score that rests on nothing (n is 0)"
    return None


def _weigh(
    rule: _Rule, threshold: float, value: float | None, low: float | None, high: float | None, n: int
) -> tuple[Verdict, str, int | None]:
    if value is None:
        unknown = {
            "cost": "the price of the model is unknown",
            "percentile": "no time was measured",
            "factor": f"no {rule.of} to measure it on",
            "whole": "it was not measured",
        }.get(rule.kind, "no question of this kind")
        return "INCONCLUSIVE", unknown, None
    if rule.kind in ("mean", "factor") and n < _MIN_FOR_BOOTSTRAP:
        more = f": it takes {_MIN_FOR_BOOTSTRAP} or more" if rule.kind == "factor" else ""
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
    return "INCONCLUSIVE", f"meets {side} {threshold:g}, but {n} {rule.of} cannot show it{more}", needed


def _needed(rule: _Rule, threshold: float, value: float, good: float | None, n: int) -> int | None:
    """How many questions would show it, if the score stayed what it is."""
    if rule.kind == "rate":
        return _needed_for_rate(value, threshold)
    if good is None:
        # An upper bound of a 95th percentile exists once 0.95 ** n <= 0.025.
        return math.ceil(math.log(0.025) / math.log(0.95))
    if rule.kind == "percentile":
        return None  # depends on the shape of the tail
    if rule.kind == "factor":
        value, good, threshold = (math.log(max(number, 1e-300)) for number in (value, good, threshold))
    # The half-width of an interval of a mean shrinks with the square root of n.
    return math.ceil(n * ((value - good) / (value - threshold)) ** 2)


def _needed_for_rate(rate: float, threshold: float) -> int | None:
    """Smallest n whose Wilson lower bound, at this rate, reaches the threshold; None beyond a million."""

    def shows(n: int) -> bool:
        z2 = _Z95 * _Z95
        half = _Z95 * math.sqrt(rate * (1 - rate) / n + z2 / (4 * n * n))
        return (rate + z2 / (2 * n) - half) / (1 + z2 / n) >= threshold

    high = 1
    while not shows(high):
        high *= 2
        if high > 1_000_000:
            return None
    low = high // 2
    while low + 1 < high:
        middle = (low + high) // 2
        low, high = (low, middle) if shows(middle) else (middle, high)
    return high
