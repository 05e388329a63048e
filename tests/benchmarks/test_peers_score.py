"""What counts as wrong in an index, told of stores that go wrong on purpose."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.peers.__main__ import _judged, _summed
from benchmarks.peers.notes import TWINS, Step, gather, steps
from benchmarks.peers.reading import files, read
from benchmarks.peers.score import Wrong, score, wrong_rows

NOW = {("a.md", "1"), ("a.md", "2"), ("b.md", "3")}
RIGHT = Wrong([], [], [], [], [])


@pytest.mark.parametrize(
    ("rows", "wrong"),
    [
        pytest.param(NOW, RIGHT, id="as it should be"),
        pytest.param(NOW | {("gone.md", "4")}, RIGHT._replace(gone=["gone.md"]), id="deleted, still indexed"),
        pytest.param(NOW - {("b.md", "3")}, RIGHT._replace(missing=["b.md"]), id="there, not indexed"),
        pytest.param(NOW | {("a.md", "old")}, RIGHT._replace(stale=["a.md"]), id="old text beside the new"),
        pytest.param(NOW - {("a.md", "2")}, RIGHT._replace(incomplete=["a.md"]), id="a part is lost"),
        pytest.param(
            {("a.md", "1"), ("a.md", "old"), ("b.md", "3")},
            RIGHT._replace(stale=["a.md"], incomplete=["a.md"]),
            id="old text in place of the new",
        ),
        pytest.param({("a.md", "3"), ("b.md", "1")},
                     RIGHT._replace(stale=["a.md", "b.md"], incomplete=["a.md", "b.md"]), id="texts of the other file"),
        pytest.param((), RIGHT._replace(missing=["a.md", "b.md"]), id="nothing"),
    ],
)  # fmt: skip
def test_each_way_to_be_wrong_is_told_by_its_name(rows: Any, wrong: Wrong) -> None:
    assert score(rows, NOW, sentences=(), found=()) == wrong


def test_a_sentence_that_no_row_holds_is_wrong_though_all_rows_are_there() -> None:
    assert score(NOW, NOW, sentences=["a.md", "b.md"], found=["b.md"]).unfound == ["a.md"]


def test_wrong_rows_are_those_too_many_and_those_too_few() -> None:
    assert wrong_rows(NOW - {("b.md", "3")} | {("c.md", "9")}, NOW) == 2


def run(rows: Any, wanted: Any, **more: Any) -> dict[str, Any]:
    """What a contestant's process tells."""
    took = {"start": 0.1, "index": 1.0, "save": 0.0}
    told = {
        "rows": sorted(map(list, rows)), "wanted": sorted(map(list, wanted)), "found": [], "findable": [],
        "stored": len(rows), "texts": 3, "calls": 1, "embedding": 0.1, "seconds": took, "processor": took,
        "failed": None, "process": {"peak_mb": 50.0},
    }  # fmt: skip
    return told | more


def test_the_sentence_must_be_found_where_it_can_be_and_nowhere_else() -> None:
    step = Step("S2", "edited", 2, sentences={"a.md": "new", "b.md": "new"})
    judged = _judged(run(NOW, NOW, findable=["a.md"]), step, None)  # in b.md the splitter cuts it in two
    assert judged["wrong"]["unfound"] == ["a.md"]


class TestAStoreThatNeverDeletes:
    STEPS = (Step("S0", "all", 2), Step("S3", "one deleted", 1), Step("S8", "nothing", 0))

    def summed(self) -> dict[str, Any]:
        after = NOW - {("b.md", "3")}
        judged = {
            step.name: [_judged(run(NOW, wanted), step, None)]
            for step, wanted in zip(self.STEPS, (NOW, after, after), strict=True)
        }
        return _summed(judged)

    def test_is_wrong_once_where_it_went_wrong_and_stays_wrong(self) -> None:
        told = [(one["new_wrong_files"], one["wrong_files"]) for one in self.summed().values()]
        assert told == [(0, 0), (1, 1), (0, 1)]

    def test_is_kept_without_the_names_of_files(self) -> None:
        summed = self.summed()
        assert summed["S3"]["wrong"] == {"gone": 1}
        assert "b.md" not in str(summed)


class TestAfterARunThatFailed:
    STEP = Step("S6", "fails", 1, fail=True)
    EDITED = NOW - {("a.md", "1")} | {("a.md", "new")}

    def test_the_old_rows_are_right(self) -> None:
        assert _judged(run(NOW, self.EDITED), self.STEP, [list(row) for row in NOW])["wrong_files"] == []

    def test_a_file_that_was_taken_out_is_wrong(self) -> None:
        judged = _judged(run({("b.md", "3")}, self.EDITED), self.STEP, [list(row) for row in NOW])
        assert judged["wrong_files"] == ["a.md"]


class TestTheNotes:
    def test_there_are_as_many_as_asked_for_and_twins_among_them(self, example_notes: Path, tmp_path: Path) -> None:
        told = gather(example_notes, tmp_path, 70)
        texts = [text for _, text in read(tmp_path)]
        assert len(texts) == 70 == told["real"] + told["generated"] + told["twins"]
        assert len(texts) - len(set(texts)) >= TWINS

    def test_the_steps_touch_no_file_twice_and_leave_a_twin_of_each_that_goes(
        self, example_notes: Path, tmp_path: Path
    ) -> None:
        gather(example_notes, tmp_path, 70)
        before, told = dict(read(tmp_path)), steps(tmp_path)
        for step in told:
            step.prepare()
        after = dict(read(tmp_path))
        gone = before.keys() - after.keys()
        assert len(gone) == 5 + TWINS + 5
        assert len(files(tmp_path)) == 70 - 5 - TWINS
        assert sum(before[path] in after.values() for path in gone) >= TWINS + 5  # twins and renamed ones
        edited = {path for step in told for path in step.sentences}
        assert len(edited) == 11
        assert all(after[path] != before[path] for path in edited)

    def test_too_few_notes_are_refused(self, example_notes: Path, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="at least 60"):
            gather(example_notes, tmp_path, 20)
