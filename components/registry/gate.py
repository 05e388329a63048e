"""The gate: is this candidate good enough for its phase?

GO needs proof, not luck: a criterion passes when its whole 95 % interval is on the good side of the threshold, fails
when the whole interval is on the bad side, and is INCONCLUSIVE in between. What is missing, NaN, or computed although
answers or verdicts failed is NO-GO. What is honestly unknown (a price), was not asked, or rests on a judge that is not
to be trusted is INCONCLUSIVE: the scorecard says so in `undecided`, with the reason, and the gate believes it.

Not covered: questions that are easier than real ones, golden questions that leaked into prompts, held-out examples that
are easier than what people will ask, labels of people who saw what they wished to see, and each criterion is tested
alone (five 95 % intervals do not make a 95 % verdict; of many groups with a threshold one may miss it by chance).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from components.errors import TerminalError
from components.registry.criteria import CRITERIA, Rule, criteria_of
from components.registry.faults import count_of, failures, mapping, measure_fault, unasked, undecided
from components.registry.weighing import Verdict, Weighed, weigh, weigh_tasks

__all__ = ["CRITERIA", "Criterion", "GateReport", "Verdict", "criteria_of", "decide"]


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


def decide(*, phase: str, thresholds: Mapping[str, Any], scorecard: Mapping[str, Any]) -> GateReport:
    """Hold a scorecard (as `components.evaluate.build_scorecard` makes it) against the thresholds of a phase.

    `thresholds`: a number for each criterion, and `groups` (`{by: {name: {metric: number}}}`, may be left out): each of
    these is a criterion of its own, such as `recall_at_5 of lang:en`, decided as the metric of the whole is.

    Raises TerminalError for a phase without criteria, a criterion without a threshold, or a threshold of a group for
    what is no criterion.
    """
    rules = criteria_of(phase)
    missing = [rule.name for rule in rules if rule.name not in thresholds]
    if missing:
        raise TerminalError(f"The gate of phase {phase} lacks thresholds: gate.{', gate.'.join(missing)}.")
    metrics = mapping(scorecard.get("metrics"))
    criteria = (
        *(_decide(rule, float(thresholds[rule.name]), scorecard, metrics.get(rule.name)) for rule in rules),
        *_decide_groups(rules, mapping(thresholds.get("groups")), scorecard),
    )
    verdicts = {criterion.verdict for criterion in criteria}
    verdict: Verdict = "NO-GO" if "NO-GO" in verdicts else "INCONCLUSIVE" if "INCONCLUSIVE" in verdicts else "GO"
    return GateReport(phase, verdict, criteria)


def _decide_groups(
    rules: tuple[Rule, ...], groups: Mapping[str, Any], scorecard: Mapping[str, Any]
) -> Iterator[Criterion]:
    known = mapping(scorecard.get("groups"))
    by_name = {rule.name: rule for rule in rules}
    for label, metric, threshold in (
        (f"{by}:{name}", metric, float(threshold))
        for by, names in groups.items() for name, metrics in names.items() for metric, threshold in metrics.items()
    ):  # fmt: skip
        if metric not in by_name:
            raise TerminalError(f"gate.groups asks {metric} of {label}; the phase has no such criterion.")
        rule, name = by_name[metric], f"{metric} of {label}"
        if label in known:
            yield _decide(rule, threshold, scorecard, mapping(known[label]).get(metric), name)
        else:
            near = difflib.get_close_matches(label, [str(one) for one in known], n=3, cutoff=0.4) or sorted(known)[:5]
            hint = f"; there are: {', '.join(near)}" if near else "; it has no groups"
            yield _no_go(rule, name, threshold, None, f"no group {label} in the scorecard{hint}")


def _decide(
    rule: Rule, threshold: float, scorecard: Mapping[str, Any], metric: Any, name: str | None = None
) -> Criterion:
    name = name or rule.name
    why = undecided(rule, scorecard)
    fault = failures(rule, scorecard) or (None if why else unasked(rule, scorecard)) or measure_fault(rule, metric)
    if fault:
        return _no_go(rule, name, threshold, metric, fault)
    if rule.kind == "worst" and (broken := _broken(rule, threshold, scorecard)):
        return broken
    value, low, high, n = (metric[key] for key in ("value", "low", "high", "n"))
    weighed: Weighed
    if why:
        weighed = "INCONCLUSIVE", why, None
    elif rule.kind == "tasks":
        weighed = weigh_tasks(threshold, low, high, n, mapping(scorecard.get("tasks")).get("verdict"))
    else:
        weighed = weigh(rule, threshold, value, low, high, n)
    verdict, reason, needed = weighed
    return Criterion(name, verdict, value, low, high, threshold, rule.at_least, n, reason, needed)


def _no_go(rule: Rule, name: str, threshold: float, metric: Any, reason: str) -> Criterion:
    return Criterion(name, "NO-GO", None, None, None, threshold, rule.at_least, count_of(metric), reason)


def _broken(rule: Rule, threshold: float, scorecard: Mapping[str, Any]) -> Criterion | None:
    """The rule of the checklist that is broken for certain, the worst of these, whatever is undecided about others."""
    rules = scorecard.get("rules")
    measures = [
        (mapping(one).get("id"), mapping(mapping(one).get("measure")))
        for one in (rules if isinstance(rules, list | tuple) else ())
    ]
    broken = [
        (name, one) for name, one in measures
        if measure_fault(rule, one) is None and one["high"] is not None and one["high"] < threshold
    ]  # fmt: skip
    if not broken:
        return None
    name, worst = min(broken, key=lambda one: float(one[1]["high"]))
    value, low, high, n = (worst[key] for key in ("value", "low", "high", "n"))
    reason = f"rule {name}: the whole interval misses at least {threshold:g}"
    return Criterion(rule.name, "NO-GO", value, low, high, threshold, True, n, reason)
