"""The steps of the dataset without a flow: identities, places, odd characters, what waits for a review."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import pytest

from benchmarks.planted import clean_rows
from components.dataset import steps
from components.dataset.params import DatasetParams, NoteKind, PersonalDatum
from components.dataset.verdict import audit_dataset
from components.errors import InputError
from components.evaluate import Question
from components.sncp import Kind
from components.sncp.params import PersonalData
from components.store import Artefact, Run

Row = dict[str, Any]


@dataclass
class Made:
    """What the steps made of some files."""

    gathered: Artefact
    checked: Artefact
    parts: Artefact
    audited: Artefact

    @property
    def verdict(self) -> Row:
        value: Row = self.audited.read_json("verdict.json")
        return value

    def rows(self, side: str) -> list[Row]:
        return list(self.parts.read_jsonl(self.parts.read_json("split.json")["files"][side]))


@dataclass
class House:
    folder: Path

    def write(self, name: str, rows: Sequence[Row], *, ascii_only: bool = False) -> Path:
        path = self.folder / name
        path.write_text("".join(json.dumps(row, ensure_ascii=ascii_only) + "\n" for row in rows), encoding="utf-8")
        return path

    def run(self, *files: Path, golden: Sequence[Question] = (), name: str = "mine", **values: Any) -> Made:
        params = DatasetParams.model_validate({"examples": [str(file) for file in files], **values})
        run = Run.create(self.folder / "ws", recipe=name, phase="dataset")
        gathered = steps.gather_examples(run, params, generated=None)
        checked = steps.check_dataset(run, params, examples=gathered, golden=golden, notes={})
        parts = steps.split_dataset(run, params, examples=gathered, check=checked)
        audited = audit_dataset(
            run, params, name=name, examples=gathered, split=parts, golden=golden, notes={}
        )  # fmt: skip
        run.update(status="done")
        return Made(gathered, checked, parts, audited)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_a_text_may_hold_any_line_end_and_no_row_moves(house: House) -> None:
    rows = list(clean_rows(20))
    for at, end in enumerate("\u2028\u2029\x85\x0b\x0c\x1c"):
        rows[at]["conversations"][1]["value"] += f" Fine{end}riga."
    made = house.run(house.write("rows.jsonl", rows))
    assert made.verdict["rows"] == {"train": 18, "validation": 2}
    kept = {row["id"]: row for side in ("train", "validation") for row in made.rows(side)}
    assert kept == {row["id"]: row for row in rows}


def test_half_a_character_is_a_finding_and_no_crash(house: House) -> None:
    rows = list(clean_rows(6))
    rows[2]["conversations"][1]["value"] = "Sta nella nota \ud83d qui."
    path = house.write("rows.jsonl", rows, ascii_only=True)
    made = house.run(path)
    assert not made.verdict["passed"]
    assert [reason for reason in made.verdict["reasons"] if reason.startswith(f"{path}:3: A2")]
    assert made.gathered.facts["examples"] == 5


def test_what_is_said_of_another_row_names_where_that_was_written(house: House) -> None:
    rows = list(clean_rows(8))
    one, other = house.write("one.jsonl", rows[:6]), house.write("other.jsonl", [rows[6], {**rows[4], "id": "twin"}])
    made = house.run(one, other)
    [double] = [found for found in made.checked.read_json("report.json")["findings"] if found["rule"] == "E1"]
    assert (double["file"], double["line"]) == (str(other), 2)
    assert f"line 5 of {one}" in double["message"]
    [left] = made.parts.read_jsonl("left_out.jsonl")
    assert (left["row"]["id"], left["rules"]) == ("twin", ["E1"])


def test_the_verdict_names_the_place_and_the_rule_once(house: House) -> None:
    rows = list(clean_rows(12))
    rows[7]["conversations"][1]["value"] = None
    path = house.write("rows.jsonl", rows)
    made = house.run(path)
    assert not made.verdict["passed"]
    [reason] = [reason for reason in made.verdict["reasons"] if reason.startswith("B5 ")]
    assert f"{path}:8: " in reason


def test_a_step_is_done_again_for_whatever_changes_what_it_says(house: House) -> None:
    path = house.write("rows.jsonl", list(clean_rows(12)))
    first = house.run(path)
    again = house.run(path)
    assert [again.checked.id, again.parts.id, again.audited.id] == [
        first.checked.id, first.parts.id, first.audited.id,
    ]  # fmt: skip
    strict = house.run(path, check={"fail_on": "info"})
    assert strict.checked.id != first.checked.id
    assert house.run(path, name="other").audited.id != first.audited.id
    question = Question(id="q", question="Quanti olivi ci sono?", lang="it", kind="fact", gold=())
    assert house.run(path, golden=[question]).checked.id != first.checked.id


def test_only_what_the_newest_run_of_a_recipe_holds_back_waits(house: House) -> None:
    path = house.write("mine.jsonl", list(clean_rows(4)))
    written = [{**row, "provenance": {"kind": "generated", "model": "m", "note": "a.md"}} for row in clean_rows(3)]
    log = house.write("log.jsonl", written)
    house.run(path, log, name="mine")
    waiting = steps.waiting_file(house.folder / "ws", recipe="mine")
    assert waiting is not None and len(waiting.read_text(encoding="utf-8").splitlines()) == 3
    house.run(path, name="other")
    assert steps.waiting_file(house.folder / "ws", recipe="other") is None
    assert steps.waiting_file(house.folder / "ws", recipe="mine") == waiting
    house.run(path, name="mine")
    assert steps.waiting_file(house.folder / "ws", recipe="mine") is None


def test_no_examples_at_all_is_told(house: House) -> None:
    with pytest.raises(InputError, match="no examples"):
        house.run()
    with pytest.raises(InputError, match="no such file"):
        house.run(house.folder / "nowhere*.jsonl")


def test_names_are_those_of_the_notes() -> None:
    assert get_args(NoteKind) == get_args(Kind)
    assert set(get_args(PersonalDatum)) == set(get_args(PersonalData))
