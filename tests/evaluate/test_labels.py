"""The log of labels: what was told as taken is never lost, each person has one verdict, words tell what is labelled."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import InputError
from components.evaluate.instrument.labels import LabelLog, label_digest, read_labels
from components.evaluate.judged import GROUPS, group_of
from components.evaluate.said import Item
from components.evaluate.suite import JudgeQuestion

CHILD = """
import os, signal, sys
from pathlib import Path
from components.evaluate.instrument.labels import LabelLog
from components.evaluate.said import Item
from components.evaluate.suite import JudgeQuestion
log = LabelLog(Path(sys.argv[1]))
def ask(number):
    item = Item("personality", f"p{number}", f"Domanda {number}?", "it", "greeting")
    return JudgeQuestion("candidate", item, "sounds", "Suona come Cervella?", "La sua voce.", f"Risposta {number}.")
log.add(ask(1), "yes", by="Bianca")
write = os.pwrite
def torn(descriptor, line, at):
    if sys.argv[2] != "before":
        write(descriptor, line[: {"half": len(line) // 2, "without its end": len(line) - 1}[sys.argv[2]]], at)
    os.kill(os.getpid(), signal.SIGKILL)
os.pwrite = torn
log.add(ask(2), "no", by="Bianca")
"""


def asked(number: int = 1, **changes: Any) -> JudgeQuestion:
    item = Item("personality", f"p{number}", f"Domanda {number}?", "it", "greeting")
    question = JudgeQuestion("candidate", item, "sounds", "Suona come Cervella?", "La sua voce.", f"Risposta {number}.")
    return replace(question, **changes)


def digest(question: JudgeQuestion) -> str:
    return label_digest(prompt=question.item.prompt, text=question.text, question=question.question, ask=question.ask)


@pytest.fixture
def log(tmp_path: Path) -> LabelLog:
    return LabelLog(tmp_path / "labels.jsonl")


def test_a_line_holds_all_that_the_judge_is_asked(log: LabelLog) -> None:
    log.add(asked(), "yes", by="Bianca", sources=("NORD.md",))
    (line,) = log.path.read_text().splitlines()
    record = json.loads(line)
    assert record.pop("at").endswith("+00:00")
    assert record == {
        "digest": digest(asked()), "item": "personality/p1", "lang": "it", "prompt": "Domanda 1?",
        "text": "Risposta 1.", "question": "sounds", "ask": "Suona come Cervella?", "standard": "La sua voce.",
        "verdict": "yes", "by": "Bianca", "sources": ["NORD.md"],
    }  # fmt: skip
    (label,) = read_labels(log.path)
    assert label.group == "sounds" and label.verdict == "yes" and label.sources == ("NORD.md",)
    again = label.asked()
    assert replace(again, item=replace(again.item, kind="greeting")) == asked()


def test_no_file_is_no_label(tmp_path: Path) -> None:
    assert read_labels(tmp_path / "none.jsonl") == [] == read_labels(None)


@pytest.mark.parametrize(
    "other",
    [asked(text="Altro."), asked(ask="Suona?"), asked(question="rule:voice")],
    ids=["answer", "words", "question"],
)
def test_other_words_are_another_label(log: LabelLog, other: JudgeQuestion) -> None:
    log.add(asked(), "yes", by="Bianca")
    assert log.find(digest(asked())) is not None and log.find(digest(other)) is None


def test_whose_answer_it_is_and_where_it_stands_do_not_matter(log: LabelLog) -> None:
    log.add(asked(), "yes", by="Bianca")
    other = asked(contestant="control", item=replace(asked().item, id="p9", kind="other"))
    assert log.find(digest(other)) is not None


def test_a_person_has_one_verdict_and_undo_gives_back_the_one_before(log: LabelLog) -> None:
    log.add(asked(), "yes", by="Bianca")
    log.add(asked(), "no", by="Bianca")
    log.add(asked(), "yes", by="Nino")
    label = log.find(digest(asked()))
    assert label is not None and label.verdicts == {"Bianca": "no", "Nino": "yes"} and label.verdict is None
    assert log.undo(digest(asked()), by="Bianca") == "no"
    label = LabelLog(log.path).find(digest(asked()))
    assert label is not None and label.verdicts == {"Bianca": "yes", "Nino": "yes"}
    assert log.undo(digest(asked()), by="Bianca") == "yes"
    assert log.undo(digest(asked()), by="Bianca") is None
    label = log.find(digest(asked()))
    assert label is not None and label.verdicts == {"Nino": "yes"}
    log.undo(digest(asked()), by="Nino")
    assert log.find(digest(asked())) is None and log.labelled() == []


def test_the_order_is_the_same_whoever_labelled_first(tmp_path: Path) -> None:
    logs = [LabelLog(tmp_path / name) for name in ("a", "b")]
    for numbers, one in zip(((3, 1, 2), (2, 3, 1)), logs, strict=True):
        for number in numbers:
            one.add(asked(number), "no", by="Bianca")
    assert logs[0].labelled() == logs[1].labelled()


def test_several_people_at_once_lose_nothing(log: LabelLog) -> None:
    def work(by: str) -> None:
        mine = LabelLog(log.path)
        for number in range(20):
            mine.add(asked(number), "yes", by=by)

    threads = [threading.Thread(target=work, args=(f"p{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(label.verdicts) for label in read_labels(log.path)] == [4] * 20


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "half", "without its end"])
def test_killed_while_it_writes(root: Path, tmp_path: Path, when: str) -> None:
    path = tmp_path / "labels.jsonl"
    killed = subprocess.run([sys.executable, "-c", CHILD, str(path), when], cwd=root, capture_output=True, timeout=60)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    log = LabelLog(path)
    assert log.find(digest(asked(1))) is not None and log.find(digest(asked(2))) is None
    log.add(asked(2), "no", by="Nino")
    assert [json.loads(line)["by"] for line in path.read_text().splitlines()] == ["Bianca", "Nino"]


@settings(max_examples=25)
@given(cut=st.integers(0, 2500))
def test_a_log_cut_anywhere_keeps_its_whole_lines(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    log = LabelLog(tmp_path_factory.mktemp("log") / "labels.jsonl")
    for number in range(5):
        log.add(asked(number), "no", by="Nino")
    data = log.path.read_bytes()[:cut]
    log.path.write_bytes(data)
    after = LabelLog(log.path)
    assert len(after.labelled()) == data.count(b"\n")
    after.add(asked(9), "yes", by="Nino")
    assert len(read_labels(log.path)) == data.count(b"\n") + 1


def line(**changes: Any) -> str:
    words = {"prompt": "Ciao?", "text": "Ciao.", "question": "sounds", "ask": "Suona?"}
    record = {"digest": label_digest(**words), "item": "personality/a", "lang": "it", "standard": "", **words}
    return json.dumps(record | {"verdict": "yes", "by": "Nino", "at": "2026-01-01T00:00:00+00:00"} | changes)


def test_a_whole_line_is_a_label(log: LabelLog) -> None:
    log.path.write_text(line() + "\n")
    assert len(read_labels(log.path)) == 1


@pytest.mark.parametrize(
    "wrong",
    ["{", "[]", "7", "{}", "[" * 5000, line(verdict="maybe"), line(text="Altro."), line(digest=7), line(by=None),
     line(question="sound"), line(question="rule:"), line(sources=[1]), line(sources=7)],
    ids=["no JSON", "a list", "a number", "empty", "deep", "no verdict", "other words", "digest", "nobody",
         "no question", "no rule", "a source", "sources"],
)  # fmt: skip
def test_a_line_that_is_no_label_is_told_with_its_place(log: LabelLog, wrong: str) -> None:
    log.path.write_text(f"{line()}\n\n{wrong}\n")
    with pytest.raises(InputError, match=r"labels\.jsonl:3: no label; expected a JSON object with digest"):
        LabelLog(log.path)


def test_an_undo_of_nothing_is_no_fault(log: LabelLog) -> None:
    log.path.write_text(json.dumps({"digest": "a", "verdict": "undo", "by": "Nino", "at": "c"}) + "\n")
    assert read_labels(log.path) == []


@given(st.text(), st.text())
def test_every_text_can_be_labelled(prompt: str, text: str) -> None:
    assert len(label_digest(prompt=prompt, text=text, question="sounds", ask="?")) == 64


def test_groups_of_questions() -> None:
    assert [group_of(name) for name in ("sounds", "rule:feminine", "task:0")] == list(GROUPS)
    for name in ("", "sounds:1", "rule", "task:", "pair:1"):
        with pytest.raises(ValueError, match="no question"):
            group_of(name)


def test_a_log_that_is_a_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        LabelLog(tmp_path)


def test_a_last_line_without_its_end_is_a_label_and_stays_one(log: LabelLog) -> None:
    for number in (1, 2):
        log.add(asked(number), "yes", by="Bianca")
    log.path.write_bytes(log.path.read_bytes().rstrip())  # as an editor may leave it
    again = LabelLog(log.path)
    assert len(again.labelled()) == len(log.labelled()) == 2
    again.add(asked(3), "no", by="Bianca")
    log.refresh()
    for reader in (again, log, LabelLog(log.path)):
        assert [one.verdict for one in reader.labelled()] == ["yes", "yes", "no"]
    assert log.path.read_bytes().count(b"\n") == 3
