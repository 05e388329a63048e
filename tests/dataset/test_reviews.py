"""The log of decisions: what was told as decided is never lost, whoever dies and whoever else decides."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example as h_example
from hypothesis import given, settings
from hypothesis import strategies as st

from components.dataset.curation.reviews import ReviewLog, apply_reviews, content_digest, reviewer_name
from components.errors import InputError

CHILD = """
import os, signal, sys
from pathlib import Path
from components.dataset.curation import reviews
log = reviews.ReviewLog(Path(sys.argv[1]))
log.decide({"id": "a", "conversations": [1]}, "accept", by="Bianca")
write = os.pwrite
def torn(descriptor, line, at):
    if sys.argv[2] != "before":
        write(descriptor, line[: {"half": len(line) // 2, "without its end": len(line) - 1}[sys.argv[2]]], at)
    os.kill(os.getpid(), signal.SIGKILL)
os.pwrite = torn
log.decide({"id": "b", "conversations": [2]}, "reject", by="Bianca", reason="x" * 5000)
"""


def example(number: int = 1, **extra: Any) -> dict[str, Any]:
    turns = [{"from": "human", "value": f"Domanda {number}?"}, {"from": "gpt", "value": "Lo dice `NORD.md`."}]
    return {"id": f"e{number}", "stage": "expansion", "conversations": turns, **extra}


@pytest.fixture
def log(tmp_path: Path) -> ReviewLog:
    return ReviewLog(tmp_path / "reviews.jsonl")


def edited(row: dict[str, Any], answer: str) -> dict[str, Any]:
    return {"conversations": [row["conversations"][0], {"from": "gpt", "value": answer}]}


def test_decisions_are_found_again_and_applied(log: ReviewLog) -> None:
    rows = [example(number) for number in range(4)]
    assert log.decide(rows[0], "accept", by="Bianca")
    assert log.decide(rows[1], "edit", by="Nino", content=edited(rows[1], "Otto."))
    assert log.decide(rows[2], "reject", by="Bianca", reason="non è nella nota")
    done = apply_reviews(rows, ReviewLog(log.path))
    assert dict(done.counts) == {"accepted": 1, "edited": 1, "rejected": 1, "undecided": 1}
    assert [row["id"] for row in done.rows] == ["e0", "e1", "e3"]
    assert done.rows[0]["review"]["status"] == "accepted" and done.rows[0]["review"]["by"] == "Bianca"
    assert done.rows[1]["conversations"][1]["value"] == "Otto." and list(done.rows[1]) == [*rows[1], "review"]
    assert done.rows[2] == rows[3]
    assert done.rejected[0]["review"]["reason"] == "non è nella nota"
    assert "review" not in rows[0]


def test_a_row_that_changed_is_asked_about_again_one_that_moved_is_not(log: ReviewLog) -> None:
    row = example()
    log.decide(row, "accept", by="Bianca")
    moved = {"rating": {"by": "x"}, **row, "id": "other", "stage": "refinement", "tools": None, "review": {}}
    assert log.standing(content_digest(moved)) is not None
    for changed in ({**row, "system": "Sei Cervella."}, {**row, "tools": "[]"}, example(2)):
        assert log.standing(content_digest(changed)) is None


def test_what_an_edit_made_is_not_asked_about_again(log: ReviewLog) -> None:
    row = example()
    log.decide(row, "edit", by="Nino", content=edited(row, "Otto."))
    (made,) = apply_reviews([row], log).rows
    again = ReviewLog(log.path).standing(content_digest(made))
    assert again is not None and (again.decision, again.by) == ("accept", "Nino")
    log.undo(row, by="Nino")
    assert log.standing(content_digest(made)) is None is log.standing(content_digest(row))


def test_an_edit_that_changes_nothing_is_one_decision(log: ReviewLog) -> None:
    row = example()
    log.decide(row, "edit", by="Nino", content=row)
    log.undo(row, by="Nino")
    assert log.standing(content_digest(row)) is None


def test_undo_gives_back_the_decision_before(log: ReviewLog) -> None:
    row = example()
    log.decide(row, "reject", by="Nino", reason="corta")
    before = log.standing(content_digest(row))
    assert log.decide(row, "accept", by="Bianca", instead_of=before)
    undone = log.undo(row, by="Bianca")
    assert undone is not None and undone.decision == "accept"
    assert ReviewLog(log.path).standing(content_digest(row)) == before
    assert log.undo(row, by="Bianca") == before and log.undo(row, by="Bianca") is None
    assert [json.loads(line)["decision"] for line in log.path.read_text().splitlines()] == [
        "reject", "accept", "undo", "undo"
    ]  # fmt: skip


def test_what_another_decided_meanwhile_is_not_overwritten(log: ReviewLog) -> None:
    other, row = ReviewLog(log.path), example()
    assert other.decide(row, "reject", by="Nino", reason="falsa")
    assert not log.decide(row, "accept", by="Bianca")
    standing = log.standing(content_digest(row))
    assert standing is not None and standing.by == "Nino"
    assert log.decide(row, "accept", by="Bianca", instead_of=standing)


def test_several_reviewers_at_once_lose_nothing(log: ReviewLog) -> None:
    def work(by: str, first: int) -> None:
        mine = ReviewLog(log.path)
        for number in range(first, first + 20):
            assert mine.decide(example(number), "accept", by=by)

    threads = [threading.Thread(target=work, args=(f"r{n}", 20 * n)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert apply_reviews([example(number) for number in range(80)], ReviewLog(log.path)).counts["accepted"] == 80


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "half", "without its end"])
def test_killed_while_it_writes(root: Path, tmp_path: Path, when: str) -> None:
    path = tmp_path / "reviews.jsonl"
    killed = subprocess.run([sys.executable, "-c", CHILD, str(path), when], cwd=root, capture_output=True, timeout=60)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    log = ReviewLog(path)
    first, second = {"conversations": [1]}, {"conversations": [2]}
    assert log.standing(content_digest(first)) is not None and log.standing(content_digest(second)) is None
    assert log.decide(second, "accept", by="Nino")
    assert [json.loads(line)["by"] for line in path.read_text().splitlines()] == ["Bianca", "Nino"]


@settings(max_examples=25, deadline=None)
@given(cut=st.integers(0, 2000))
@h_example(cut=191)
def test_a_log_cut_anywhere_keeps_its_whole_lines(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    log = ReviewLog(tmp_path_factory.mktemp("log") / "reviews.jsonl")
    for number in range(5):
        log.decide(example(number), "reject", by="Nino", reason="è così")
    data = log.path.read_bytes()[:cut]
    log.path.write_bytes(data)
    after = ReviewLog(log.path)
    whole = data.count(b"\n") + data.endswith(b"}")  # only the line's end may be missing
    assert apply_reviews([example(n) for n in range(5)], after).counts["rejected"] == whole
    after.decide(example(9), "accept", by="Nino")
    assert ReviewLog(log.path).standing(content_digest(example(9))) is not None


@pytest.mark.parametrize(
    "line",
    ["{", "[]", "7", "{}", '{"decision": "maybe", "digest": "a", "by": "b", "at": "c"}',
     '{"decision": "edit", "digest": "a", "by": "b", "at": "c"}', "[" * 5000],
    ids=lambda line: line[:20],
)  # fmt: skip
def test_a_line_that_is_no_decision_is_told_with_its_place(log: ReviewLog, line: str) -> None:
    log.decide(example(), "accept", by="Nino")
    with log.path.open("a") as file:
        file.write(f"\n{line}\n")
    with pytest.raises(InputError, match=r"reviews\.jsonl:3: no decision"):
        ReviewLog(log.path)


def test_a_log_that_is_a_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        ReviewLog(tmp_path)


@given(row=st.dictionaries(st.sampled_from(["system", "conversations", "tools", "x"]),
                           st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
                                        lambda inner: st.lists(inner, max_size=3), max_leaves=5)))  # fmt: skip
def test_every_json_value_has_a_digest(row: dict[str, Any]) -> None:
    assert content_digest(row) == content_digest(dict(reversed(row.items())))


def test_reviewer_is_gits_or_the_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = tmp_path / "gitconfig"
    config.write_text("[user]\n\tname = Agnese Prova\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    assert reviewer_name() == "Agnese Prova"
    monkeypatch.setenv("PATH", os.devnull)
    monkeypatch.setenv("USER", "nino")
    assert reviewer_name() == "nino"
    for name in ("USER", "LOGNAME"):
        monkeypatch.delenv(name, raising=False)
    assert reviewer_name() == f"user {os.getuid()}"
