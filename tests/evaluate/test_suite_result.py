"""What the points of the tasks amount to: a range until every verdict is there, and what both ends say."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.evaluate.judged import Judged, Verdict
from components.evaluate.said import Item
from components.evaluate.suite import Task, TaskRule, TaskSuite, suite_result
from tests.evaluate.suites import ONE_TASK


def judged(question: int, verdict: Verdict | None, *, by: Any = "judge", contestant: Any = "candidate") -> Judged:
    return Judged(contestant, "task/path", f"task:{question}", by, (verdict,), verdict, rationale="so")


def row(*verdicts: Judged, trusted: bool = True, failed: tuple[str, ...] = ()) -> tuple[list[int], bool | None, str]:
    result = suite_result(verdicts, ONE_TASK, trusted=trusted, failed=failed)
    (task,) = result["tasks"]
    return task["points"], task["passed"], result["verdict"]


def test_points_are_a_range_until_every_verdict_is_there() -> None:
    yes, second, judge = judged(0, "yes", by="code"), judged(1, "yes", by="code"), judged(2, "yes")
    assert row() == ([0, 5], None, "UNDECIDED")
    assert row(yes, second) == ([3, 5], None, "UNDECIDED")
    assert row(yes, second, judge) == ([5, 5], True, "GO")
    assert row(yes, second, judge, trusted=False) == ([3, 5], None, "UNDECIDED")
    assert row(yes, second, judged(2, None)) == ([3, 5], None, "UNDECIDED")
    assert row(yes, second, judged(2, "no")) == ([3, 3], False, "NO-GO")
    assert row(judged(0, "no", by="code")) == ([0, 3], False, "NO-GO")
    assert row(yes, judged(1, None, by="code"), judge) == ([4, 5], True, "GO")


def test_a_failed_answer_is_undecided_and_never_nothing() -> None:
    assert row(judged(0, "no", by="code"), failed=("path",)) == ([0, 5], None, "UNDECIDED")


def test_other_contestants_earn_nothing_for_the_candidate() -> None:
    assert row(judged(0, "no", by="code", contestant="champion")) == ([0, 5], None, "UNDECIDED")


def test_the_result_is_json_and_says_what_each_rule_earned() -> None:
    result = suite_result([judged(0, "yes", by="code")], ONE_TASK, trusted=True)
    assert json.loads(json.dumps(result)) == result
    assert result["tiers"] == {"simple": {"passed": [0, 1], "of": 1, "passing": 4, "needed": 1}}
    assert result["tasks"][0]["rules"][0] == {
        "what": "dice dove", "points": 2, "by": "code", "verdict": "yes", "why": "so"
    }  # fmt: skip
    assert result["tasks"][0]["rules"][2]["verdict"] is None


def graded(passed: dict[str, list[bool | None]], *, needed: dict[str, int], go: int, conditional: int) -> str:
    tasks, verdicts = [], []
    for tier, outcomes in passed.items():
        for number, outcome in enumerate(outcomes):
            item = Item("task", f"{tier}{number}", "?", "it", "x", tier=tier)
            tasks.append(Task(item, (TaskRule(5, "x", ask="?"),)))
            if outcome is not None:
                said: Verdict = "yes" if outcome else "no"
                verdicts.append(Judged("candidate", item.key, "task:0", "judge", (said,), said))
    suite = TaskSuite(tuple(tasks), passing=dict.fromkeys(passed, 5), needed=needed, go=go, conditional=conditional)
    return str(suite_result(verdicts, suite, trusted=True)["verdict"])


@pytest.mark.parametrize(
    ("simple", "medium", "verdict"),
    [
        ([True] * 4, [True] * 2, "GO"),
        ([True] * 4, [True, None], "GO"),
        ([True] * 4, [False] * 2, "CONDITIONAL"),
        ([True] * 2 + [False] * 2, [True] * 2, "CONDITIONAL"),
        ([True] * 3 + [None], [False] * 2, "CONDITIONAL"),
        ([True] * 2 + [False] * 2, [False] * 2, "NO-GO"),
        ([True] * 2 + [False, None], [False] * 2, "UNDECIDED"),
        ([True] * 3 + [False], [True, None], "CONDITIONAL"),
        ([True] * 3 + [None], [True] * 2, "UNDECIDED"),
        ([None] * 4, [None] * 2, "UNDECIDED"),
    ],
    ids=["all", "one may fail", "simple tasks only", "too few simple ones", "one could not help", "too few",
         "enough if it passed", "a tier that cannot be reached", "GO if it passed", "nothing is known"],
)  # fmt: skip
def test_the_verdict_is_what_both_ends_say(simple: list[bool | None], medium: list[bool | None], verdict: str) -> None:
    numbers = {"needed": {"simple": 4}, "go": 5, "conditional": 3}
    assert graded({"simple": simple, "medium": medium}, **numbers) == verdict  # type: ignore[arg-type]


@given(st.lists(st.sampled_from([True, False, None]), min_size=1, max_size=6), st.data())
def test_what_is_decided_stays_so_whatever_the_missing_verdicts_say(outcomes: list[bool | None], data: Any) -> None:
    numbers = {"needed": {"simple": 2}, "go": 4, "conditional": 2}
    before = graded({"simple": outcomes}, **numbers)  # type: ignore[arg-type]
    complete = [data.draw(st.booleans()) if outcome is None else outcome for outcome in outcomes]
    after = graded({"simple": list(complete)}, **numbers)  # type: ignore[arg-type]
    assert after in {"GO", "CONDITIONAL", "NO-GO"}
    assert before in {after, "UNDECIDED"}
