"""Golden questions and held-out conversations that are in a corpus as well: E4."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from components.dataset.conversation import Conversation
from components.dataset.rules import RULES
from tests.dataset.corpus_house import CAPARRA, Question, check, talk, told, words


@pytest.mark.parametrize(
    ("conversation", "severity", "part"),
    [
        (talk(CAPARRA.question, words(1)), "error", "is the golden question v001"),
        (talk("che percentuale di caparra chiediamo per una settimana di agosto", words(1)), "error", "is the golden"),
        (talk("E che percentuale di caparra chiediamo per una settimana di agosto", "30"), "error", "% the golden"),
        (talk("Ciao", "Ciao!", CAPARRA.question, words(1)), "error", "is the golden question v001"),
        (talk(f"{words(3)}. {CAPARRA.question} {words(4)}", words(1)), "error", "within a longer turn"),
        (talk("Quanta caparra chiediamo di solito per agosto?", f"Certo. {CAPARRA.answer}"), "error", "the answer"),
        (talk("Quanta caparra chiediamo di solito per agosto?", f"Ecco: {CAPARRA.evidence}"), "error", "the evidence"),
        (talk("Parlami di altro, per piacere", f"Certo. {CAPARRA.answer}"), "warning", "to another question"),
    ],
    ids=["exact", "folded", "near", "later turn", "within", "answer", "evidence", "answer elsewhere"],
)  # fmt: skip
def test_golden_questions_that_leak(conversation: Conversation, severity: str, part: str) -> None:
    found = check([talk(words(50), words(51)), conversation], golden=[Question("v000", words(99)), CAPARRA])
    ((_, line, at, rule, message, lowered),) = found
    assert (line, at, rule) == (2, 1, "E4") and part in message
    assert (lowered or RULES["E4"].severity) == severity


@pytest.mark.parametrize(
    "conversation",
    [
        talk("Quando è stata decisa la caparra?", f"Il 18 aprile. {CAPARRA.evidence}"),
        talk("Che percentuale di sconto facciamo a chi prenota in bassa stagione?", "Il 10 per cento."),
        talk("Che percentuale?", "Il 25 per cento"),
        talk(words(1), CAPARRA.question),
        talk(words(1), words(2), extra={"provenance": {"kind": "hand", "note": "CAPARRA_A_FASCE.md"}}),
        talk("", ""),
    ],
    ids=["teaches the note", "other question", "short", "the partner asks", "from the gold note", "empty"],
)  # fmt: skip
def test_what_is_no_leak(conversation: Conversation) -> None:
    assert not told(check([conversation], golden=[CAPARRA]))


def test_questions_of_one_set_are_no_leaks_of_the_other(shared: Path, examples: Path) -> None:
    """Real questions about the same notes: none is taken for another."""

    def read(path: Path) -> list[Question]:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return [Question(r["id"], r["question"], r.get("evidence", ""), r.get("answer", "")) for r in rows]

    golden, own = read(shared / "data" / "questions.jsonl"), read(examples / "golden.jsonl")
    halves = [golden[::2], golden[1::2]]
    assert len(golden) >= 40 and own
    for some, held in ((own, golden), (golden, own), halves, halves[::-1]):
        assert not told(check([talk(one.question, one.answer or "Non lo so.") for one in some], golden=held), "E4")
    leaks = told(check([talk(one.question, one.answer or "Non lo so.") for one in golden], golden=golden), "E4")
    assert {line for line, _ in leaks} == set(range(1, len(golden) + 1))


@pytest.mark.parametrize(
    ("conversation", "part"),
    [
        (talk(words(1, 9), words(2)), "is the held-out conversation val.jsonl:1"),
        (talk(words(1, 9), words(2) + " poi"), "% the held-out conversation val.jsonl:1"),
        (talk(words(1, 9).upper() + "?", words(7)), "is the question of val.jsonl:1"),
        (talk(words(1, 9) + " e", words(7)), "the question of val.jsonl:1"),
        (talk(words(8), words(9), extra={"provenance": {"note": "a/b.md"}}), "the note a/b.md, as the held-out val"),
    ],
    ids=["same", "near", "question", "near question", "note"],
)  # fmt: skip
def test_held_out_conversations_that_leak(conversation: Conversation, part: str) -> None:
    held = talk(words(1, 9), words(2), extra={"provenance": {"note": "a/b.md"}})
    rows = [talk(words(50), words(51)), conversation, conversation]
    found = check(rows, held_out=[("val.jsonl", held), ("val.jsonl", talk("Ciao", "Ciao!"))])
    leaks = [(line, message, severity) for _, line, _, rule, message, severity in found if rule == "E4"]
    assert {line for line, *_ in leaks} == {2, 3}, "copies leak as well"
    assert any(part in message for _, message, _ in leaks)
    assert all(severity is None for *_, severity in leaks)


def test_a_greeting_or_a_later_question_that_is_held_out_is_no_leak() -> None:
    held = [("val.jsonl", talk("Ciao", words(1))), ("val.jsonl", talk(words(2, 9), words(3)))]
    assert not told(check([talk("Ciao", words(4)), talk(words(5), words(6), words(2, 9), words(7))], held_out=held))
