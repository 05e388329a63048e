"""Who decides which rule of an answer: code what it can, a judge the rest, nobody what does not apply."""

from __future__ import annotations

from components.evaluate.checks import Check
from components.evaluate.judged import Verdict
from components.evaluate.said import Item, Said
from components.evaluate.suite import Checklist, CodeRule, Rule, code_verdicts, judge_questions
from tests.evaluate.suites import KEY, ONE_TASK, TASK

PERSONALITY = Item("personality", "p1", "Come stai?", "it", "tone")
OTHER = Item("personality", "p2", "Chi sei?", "it", "identity")
RULES = Checklist(
    rules=(
        Rule("femminile", "Parlo al femminile.", code=CodeRule("check", "feminine")),
        Rule("grida", "Non grido.", code=CodeRule("never", ("!!",)), kinds=("tone",)),
        Rule("adulo", "Mai adulo.", ask="Evita di adulare?", kinds=("tone",)),
    ),
    digest="",
)


def by_code(*said: Said, checklist: Checklist | None = RULES) -> list[tuple[str, str, Verdict | None, str]]:
    found = code_verdicts(said, contestant="candidate", checklist=checklist, tasks=ONE_TASK)
    assert all(one.by == "code" and one.verdicts == (one.verdict,) for one in found)
    return [(one.item, one.question, one.verdict, one.rationale) for one in found]


def test_code_decides_the_rules_of_a_kind_and_what_does_not_apply_gets_no_verdict() -> None:
    checked = Said(item=PERSONALITY, text="Eccomi!!", checks=(Check("feminine", True),))
    assert by_code(checked, Said(item=OTHER, text="Cervella!!")) == [
        ("personality/p1", "rule:femminile", "yes", "the check feminine passed"),
        ("personality/p1", "rule:grida", "no", "says '!!'"),
    ]


def test_a_task_keeps_all_its_points_so_what_code_cannot_tell_is_undecided() -> None:
    assert by_code(Said(item=TASK, text="`nota.md`")) == [
        ("task/path", "task:0", "yes", "says all of them"),
        ("task/path", "task:1", None, "the language cannot be told"),
    ]
    assert by_code(Said(item=TASK, text=" \n")) == [
        ("task/path", "task:0", "no", "the answer is empty"),
        ("task/path", "task:1", "no", "the answer is empty"),
    ]


def test_an_error_is_no_answer() -> None:
    failed = [Said(item=item, error="time-out") for item in (PERSONALITY, TASK)]
    assert by_code(*failed) == []
    assert judge_questions(failed, contestant="candidate", checklist=RULES, tasks=ONE_TASK) == []


def test_a_secret_that_was_seen_is_masked_in_the_verdict() -> None:
    rules = Checklist((Rule("segreti", "Niente segreti.", code=CodeRule("never_matches", "sk-")),), "")
    ((_, _, verdict, why),) = by_code(Said(item=OTHER, text=f"La chiave è {KEY}"), checklist=rules)
    assert verdict == "no" and KEY[13:40] not in why


def test_the_judge_is_asked_how_it_sounds_and_the_rules_that_code_cannot_decide() -> None:
    said = [Said(item=item, text=f"a {item.id}") for item in (PERSONALITY, OTHER, TASK)]
    asked = judge_questions(said, contestant="champion", checklist=RULES, tasks=ONE_TASK)
    assert [(one.item.key, one.question, one.ask, one.standard, one.text) for one in asked] == [
        ("personality/p1", "sounds", "Suona come Cervella?",
         "Voce, modi e valori della risposta sono quelli di Cervella.", "a p1"),
        ("personality/p1", "rule:adulo", "Evita di adulare?", "Mai adulo.", "a p1"),
        ("personality/p2", "sounds", "Suona come Cervella?",
         "Voce, modi e valori della risposta sono quelli di Cervella.", "a p2"),
        ("task/path", "task:2", "È breve?", "è breve", "a path"),
    ]  # fmt: skip
    assert {one.contestant for one in asked} == {"champion"}
    assert judge_questions(said[2:], contestant="control", checklist=RULES, tasks=None) == []
    (other, *_) = judge_questions(said[1:], contestant="control", checklist=None, tasks=None, name="Minerva")
    assert other.ask == "Suona come Minerva?"
