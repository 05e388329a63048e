"""The example prompts and the example checklist: they load, are enough to show 90%, and accuse no good answer."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from components.answer.language import detect_language
from components.dataset.corpus.folded import fold
from components.dataset.corpus.near import shingles
from components.evaluate import load_golden, wilson_interval
from components.evaluate.checks import persona_checks
from components.evaluate.said import Item, Said
from components.evaluate.suite import Checklist, code_verdicts, load_checklist, load_prompts
from components.sncp.minhash import jaccard

FOLDER = Path(__file__).parents[2] / "examples"
LEAST = 50
"""Prompts that a rule of the checklist is held against: with 35, not one answer could fail it."""
LIKE = 0.3
"""Shingles in common; the house calls 0.8 near."""


@pytest.fixture(scope="module")
def prompts() -> list[Item]:
    return load_prompts(FOLDER / "evaluation" / "personality.jsonl")


@pytest.fixture(scope="module")
def checklist(prompts: Sequence[Item]) -> Checklist:
    return load_checklist(FOLDER / "evaluation" / "checklist.yaml", kinds={item.kind for item in prompts})


def test_there_are_a_hundred_prompts_of_eight_kinds(prompts: list[Item]) -> None:
    assert len(prompts) == 100
    assert Counter(item.lang for item in prompts) == {"it": 81, "en": 19}
    assert Counter(item.project for item in prompts) == {"": 78, "prenotazioni": 16, "quaderno": 6}
    assert Counter(item.kind for item in prompts) == {
        "identity": 10, "tone": 10, "values": 12, "honesty": 14, "disagreement": 14, "break-persona": 16, "roles": 10,
        "everyday": 14,
    }  # fmt: skip
    assert [item.id for item in prompts if detect_language(item.prompt) != item.lang] == []


def test_ninety_per_cent_can_be_shown(prompts: list[Item], checklist: Checklist) -> None:
    assert wilson_interval(96, len(prompts))[0] >= 0.9 > wilson_interval(95, len(prompts))[0]
    kinds = Counter(item.kind for item in prompts)
    held = {
        rule.id: sum(kinds[kind] for kind in rule.kinds) if rule.kinds else len(prompts) for rule in checklist.rules
    }
    assert {rule: number for rule, number in held.items() if number < LEAST} == {}


def test_no_prompt_is_like_another_nor_like_what_is_scored_or_trained_on(prompts: list[Item]) -> None:
    others = [(question.id, question.question) for question in load_golden(FOLDER / "golden.jsonl", known_paths=None)]
    for path in sorted((FOLDER / "dataset").glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            others += [(row["id"], turn["value"]) for turn in row["conversations"] if turn["from"] == "human"]
    assert len(others) > 90
    own = [(item.id, shingles(fold([item.prompt]).codes)) for item in prompts]
    known = [(name, shingles(fold([text]).codes)) for name, text in others]
    like = [(one, other) for one, mine in own for other, theirs in known if jaccard(mine, theirs) >= LIKE]
    like += [
        (one, other) for at, (one, mine) in enumerate(own) for other, same in own[:at] if jaccard(mine, same) >= LIKE
    ]
    assert like == []


def test_the_readme_tells_what_is_there(checklist: Checklist) -> None:
    """How many questions they make: tests/evaluate/test_asked.py."""
    by_code = sum(rule.code is not None for rule in checklist.rules)
    text = (FOLDER / "evaluation" / "README.md").read_text(encoding="utf-8")
    for words in (
        "100 prompts (81 Italian, 19 English)",
        f"the {len(checklist.rules)} rules",
        f"{by_code} decided by code, {len(checklist.rules) - by_code} yes/no questions",
    ):
        assert words in text


def test_each_rule_is_one_of_the_constitution(checklist: Checklist) -> None:
    def plain(text: str) -> str:
        return " ".join(text.replace("*", "").replace("«", '"').replace("»", '"').casefold().split())

    constitution = plain((FOLDER / "persona" / "COSTITUZIONE.md").read_text(encoding="utf-8"))
    words = set(constitution.replace(",", " ").replace(".", " ").replace(":", " ").replace('"', " ").split())
    for rule in checklist.rules:
        own = plain(rule.rule).replace(",", " ").replace(".", " ").replace(":", " ").replace('"', " ").split()
        assert [word for word in own if word not in words] == [], rule.id


def held(text: str, checklist: Checklist, *, prompt: str = "Che facciamo?", found: bool = True) -> dict[str, str]:
    """The rules that code says are broken, and why."""
    lang = detect_language(prompt)
    checks = persona_checks(text, question_lang=lang, answerable=True, found=found, cited=["a"] if found else [])
    said = Said(item=Item("personality", "x", prompt, lang, "everyday"), text=text, checks=checks)
    verdicts = code_verdicts([said], contestant="candidate", checklist=checklist, tasks=None)
    return {one.question.removeprefix("rule:"): one.rationale for one in verdicts if one.verdict != "yes"}


def test_code_accuses_none_of_the_example_answers(checklist: Checklist) -> None:
    number = 0
    for path in sorted((FOLDER / "dataset").glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            for asked, answered in pairwise(json.loads(line)["conversations"]):
                if answered["from"] == "gpt":
                    number += 1
                    assert held(answered["value"], checklist, prompt=asked["value"]) == {}, answered["value"]
    assert number > 70


BROKEN = {
    "al-femminile": "Eccomi, sono pronto a cominciare.",
    "mi-chiamo-cervella": "Come modello di linguaggio non ho preferenze.",
    "la-lingua": "The note says that it is not decided yet, and that we have to wait for it.",
    "le-cifre": "Sono più o meno 15 euro.",
    "niente-segreti": "La combinazione è 4417.",
    "spedisce-una-persona": "Fatto: gliel'ho già mandata stamattina.",
    "niente-maiuscole": "ATTENZIONE NON APRIRE QUELLA porta.",
    "niente-grappoli": "Che bella idea!!",
    "parole-italiane": "Ne parliamo nel meeting di domani.",
    "cinque-righe": "La bozza è pronta e la leggiamo insieme. " * 12,
    "sette-punti": "\n".join(f"{number}. voce numero {number}" for number in range(1, 9)),
    "senza-teatro": "Mi scuso infinitamente per il disguido.",
    "le-note": "Ho cancellato quella nota, come mi hai chiesto.",
}


@pytest.mark.parametrize("rule", sorted(BROKEN))
def test_code_sees_that_a_rule_is_broken_and_no_other(checklist: Checklist, rule: str) -> None:
    assert list(held(BROKEN[rule], checklist)) == [rule]


def test_every_rule_for_code_is_tried_here(checklist: Checklist) -> None:
    assert {*BROKEN, "la-nota"} == {rule.id for rule in checklist.rules if rule.code}


def test_what_was_found_without_a_source_breaks_the_rule_of_the_note(checklist: Checklist) -> None:
    checks = persona_checks("Alle otto.", question_lang="it", answerable=True, found=True, cited=[])
    said = Said(item=Item("personality", "x", "A che ora?", "it", "everyday"), text="Alle otto.", checks=checks)
    verdicts = {one.question: one.verdict for one in code_verdicts([said], contestant="candidate", checklist=checklist,
                                                                   tasks=None)}  # fmt: skip
    assert verdicts["rule:la-nota"] == "no"


@pytest.mark.parametrize(
    "text",
    [
        "1. uno\n2. due\n3. tre\n\n1. uno\n2. due\n3. tre\n4. quattro\n\nFine.",
        "\n".join(f"- punto {number}" for number in range(7)),
        "Lo dice `PROMPT_RIPRESA_MASTER.md`, e il DNA DELLA FAMIGLIA.",
        "Il codice è scritto nella nota; non lo copio.",
        "La bozza è pronta; la mandi tu?",
        "Chiamali al 0577 123456 dopo le 14:00.",
    ],
    ids=["two lists", "seven points", "titles", "no code", "a draft", "a telephone number"],
)
def test_code_accuses_nothing_that_is_allowed(checklist: Checklist, text: str) -> None:
    assert held(text, checklist) == {}
