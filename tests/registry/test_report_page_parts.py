"""The parts of the page of a run: what each says, what is missing, and what the real scorecard holds."""

from __future__ import annotations

import re
from dataclasses import replace

from components.evaluate import build_scorecard, score_retrieval
from components.evaluate.said_scores import score_said
from components.evaluate.worst import worst_rows
from components.registry.gate import decide
from components.registry.params import GateParams
from components.registry.report.facts import RunReport
from components.registry.report.page import page
from tests.evaluate.spoken import evaluated
from tests.pages import section
from tests.registry.conftest import make_scorecard
from tests.registry.pages import PARTS, bare, head, open_card
from tests.registry.reports import gate_of, report_of, scorecard, worst


def test_the_parts_stand_in_the_order_in_which_people_ask(whole: str) -> None:
    assert tuple(re.findall(r'<section aria-labelledby="(\w+)">', whole)) == PARTS
    assert re.findall(r'href="#(\w+)"', whole)[1:] == list(PARTS)


def test_personality_shows_the_judge_the_rules_one_by_one_and_who_stands_beside(whole: str) -> None:
    words = section(whole, "personality")
    assert "Suona come Cervella? 97.6% (92.1% to 99.9%) of 100 answers, errors of the judge corrected." in words
    assert "The judge said yes to 97.0% (91.5% to 99.0%) of 100." in words
    assert "family qwen, another than that of the candidate" in words
    assert "verdicts 540 expected, 538 scored, 0 failed, 2 unparsable, 0 tied" in words
    assert "Suona come Cervella? 120 0.840 0.740 to 0.930 94.3%" in words
    assert "femminile Parla di sé al femminile. code 99 passed 1 failed, 0 undecided 99.0%" in words
    assert "partner È una partner, non un'assistente. the judge 98 passed 2 failed, 1 undecided" in words
    assert "the judge said 97.0%" in words
    assert "Score candidate champion control Sounds like her, as the judge said it 97.0%" in words
    assert "52 candidate better, 25 a tie, 21 champion better, 2 could not be read." in words
    assert "the candidate is at 65.8% (58.0% to 73.0%)" in words
    assert "the candidate's have 88 words, the champion's 61" in words


def test_a_judge_that_is_not_believed_does_not_count_and_says_why() -> None:
    card = open_card()
    card["judge"]["warning"] = "The judge and the candidate are of one family."
    card["judge"]["same_family"] = None
    card["warnings"] = ["the bare base model sounds like her too"]
    words = section(page(report_of(card, gate=gate_of(card, phase="mvp"))), "personality")
    assert "Unknown. The judge said yes to 97.0% (91.5% to 99.0%) of 100, which does not count." in words
    assert "no kappa 0.31 is below 0.60" in words
    assert "The judge and the candidate are of one family." in words
    assert "the candidate is of an unknown one" in words
    assert "The bare base model sounds like her too." in words
    card["judge"]["agreement"] = None
    text = page(report_of(card, gate=gate_of(card, phase="mvp")))
    assert "Nobody has checked the judge: its word does not count." in section(text, "personality")
    assert "nobody has checked it" in head(text)
    assert "nobody has labelled answers" in section(text, "unshown")


def test_a_rule_that_is_undecided_is_told_as_such_to_those_who_hear_the_page(whole: str) -> None:
    assert ">Rule femminile: kept in 99.0% (94.6% to 99.8%) of the answers.<" in whole
    text = page(report_of(open_card(), gate=gate_of(open_card(), phase="mvp")))
    assert ">Rule partner: undecided.<" in text and "unknown of the answers" not in text


def test_tasks_are_told_by_tier_and_one_by_one(whole: str) -> None:
    words = section(whole, "tasks")
    assert "GO 16 to 18 of 20 tasks passed; 15 make it GO, 10 make it CONDITIONAL." in words
    assert "simple 10 10 8 4 medium 5 to 7 8 5 3 complex 1 2 0 3" in words
    assert "T17 compito 17 medium 2 to 5 undecided" in words
    assert "Dice la decisione e perché.: not earned, 3 points, by the judge La decisione manca." in words
    card = scorecard()
    card["tasks"]["tasks"][4] |= {"failed": True, "passed": None}
    assert "T04 compito 4 simple 5 no answer" in section(page(report_of(card)), "tasks")


def test_retrieval_is_told_by_group_and_what_was_missed_by_name(whole: str) -> None:
    words = section(whole, "retrieval")
    assert "all 88.8% of 80 96.2% of 80" in words
    assert "project:quaderno" in words
    assert "Says so when no note answers 90.0% 59.6% to 98.2% 10" in words
    assert "q8 Quando si rilascia la versione 8? 9 note/altro.md" in words
    assert "q7 Quando si rilascia la versione 7? not in the first 50" in words
    assert "q6 " not in words


def test_time_money_and_cache_are_told(whole: str) -> None:
    words = section(whole, "cost")
    assert "An answer takes, 95th percentile 1.90 s 1.60 s to 2.60 s 120" in words
    assert "An answer costs, mean $0.0123 $0.0101 to $0.0150 120" in words
    assert "12 answers came from the cache" in words


def test_the_training_shows_its_curves_and_what_it_repeats(whole: str) -> None:
    words = section(whole, "training")
    assert "Perplexity on the held-out examples 3.100 2.700 to 3.600 60" in words
    assert "Held-out loss less training loss 0.710" in words
    assert "Lowest" in words or "lowest" in words
    assert "task/T03 si rilascia il venerdì mattina" in words
    assert whole.count('<svg class="curves"') == 2
    card = scorecard(trained=False)
    without = page(report_of(card, gate=gate_of(card, phase="mvp"), curves=None))
    assert 'id="training"' not in without
    assert "#training" not in without


def test_the_worst_answers_are_folded_with_all_that_failed(whole: str) -> None:
    words = section(whole, "worst")
    assert "p001 golden question · identità · it Parla di sé al femminile. · it sounds like her" in words
    assert "Expected Il venerdì mattina. From .sncp/progetti/quaderno/decisioni/2026-01-01.md:3-19" in words
    assert "Parla di sé al femminile. by code dice 'pronto'" in words
    assert whole.count('<details class="example error">') == 50
    assert "No answer failed anything." in section(page(report_of(worst=())), "worst")


def test_long_answers_are_cut_and_what_is_left_out_is_counted() -> None:
    rows = [{**worst(1)[0], "text": "a" * 10_000, "failed": [{"question": "sounds", "why": "b" * 5000}] * 40}] * 20
    words = section(page(report_of(worst=tuple(rows))), "worst")
    assert "(8,500 characters more)" in words
    assert "(9,500 characters more)" in words
    assert "and 28 more" in words


def test_what_nobody_asked_is_said_and_not_left_out() -> None:
    text = page(bare())
    assert "evaluate.personality is not set" in section(text, "personality")
    assert "evaluate.tasks is not set" in section(text, "tasks")
    assert "No retrieval was scored." in section(text, "retrieval")
    assert "No answer was timed." in section(text, "cost")
    assert "nothing to compare with" in section(text, "changes")
    assert "Nothing was asked of a model." in section(text, "errors")
    assert "no other run of this recipe was scored" in section(text, "unshown")
    assert "NO-GO" in head(text)


def test_what_the_scorecard_really_holds_is_shown() -> None:
    """The builder of these tests is not the scorecard: this one is."""
    card = make_scorecard(right=70)
    gate = decide(phase="mvp", thresholds=GateParams().model_dump(), scorecard=card).to_dict()
    text = page(RunReport("mvp", card, gate))
    assert "feminine 70 10 0" in section(text, "errors")
    assert "Golden questions 80 80 0" in section(text, "errors")
    assert "The right note is in the first 5 recall_at_5 GO" in section(text, "gate")
    assert "lang:it" in section(text, "retrieval")


def test_what_was_really_said_and_judged_is_shown() -> None:
    said = evaluated(prompts=200, sounds=190, calm=190, feminine=195, tasks=16, failed=2)
    retrieval = score_retrieval([], {})
    card = build_scorecard(
        retrieval=retrieval, answers=[], expected=0, said=score_said(said, samples=200, seed=13),
        evidence={"golden": "a"},
    )  # fmt: skip
    gate = decide(phase="optimize", thresholds=GateParams().model_dump(), scorecard=card).to_dict()
    rows = worst_rows(questions=[], found=retrieval, records=[], evaluated=said)
    text = page(RunReport("mvp", card, gate, worst=tuple(rows)))
    assert "2 of 200 answers to prompts of personality failed" in head(text)
    assert "calm She stays calm. the judge 188 passed 10 failed" in section(text, "personality")
    assert "feminine She speaks of herself in the feminine. code" in section(text, "personality")
    assert "of 198 answers, errors of the judge corrected." in section(text, "personality")
    assert "16 of 20 tasks passed" in section(text, "tasks")
    assert "t3 task 3 simple 5 passed" in section(text, "tasks")
    assert "p0 prompt of personality · daily · it an answer comes Asked" in section(text, "worst")
    assert "t16 task · task 16 · it it is done" in section(text, "worst")
    assert "Prompts of personality 200 198 2" in section(text, "errors")
    assert "Verdicts of the judge: suona come Cervella 198 198 0 0" in section(text, "errors")
    assert "project:casa" in section(text, "retrieval")
    assert "The judge fake/judge is a double for tests." in head(text)


def test_more_rows_than_there_is_room_for_are_counted() -> None:
    card = scorecard()
    card["answers"]["errors"] = [{"id": f"q{n}", "error": "x"} for n in range(70)]
    card["checks"]["feminine"]["failures"] = [{"id": f"q{n}", "why": "pronto"} for n in range(30)]
    card["copied"] = [{"key": f"golden/q{n}", "run": "x"} for n in range(50)]
    text = page(report_of(card))
    assert "and 50 more" in section(text, "errors")
    assert "and 22 more" in section(text, "errors")
    assert "and 30 more" in section(text, "training")
    asked = replace(report_of(card), questions=tuple({"id": f"q{n}", "rank": 9, "first": "x"} for n in range(60)))
    assert "and 40 more, in questions.jsonl" in section(page(asked), "retrieval")
