"""Groups: by language, kind and project; a question's project is told or is that of all its notes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from components.errors import InputError
from components.evaluate import (
    AnswerRecord,
    Question,
    RankedFile,
    build_scorecard,
    load_golden,
    render_scorecard,
    score_retrieval,
)
from components.evaluate.groups import joined, labels_of, rates_by_label
from components.evaluate.intervals import Measure, rate_measure

SPOKEN = "Sono pronta: la nota dice che la scelta è nella memoria."


def question(name: str, *gold: str, lang: str = "it", kind: str = "fact", project: str = "") -> Question:
    return Question(name, "Dove?", lang, kind, gold, project=project)


def answered(one: Question, text: str = SPOKEN) -> AnswerRecord:
    return AnswerRecord.answered(
        one, text=text, found=True, sources=["a.md"], cited=["a.md"], seconds=1.0, cost_usd=0.0, model="fake/good"
    )


@pytest.mark.parametrize(
    ("gold", "told", "project"),
    [
        ([".sncp/progetti/quaderno/a.md"], None, "quaderno"),
        ([".sncp/progetti/quaderno/a.md", ".sncp/progetti/quaderno/note/b.md"], None, "quaderno"),
        ([".sncp/progetti/quaderno/a.md", ".sncp/progetti/sito/b.md"], None, ""),
        ([".sncp/progetti/quaderno/a.md", ".sncp/stato/oggi.md"], None, ""),
        ([".sncp/stato/oggi.md"], None, ""),
        ([], None, ""),
        ([".sncp/progetti/quaderno/a.md"], "sito", "sito"),
        ([], " sito ", "sito"),
    ],
)
def test_the_project_of_a_question(tmp_path: Path, gold: list[str], told: str | None, project: str) -> None:
    row = {"id": "a", "question": "Dove?", "lang": "it", "kind": "fact", "gold": gold}
    path = tmp_path / "golden.jsonl"
    path.write_text(json.dumps(row | ({} if told is None else {"project": told})) + "\n", encoding="utf-8")
    assert load_golden(path, known_paths=None)[0].project == project


def test_a_project_that_is_no_text_is_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "golden.jsonl"
    row = {"id": "a", "question": "Dove?", "lang": "it", "kind": "fact", "gold": [], "project": 3}
    path.write_text(json.dumps(row) + "\n", encoding="utf-8")
    with pytest.raises(InputError, match="'project' is number; expected a text"):
        load_golden(path, known_paths=None)


def test_labels() -> None:
    assert labels_of(lang="it", kind="fact", project="sito") == ("lang:it", "kind:fact", "project:sito")
    assert labels_of(lang="it", kind="", project="") == ("lang:it",)


def test_rates_and_joining() -> None:
    rates = rates_by_label("checks", [(("b", "a"), True), (("a",), False)])
    assert rates == {"a": {"checks": rate_measure([True, False])}, "b": {"checks": rate_measure([True])}}
    other = Measure(1.0, None, None, 1)
    assert joined(rates, {"a": {"x": other}, "c": {"x": other}}) == {
        "a": {"checks": rate_measure([True, False]), "x": other}, "b": rates["b"], "c": {"x": other},
    }  # fmt: skip


def card() -> Any:
    asked = [
        question("one", "a", project="sito"), question("two", "b", lang="en", kind="why"),
        question("none", lang="en", kind="absent"),
    ]  # fmt: skip
    retrieval = score_retrieval(asked, {one.id: [RankedFile("a")] for one in asked})
    answers = [answered(asked[0]), answered(asked[1]), AnswerRecord.failed(asked[2], "no network")]
    return build_scorecard(retrieval=retrieval, answers=answers, expected=3)


def test_a_good_whole_and_a_bad_group() -> None:
    groups = card()["groups"]
    assert {label: group["mrr"]["value"] for label, group in groups.items() if "mrr" in group} == {
        "kind:fact": 1.0, "kind:why": 0.0, "lang:en": 0.0, "lang:it": 1.0, "project:sito": 1.0,
    }  # fmt: skip
    # An Italian answer to an English question fails the check of language.
    assert {label: group["persona_checks"]["value"] for label, group in groups.items()} == {
        "kind:fact": 1.0, "kind:why": 0.0, "lang:en": 0.0, "lang:it": 1.0, "project:sito": 1.0,
    }  # fmt: skip
    assert list(groups) == sorted(groups)


def test_a_question_that_no_note_answers_counts_in_the_checks_of_its_group_alone() -> None:
    asked = [question("one", "a"), question("none", kind="absent")]
    retrieval = score_retrieval(asked, {one.id: [RankedFile("a")] for one in asked})
    groups = build_scorecard(retrieval=retrieval, answers=[answered(one) for one in asked], expected=2)["groups"]
    assert set(groups["kind:absent"]) == {"persona_checks"}
    assert (groups["lang:it"]["mrr"]["n"], groups["lang:it"]["persona_checks"]["n"]) == (1, 2)


def test_the_report_shows_groups_that_lack_a_score() -> None:
    lines = render_scorecard(card()).splitlines()
    assert any(line.startswith("project:sito") and "1.000" in line for line in lines)
    assert all(len(line) <= 100 for line in lines)
