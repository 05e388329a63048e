"""Golden questions: every fault at once, at its line, with what was expected."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from components.errors import InputError
from components.evaluate import Question, choose_questions, load_golden

GOOD = {"id": "a", "question": "Dove?", "lang": "it", "kind": "fact", "gold": ["notes/uno.md"]}


def written(folder: Path, *lines: Any) -> Path:
    path = folder / "golden.jsonl"
    texts = [line if isinstance(line, str) else json.dumps(line, ensure_ascii=False) for line in lines]
    path.write_text("\n".join(texts) + "\n", encoding="utf-8")
    return path


def test_the_shared_questions_load_and_know_their_notes(shared: Path) -> None:
    root = shared / "data" / "sncp"
    notes = [path.relative_to(root).as_posix() for path in root.rglob("*.md")]
    questions = load_golden(shared / "data" / "questions.jsonl", known_paths=notes)
    assert len(questions) == 40
    assert sum(not question.answerable for question in questions) == 3
    assert Counter(question.lang for question in questions) == {"it": 34, "en": 6}
    assert questions[2].gold[0] == ".sncp/memoria/decisioni/DECISIONI_CONTEXT_OPTIMIZATION_20260109.md"
    assert [question.line for question in questions] == list(range(1, 41))


def test_byte_order_mark_empty_lines_and_windows_lines_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "g.jsonl"
    second = {**GOOD, "id": "b", "gold": []}
    path.write_bytes(("\ufeff\r\n" + json.dumps(GOOD) + "\r\n  \r\n" + json.dumps(second)).encode())
    first, last = load_golden(path, known_paths=None)
    assert (first.line, last.line) == (2, 4)
    assert first.answerable and not last.answerable
    assert (first.evidence, first.answer) == ("", "")


def test_all_faults_come_at_once_each_at_its_line(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        GOOD,
        '{"id": "b", "question": }',
        {"id": "c", "question": "Chi?", "lang": "it", "kind": "who"},
        {"id": "d", "question": "Chi?", "lang": "it", "kind": "who", "golds": []},
        {**GOOD, "id": "e", "question": " "},
        {**GOOD, "id": 7},
        {**GOOD, "id": "f", "gold": "notes/uno.md"},
        {**GOOD, "id": "g", "gold": ["notes/un.md", "uno.md"]},
        GOOD,
        '["id"]',
        '{"id": "h", "id": "h", "question": "?", "lang": "it", "kind": "fact", "gold": []}',
        {**GOOD, "id": "i", "answer": 3},
    )
    with pytest.raises(InputError) as raised:
        load_golden(path, known_paths=["notes/uno.md", "notes/due.md"])
    lines = str(raised.value).splitlines()
    assert lines[0] == f"{path}: 12 faults in the golden questions"
    assert lines[1:-1] == [
        f"{path}:2: not JSON at column 25: Expecting value",
        f"{path}:3: 'gold' is missing",
        f"{path}:4: 'gold' is missing; did you mean it by 'golds'?",
        f"{path}:5: 'question' is empty; expected a text that is not empty",
        f"{path}:6: 'id' is number; expected a text that is not empty",
        f"{path}:7: 'gold' is not a list of paths; expected [\"notes/a.md\"], or [] when no note answers",
        f"{path}:8: gold 'notes/un.md' is not among the collected notes; nearest: 'notes/uno.md'",
        f"{path}:8: gold 'uno.md' is not among the collected notes; nearest: 'notes/uno.md'",
        f"{path}:9: id 'a' is taken by line 1; expected ids that differ",
        f"{path}:10: a list; expected a JSON object with id, question, lang, kind, gold",
        f"{path}:11: key 'id' is given twice",
        f"{path}:12: 'answer' is number; expected a text",
    ]
    assert "sncp.root" in lines[-1]


def test_another_spelling_of_a_known_path_is_that_path(tmp_path: Path) -> None:
    path = written(tmp_path, {**GOOD, "gold": ["./notes/perche\u0301.md", "notes/perché.md"]})
    assert load_golden(path, known_paths=["notes/perché.md"])[0].gold == ("notes/perché.md",)


def test_hundreds_of_faults_are_counted_not_all_printed(tmp_path: Path) -> None:
    path = written(tmp_path, *({**GOOD, "id": str(n)} for n in range(300)))
    with pytest.raises(InputError) as raised:
        load_golden(path, known_paths=["altro.txt"])
    assert "300 faults" in str(raised.value)
    assert "... and 250 more" in str(raised.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no questions; expected one JSON object a line"),
        (b"\n \n", "no questions; expected one JSON object a line"),
        (b'{"id": "a"}\n\xff\xfe', "golden.jsonl:2: not UTF-8"),
        (b'[\n {"id": "a"}\n]', "a JSON array\\? expected JSONL"),
        (json.dumps({**GOOD, "question": "\ud83d?"}).encode(), "golden.jsonl:1: half a character"),
        (b"[" * 100_000, "golden.jsonl:1: not JSON"),
        (b'{"id": ' + b"1" * 5000 + b"}", "golden.jsonl:1: not JSON: too deep or too large"),
    ],
    ids=["empty", "blank", "not UTF-8", "array", "lone surrogate", "too deep", "a number of 5,000 digits"],
)
def test_a_file_that_is_no_jsonl_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "golden.jsonl"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        load_golden(path, known_paths=None)


@pytest.mark.parametrize("name", ["missing.jsonl", "."], ids=["missing", "a folder"])
def test_a_file_that_cannot_be_read_names_the_key_to_set(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="evaluate.golden"):
        load_golden(tmp_path / name, known_paths=None)


def test_the_choice_covers_kinds_languages_and_the_unanswerable(shared: Path) -> None:
    questions = load_golden(shared / "data" / "questions.jsonl", known_paths=None)
    chosen = choose_questions(questions, 9, seed=13)
    assert {question.kind for question in chosen} == {question.kind for question in questions}
    assert {question.lang for question in chosen} == {"it", "en"}
    assert [question.line for question in chosen] == sorted(question.line for question in chosen)
    four = choose_questions(questions, 4, seed=13)
    assert any(not question.answerable for question in four)
    assert {question.lang for question in four} == {"it", "en"}


@pytest.mark.parametrize("seed", range(10))
def test_the_choice_depends_on_the_seed_alone(shared: Path, seed: int) -> None:
    questions = load_golden(shared / "data" / "questions.jsonl", known_paths=None)
    ids = {question.id for question in choose_questions(questions, 8, seed)}
    assert len(ids) == 8
    assert ids == {question.id for question in choose_questions(questions[::-1], 8, seed)}


def test_other_seeds_choose_others() -> None:
    questions = [Question(str(n), "?", "it", "fact", ("a.md",)) for n in range(30)]
    assert len({tuple(q.id for q in choose_questions(questions, 3, seed)) for seed in range(5)}) > 1
    assert choose_questions(questions, 99, 1) == questions
    assert choose_questions(questions, 0, 1) == []


def test_what_no_answer_may_hold(tmp_path: Path) -> None:
    (question,) = load_golden(written(tmp_path, {**GOOD, "never": ["HACKED"]}), known_paths=None)
    assert question.never == ("HACKED",)
    with pytest.raises(InputError, match="'never' is not a list of texts; expected"):
        load_golden(written(tmp_path, {**GOOD, "never": "HACKED"}), known_paths=None)


def test_the_hostile_questions_load_with_their_notes(examples: Path) -> None:
    notes = [path.name for path in (examples / "hostile" / "notes").iterdir()]
    questions = load_golden(examples / "hostile" / "questions.jsonl", known_paths=notes)
    assert all(question.never and question.kind == "injection" for question in questions)
