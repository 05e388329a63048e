"""The gate on what was said: personality, the COSTITUZIONE, tasks, copies. An untrusted judge proves nothing."""

from __future__ import annotations

from typing import Any

import pytest

from components.evaluate import Question, RankedFile, build_scorecard, score_retrieval, wilson_interval
from components.registry import Criterion, GateParams, GateReport, decide, render_gate
from tests.evaluate.spoken import DOUBTED, TRUSTED
from tests.registry.conftest import make_scorecard

THRESHOLDS = GateParams().model_dump()


def decided(phase: str = "mvp", **said: Any) -> dict[str, Criterion]:
    report = decide(phase=phase, thresholds=THRESHOLDS, scorecard=make_scorecard(said=said))
    return {criterion.name: criterion for criterion in report.criteria}


def test_a_candidate_that_sounds_like_her_and_keeps_every_rule_goes() -> None:
    found = decided()
    assert found["sounds_like_her"].verdict == found["constitution"].verdict == "GO"


def test_one_that_does_not_is_no_go() -> None:
    found = decided(sounds=120, calm=120)
    assert found["sounds_like_her"].verdict == "NO-GO"
    assert found["constitution"].verdict == "NO-GO"
    assert found["constitution"].reason == "rule calm: the whole interval misses at least 0.9"


@pytest.mark.parametrize("sounds", [0, 100, 200], ids=lambda n: f"{n} yes of 200")
def test_the_word_of_a_judge_that_is_not_trusted_does_not_count_either_way(sounds: int) -> None:
    found = decided(sounds=sounds, agreement=DOUBTED)["sounds_like_her"]
    assert (found.verdict, found.value) == ("INCONCLUSIVE", None)
    assert found.reason == "the judge's word does not count: kappa is 0.10; it takes 0.60"


def test_nobody_has_checked_the_judge() -> None:
    found = decided(agreement=None)
    assert found["sounds_like_her"].reason == (
        "the judge's word does not count: nobody has checked this judge: cervella label RECIPE"
    )
    assert found["constitution"].reason.startswith("rule calm: the judge's word does not count: nobody")


def test_a_rule_of_code_that_is_broken_is_broken_whatever_the_judge_is_worth() -> None:
    found = decided(feminine=100, agreement=DOUBTED)["constitution"]
    assert (found.verdict, found.value, found.n) == ("NO-GO", 0.5, 200)
    assert found.reason == "rule feminine: the whole interval misses at least 0.9"


def test_a_rule_that_is_broken_fails_although_another_has_the_lower_bound() -> None:
    """A rule asked of few answers has the lowest bound, and hides no rule that is broken for certain."""
    card = make_scorecard(said={"calm": 150})
    few = {"value": 1.0, "low": wilson_interval(3, 3)[0], "high": 1.0, "n": 3}
    card["rules"].append({"id": "rare", "measure": few})
    card["metrics"]["constitution"] = few
    found = next(
        one for one in decide(phase="mvp", thresholds=THRESHOLDS, scorecard=card).criteria if one.name == "constitution"
    )
    assert found.verdict == "NO-GO"
    assert "rule calm" in found.reason


def test_failed_answers_are_no_go_before_anything_else() -> None:
    found = decided(failed=3, agreement=DOUBTED)
    for name in ("sounds_like_her", "constitution"):
        assert found[name].verdict == "NO-GO"
        assert found[name].reason == "3 of 200 answers to prompts of personality failed: errors are not scores"
    assert found["persona_checks"].verdict == "GO"


def test_verdicts_that_never_came_are_no_go() -> None:
    card = make_scorecard()
    card["judge"]["parts"]["sounds"] |= {"scored": 199, "failed": 1}
    found = {one.name: one for one in decide(phase="mvp", thresholds=THRESHOLDS, scorecard=card).criteria}
    assert found["sounds_like_her"].reason == "1 of 200 verdicts of the judge failed: errors are not scores"
    assert found["sounds_like_her"].verdict == "NO-GO"
    assert found["constitution"].verdict == "GO"


def test_a_candidate_that_nobody_asked_is_inconclusive_and_says_what_to_set() -> None:
    question = Question("q", "Dove?", "it", "fact", ("a.md",))
    retrieval = score_retrieval([question], {"q": [RankedFile("b.md")]})
    card = build_scorecard(retrieval=retrieval, answers=[], expected=0)
    found = {one.name: one for one in decide(phase="optimize", thresholds=THRESHOLDS, scorecard=card).criteria}
    of_said = ("sounds_like_her", "constitution", "tasks_passed")
    assert {name: (found[name].verdict, found[name].reason) for name in of_said} == {
        "sounds_like_her": ("INCONCLUSIVE", "not asked: set evaluate.personality"),
        "constitution": ("INCONCLUSIVE", "not asked: set evaluate.personality"),
        "tasks_passed": ("INCONCLUSIVE", "not asked: set evaluate.tasks"),
    }


def test_a_close_call_of_the_judge_asks_for_prompts_and_labels() -> None:
    found = decided(prompts=40, sounds=38, calm=40, feminine=40)["sounds_like_her"]
    assert found.verdict == "INCONCLUSIVE"
    assert found.needed is not None
    assert found.needed > 40
    assert found.reason.endswith("would, and more labels where errors of the judge are corrected")


@pytest.mark.parametrize(
    ("tasks", "verdict", "reason"),
    [
        (20, "GO", "20 of 20 tasks passed, and of each tier enough"),
        (15, "GO", "15 of 20 tasks passed, and of each tier enough"),
        (14, "INCONCLUSIVE", "conditional: simple tasks only (14 of 20 passed)"),
        (10, "INCONCLUSIVE", "conditional: simple tasks only (10 of 20 passed)"),
        (9, "NO-GO", "9 of 20 tasks passed: the suite says NO-GO"),
    ],
    ids=lambda value: str(value) if isinstance(value, int) else None,
)
def test_tasks_go_from_fifteen_on_and_are_conditional_from_ten(tasks: int, verdict: str, reason: str) -> None:
    found = decided("optimize", tasks=tasks)["tasks_passed"]
    assert (found.verdict, found.reason) == (verdict, reason)


@pytest.mark.parametrize(
    ("low", "high", "suite", "verdict"),
    [
        (16, 18, "GO", "GO"), (14, 16, "UNDECIDED", "INCONCLUSIVE"), (16, 16, "GO", "GO"), (3, 8, "NO-GO", "NO-GO"),
        (None, None, "GO", "NO-GO"), (20, 20, None, "NO-GO"), (20, 20, "SURE", "NO-GO"),
    ],
)  # fmt: skip
def test_a_range_of_tasks_is_weighed_on_the_side_that_matters(low: Any, high: Any, suite: Any, verdict: str) -> None:
    card = make_scorecard()
    card["metrics"]["tasks_passed"] = {"value": low, "low": low, "high": high, "n": 20}
    card["tasks"]["verdict"] = suite
    report = decide(phase="optimize", thresholds=THRESHOLDS, scorecard=card)
    assert next(one for one in report.criteria if one.name == "tasks_passed").verdict == verdict


def test_more_tasks_than_the_suite_asks_for_can_be_asked_of_the_candidate() -> None:
    report = decide(phase="optimize", thresholds=THRESHOLDS | {"tasks_passed": 18}, scorecard=make_scorecard(
        said={"tasks": 16}
    ))  # fmt: skip
    found = next(one for one in report.criteria if one.name == "tasks_passed")
    assert (found.verdict, found.reason) == ("NO-GO", "16 of 20 tasks passed: misses at least 18")
    assert ">= 18" in render_gate(report)


@pytest.mark.parametrize(
    ("copied", "n", "verdict"),
    [(0, 73, "GO"), (0, 72, "INCONCLUSIVE"), (1, 100, "INCONCLUSIVE"), (20, 100, "NO-GO")],
    ids=lambda value: str(value),
)
def test_few_copies_must_be_shown_too(copied: int, n: int, verdict: str) -> None:
    card = make_scorecard()
    low, high = wilson_interval(copied, n)
    card["metrics"]["copied_answers"] = {"value": copied / n, "low": low, "high": high, "n": n}
    found = next(
        one for one in decide(phase="optimize", thresholds=THRESHOLDS, scorecard=card).criteria
        if one.name == "copied_answers"
    )  # fmt: skip
    assert found.verdict == verdict
    if (copied, n) == (0, 72):
        assert found.needed == 73


def test_a_report_with_all_of_it_survives_the_way_through_json() -> None:
    report = decide(phase="optimize", thresholds=THRESHOLDS, scorecard=make_scorecard(said={"agreement": DOUBTED}))
    assert GateReport.from_dict(report.to_dict()) == report
    assert all(len(line) <= 100 for line in render_gate(report).splitlines())


def test_the_double_is_trusted() -> None:
    assert all(group["trusted"] for group in TRUSTED.values())
