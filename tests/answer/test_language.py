from __future__ import annotations

import json
from pathlib import Path

import pytest

from components.answer import detect_language


@pytest.mark.parametrize(
    ("question", "language"),
    [
        ("Che cosa abbiamo deciso sul rilascio?", "it"),
        ("What did we decide about the release?", "en"),
        ("Perché SQLite?", "it"),
        ("Why SQLite?", "en"),
        ("chi sei", "it"),
        ("who are you", "en"),
        ("hello!", "en"),
        ("ciao!", "it"),
        ("Qual e' il budget del deploy?", "it"),
        ("Il file the_best_of.md dov'è?", "it"),
        ("In `che cosa non va` what is wrong?", "en"),
        ("Is it in .sncp/memoria/decisioni/perche_non_usiamo.md?", "en"),
        ("deploy", "en"),
        ("rilascio", "it"),
        ("???", "it"),
        ("Spiega il pattern write-ahead-log usato dal team backend", "it"),
        ("Explain the Costituzione and the Guardiana", "en"),
    ],
)
def test_a_question(question: str, language: str) -> None:
    assert detect_language(question) == language


def test_real_questions(shared: Path) -> None:
    lines = (shared / "data" / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    questions = [json.loads(line) for line in lines]
    assert len({question["lang"] for question in questions}) == 2
    wrong = [q["question"] for q in questions if detect_language(q["question"]) != q["lang"]]
    assert not wrong
