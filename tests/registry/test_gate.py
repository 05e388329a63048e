"""The gate: proof, not luck; missing is no; unknown is unknown."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from components.errors import TerminalError
from components.registry import CRITERIA, Criterion, GateParams, GateReport, decide, gate_markdown, render_gate

THRESHOLDS = GateParams().model_dump()
MVP = [rule.name for rule in CRITERIA["mvp"]]


def verdicts(scorecard: Any, **thresholds: float) -> dict[str, Criterion]:
    report = decide(phase="mvp", thresholds=THRESHOLDS | thresholds, scorecard=scorecard)
    return {criterion.name: criterion for criterion in report.criteria}


def metric(scorecard: Any, name: str, **values: Any) -> Any:
    scorecard["metrics"][name] = scorecard["metrics"][name] | values
    return scorecard


def test_a_proven_candidate_goes(scorecard: Any) -> None:
    report = decide(phase="mvp", thresholds=THRESHOLDS, scorecard=scorecard)
    assert report.verdict == "GO"
    assert {criterion.verdict for criterion in report.criteria} == {"GO"}


def test_every_threshold_of_the_recipe_is_a_criterion_and_back() -> None:
    assert {rule.name for rules in CRITERIA.values() for rule in rules} == set(GateParams.model_fields) - {"groups"}


@pytest.mark.parametrize("name", MVP)
def test_missing_is_no_go(scorecard: Any, name: str) -> None:
    del scorecard["metrics"][name]
    report = decide(phase="mvp", thresholds=THRESHOLDS, scorecard=scorecard)
    assert report.verdict == "NO-GO"
    assert [c.name for c in report.criteria if c.verdict == "NO-GO"] == [name]


@pytest.mark.parametrize("key", ["value", "low", "high"])
@pytest.mark.parametrize("bad", [math.nan, math.inf, "0.9", True], ids=["nan", "inf", "text", "boolean"])
def test_what_is_no_number_is_no_go(scorecard: Any, key: str, bad: Any) -> None:
    found = verdicts(metric(scorecard, "mrr", **{key: bad}))["mrr"]
    assert found.verdict == "NO-GO"
    assert found.value is None


def test_a_score_that_rests_on_nothing_is_no_go(scorecard: Any) -> None:
    assert verdicts(metric(scorecard, "recall_at_5", n=0))["recall_at_5"].verdict == "NO-GO"


def test_unknown_cost_is_inconclusive_and_holds_the_whole_gate_back(scorecard: Any) -> None:
    scorecard = metric(scorecard, "cost_per_query_usd", value=None, low=None, high=None)
    report = decide(phase="mvp", thresholds=THRESHOLDS, scorecard=scorecard)
    assert report.verdict == "INCONCLUSIVE"
    assert [c.name for c in report.criteria if c.verdict == "INCONCLUSIVE"] == ["cost_per_query_usd"]


def test_failed_answers_are_no_go_for_what_rests_on_answers(scorecard: Any) -> None:
    scorecard["answers"] |= {"scored": 79, "failed": 1}
    found = verdicts(scorecard)
    assert {name for name, criterion in found.items() if criterion.verdict == "NO-GO"} == {
        "persona_checks",
        "latency_p95_seconds",
        "cost_per_query_usd",
    }
    assert "1 of 80" in found["persona_checks"].reason


def test_no_answers_asked_for_is_no_go(scorecard: Any) -> None:
    scorecard["answers"] |= {"expected": 0, "scored": 0, "failed": 0}
    assert "evaluate.answers" in verdicts(scorecard)["persona_checks"].reason


# 95 % Wilson lower bounds reach 0.90 from these counts on: published numbers, see the docstring of wilson_interval.
@pytest.mark.parametrize(("right", "n"), [(35, 35), (50, 50), (59, 60), (78, 80), (96, 100), (189, 200), (281, 300)])
def test_ninety_percent_is_shown_from_these_counts_on(scorecard: Any, right: int, n: int) -> None:
    from components.evaluate import wilson_interval

    for passed, expected in ((right, "GO"), (right - 1, "INCONCLUSIVE")):
        low, high = wilson_interval(passed, n)
        changed = metric(scorecard, "persona_checks", value=passed / n, low=low, high=high, n=n)
        assert verdicts(changed)["persona_checks"].verdict == expected


def test_inconclusive_says_how_many_questions_would_do(scorecard: Any) -> None:
    changed = metric(scorecard, "persona_checks", value=1.0, low=0.676, high=1.0, n=8)
    found = verdicts(changed)["persona_checks"]
    assert (found.verdict, found.needed) == ("INCONCLUSIVE", 35)
    changed = metric(scorecard, "mrr", value=0.7, low=0.5, high=0.9, n=20)
    assert verdicts(changed)["mrr"].needed == 80  # half-width 0.2 must become 0.1: four times as many
    changed = metric(scorecard, "latency_p95_seconds", value=1.0, low=0.5, high=None, n=8)
    assert verdicts(changed)["latency_p95_seconds"].needed == 72


def test_narrow_miss_and_clear_miss(scorecard: Any) -> None:
    narrow = verdicts(metric(scorecard, "mrr", value=0.58, low=0.5, high=0.66, n=40))["mrr"]
    assert (narrow.verdict, narrow.needed) == ("INCONCLUSIVE", None)
    clear = verdicts(metric(scorecard, "mrr", value=0.5, low=0.42, high=0.59, n=40))["mrr"]
    assert clear.verdict == "NO-GO"
    slow = verdicts(metric(scorecard, "latency_p95_seconds", value=15.0, low=12.0, high=None, n=8))
    assert slow["latency_p95_seconds"].verdict == "NO-GO"


def test_a_mean_of_few_questions_decides_nothing(scorecard: Any) -> None:
    found = verdicts(metric(scorecard, "mrr", value=1.0, low=1.0, high=1.0, n=3))["mrr"]
    assert found.verdict == "INCONCLUSIVE"


def test_a_local_model_costs_nothing_and_goes(scorecard: Any) -> None:
    changed = metric(scorecard, "cost_per_query_usd", value=0.0, low=0.0, high=0.0)
    assert verdicts(changed, cost_per_query_usd=0.0)["cost_per_query_usd"].verdict == "GO"


def test_unknown_phase_and_missing_threshold_are_named() -> None:
    with pytest.raises(TerminalError, match="'later'; expected one of: mvp"):
        decide(phase="later", thresholds=THRESHOLDS, scorecard={})
    with pytest.raises(TerminalError, match="gate.mrr"):
        decide(phase="mvp", thresholds={k: v for k, v in THRESHOLDS.items() if k != "mrr"}, scorecard={})


def test_an_empty_scorecard_is_no_go() -> None:
    report = decide(phase="mvp", thresholds=THRESHOLDS, scorecard={})
    assert report.verdict == "NO-GO"
    assert all(criterion.verdict == "NO-GO" for criterion in report.criteria)


@pytest.mark.parametrize("render", [render_gate, gate_markdown])
def test_both_reports_name_every_criterion_and_the_verdict(scorecard: Any, render: Any) -> None:
    report = decide(phase="mvp", thresholds=THRESHOLDS, scorecard=metric(scorecard, "mrr", value=math.nan))
    text = render(report)
    assert "NO-GO" in text.splitlines()[0]
    assert all(name in text for name in MVP)
    assert "nan" in text


def test_a_report_survives_the_way_through_json(scorecard: Any) -> None:
    report = decide(phase="mvp", thresholds=THRESHOLDS, scorecard=metric(scorecard, "mrr", value=None))
    assert GateReport.from_dict(json.loads(json.dumps(report.to_dict()))) == report
