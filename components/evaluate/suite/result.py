"""Points of the tasks and what they amount to: GO, CONDITIONAL, NO-GO, or UNDECIDED while verdicts are missing.

Points are a range: from what is certain to what the missing verdicts could add. A judge that is not trusted decides
nothing. Not covered: whether the points of a task's rules are dealt out justly; that is the suite's affair.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Literal

from components.evaluate.judged import Judged, Verdict, task_rule_id
from components.evaluate.suite.model import Task, TaskSuite

__all__ = ["SuiteVerdict", "suite_result"]

SuiteVerdict = Literal["GO", "CONDITIONAL", "NO-GO", "UNDECIDED"]
Range = tuple[int, int]


def suite_result(
    judged: Iterable[Judged], suite: TaskSuite, *, trusted: bool, failed: Collection[str] = (),
) -> dict[str, Any]:  # fmt: skip
    """The scorecard's `tasks`, of the candidate's verdicts; those of other contestants are left out.

    Args:
        judged: verdicts of code and of the judge, in any order; of verdicts on the same rule the last counts.
        suite: the tasks.
        trusted: whether the judge's word counts; if not, what it was asked stays undecided.
        failed: ids of tasks whose answer failed. They are undecided, never 0 points.

    Returns:
        `passed` ([certain, possible]), `of`, `verdict`, `tiers` (name -> passed, of, passing, needed), `tasks` (id,
        name, tier, points, passed true, false or null, failed, rules), `go` and `conditional` of the file.
    """
    verdicts: dict[tuple[str, str], Judged] = {
        (one.item, one.question): one for one in judged if one.contestant == "candidate"
    }
    rows = [_task(task, verdicts, suite, trusted=trusted, failed=task.item.id in failed) for task in suite.tasks]
    tiers = {
        tier: {
            "passed": list(_passed(row for row in rows if row["tier"] == tier)),
            "of": sum(row["tier"] == tier for row in rows),
            "passing": points,
            "needed": suite.needed.get(tier, 0),
        }
        for tier, points in suite.passing.items()
    }
    passed = _passed(rows)
    return {
        "passed": list(passed),
        "of": len(rows),
        "verdict": _verdict(passed, tiers, suite),
        "go": suite.go,
        "conditional": suite.conditional,
        "tiers": tiers,
        "tasks": rows,
    }


def _task(
    task: Task, verdicts: Mapping[tuple[str, str], Judged], suite: TaskSuite, *, trusted: bool, failed: bool
) -> dict[str, Any]:
    low = high = 0
    rules = []
    for number, rule in enumerate(task.rules):
        one = None if failed else verdicts.get((task.item.key, task_rule_id(number)))
        verdict: Verdict | None = one.verdict if one is not None and (trusted or one.by == "code") else None
        low += rule.points * (verdict == "yes")
        high += rule.points * (verdict != "no")
        rules.append(
            {
                "what": rule.what, "points": rule.points, "by": "code" if rule.code else "judge", "verdict": verdict,
                "why": one.rationale if one is not None else "",
            }
        )  # fmt: skip
    passing = suite.passing[task.item.tier]
    return {
        "id": task.item.id,
        "name": task.item.kind,
        "tier": task.item.tier,
        "points": [low, high],
        "passed": True if low >= passing else False if high < passing else None,
        "failed": failed,
        "rules": rules,
    }


def _passed(rows: Iterable[Mapping[str, Any]]) -> Range:
    """How many passed for certain, and how many may have."""
    outcomes = [row["passed"] for row in rows]
    return outcomes.count(True), outcomes.count(True) + outcomes.count(None)


def _verdict(passed: Range, tiers: Mapping[str, Mapping[str, Any]], suite: TaskSuite) -> SuiteVerdict:
    """The verdict if it is the same at both ends of the ranges."""
    ends: set[SuiteVerdict] = set()
    for end in (0, 1):
        enough = all(tier["passed"][end] >= tier["needed"] for tier in tiers.values())
        if passed[end] >= suite.go and enough:
            ends.add("GO")
        else:
            ends.add("CONDITIONAL" if passed[end] >= suite.conditional else "NO-GO")
    return ends.pop() if len(ends) == 1 else "UNDECIDED"
