"""The scorecard: errors are not scores, unknown is not zero."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from components.errors import TerminalError
from components.evaluate import (
    AnswerRecord,
    Question,
    RankedFile,
    build_scorecard,
    render_scorecard,
    score_retrieval,
    scorecard_markdown,
)

ASKED = [Question(f"q{n}", "Dove?", "it", "fact", ("a.md",) if n < 3 else ()) for n in range(4)]
RETRIEVAL = score_retrieval(ASKED, {question.id: [RankedFile("a.md", score=0.8)] for question in ASKED})
TEXT = "Sono pronta: la nota dice che la scelta è nella memoria."


def record(number: int, **changes: Any) -> AnswerRecord:
    given: dict[str, Any] = {
        "text": TEXT,
        "found": True,
        "sources": ["a.md"],
        "cited": ["a.md"],
        "seconds": 1.0 + number,
        "cost_usd": 0.01 * (number + 1),
        "model": "fake/good",
    }
    return AnswerRecord.answered(ASKED[number], **{**given, **changes})


def card(answers: list[AnswerRecord], expected: int = 4) -> Any:
    return build_scorecard(retrieval=RETRIEVAL, answers=answers, expected=expected, search_seconds=[0.01, 0.02, 0.03])


def test_the_numbers_by_hand() -> None:
    answers = [record(0), record(1), record(2, text=TEXT.replace("pronta", "pronto")), record(3, found=False)]
    metrics = card(answers)["metrics"]
    assert metrics["persona_checks"]["value"] == 0.75
    assert metrics["latency_p50_seconds"]["value"] == 2.5
    assert metrics["latency_p95_seconds"]["value"] == pytest.approx(3.85)
    assert metrics["search_p50_ms"]["value"] == pytest.approx(20)
    assert metrics["cost_per_query_usd"]["value"] == pytest.approx(0.025)
    assert metrics["cost_max_usd"]["value"] == pytest.approx(0.04)
    assert metrics["refused_unanswerable"]["value"] == 1.0
    assert metrics["wrongly_refused"]["value"] == 0.0
    assert metrics["mrr"]["value"] == 1.0


def test_errors_and_missing_answers_are_counted_and_in_no_mean() -> None:
    scorecard = card([record(0), AnswerRecord.failed(ASKED[1], "timeout")])
    assert scorecard["answers"] | {"models": []} == {
        "expected": 4,
        "scored": 1,
        "failed": 3,
        "cached": 0,
        "models": [],
        "local": False,
        "errors": [{"id": "q1", "error": "timeout"}],
    }
    assert scorecard["metrics"]["persona_checks"]["n"] == 1
    assert "4 expected, 1 scored, 3 failed" in render_scorecard(scorecard)
    assert "error in q1: timeout" in scorecard_markdown(scorecard)


def test_one_unknown_cost_makes_the_cost_unknown() -> None:
    metrics = card([record(0), record(1, cost_usd=None)])["metrics"]
    assert metrics["cost_per_query_usd"] == {"value": None, "low": None, "high": None, "n": 1}
    assert metrics["cost_max_usd"]["value"] is None


def test_time_that_was_not_measured_is_unknown() -> None:
    metrics = card([record(0), record(1, seconds=None)])["metrics"]
    assert (metrics["latency_p50_seconds"]["value"], metrics["latency_p50_seconds"]["n"]) == (1.0, 1)
    assert card([record(0, seconds=None)])["metrics"]["latency_p95_seconds"]["value"] is None


def test_no_answers_asked_for_leaves_their_scores_out() -> None:
    assert not {"persona_checks", "cost_per_query_usd"} & set(card([], expected=0)["metrics"])


def test_failed_checks_name_the_answer_and_the_words() -> None:
    scorecard = card([record(0, text=TEXT.replace("pronta", "pronto"))])
    assert scorecard["checks"]["feminine"]["failures"] == [{"id": "q0", "why": "masculine: 'Sono pronto'"}]
    assert "check feminine failed in q0: masculine: 'Sono pronto'" in render_scorecard(scorecard)


def test_it_is_plain_json_and_comes_out_the_same_twice() -> None:
    answers = [record(n) for n in range(4)]
    once = json.dumps(card(answers), allow_nan=False)
    assert once == json.dumps(card(answers), allow_nan=False)


def test_records_survive_the_way_through_json() -> None:
    for given in (record(0), AnswerRecord.failed(ASKED[1], "timeout")):
        assert AnswerRecord.from_dict(json.loads(json.dumps(given.to_dict()))) == given


@pytest.mark.parametrize("field", ["seconds", "cost_usd"])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -1.0])
def test_no_record_with_what_is_no_number(field: str, bad: float) -> None:
    with pytest.raises(TerminalError, match=field):
        record(0, **{field: bad})


def test_more_answers_than_questions_or_one_twice_is_an_error() -> None:
    with pytest.raises(TerminalError, match="at most one for each"):
        card([record(0), record(0)])
    with pytest.raises(TerminalError, match="at most one for each"):
        card([record(0), record(1)], expected=1)


def test_both_renderings_show_every_score_with_its_interval() -> None:
    scorecard = card([record(n) for n in range(4)])
    for text in (render_scorecard(scorecard), scorecard_markdown(scorecard)):
        assert all(name in text for name in scorecard["metrics"])
        assert "0.439 to 1.000" in text  # Wilson of 3 of 3
        assert "kind:fact" in text
    assert "| mrr | mean reciprocal rank | 1.000 |" in scorecard_markdown(scorecard)


def test_importing_the_room_is_light() -> None:
    import subprocess
    import sys

    code = "import sys, components.evaluate; print([m for m in ('mlflow', 'numpy', 'pandas') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
