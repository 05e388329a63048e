"""Forgetting: nothing of a note or a secret is left, in any byte of any file; the rest is as it was."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from components.errors import InputError, TerminalError
from components.recipe.forget import alone_in, asking_in
from components.store import Run, StepSpec, recorded_step
from components.store.purge import Words
from tests.recipe.forget_house import KEPT, SECRET, WORDS, House


def test_a_note_is_gone_from_every_byte(house: House) -> None:
    assert b"cassetto di sinistra" in house.everything() and "casa.md" in house.found("cassetto")
    before = house.vectors()
    forgetting = house.forgetting("casa.md")
    places = " ".join(forgetting.found())
    for place in (
        "index:",
        "vectors:",
        "answers:",
        "sncp.collect:",
        "index.chunk:",
        "runs:",
        "mlflow.db",
        "server.log",
    ):
        assert place in places
    forgetting.forget()
    assert forgetting.left() == []
    assert house.vectors() == before - 2
    left = house.everything()
    for word in (b"cassetto", b"Quattro sedie", b"chiave piccola", b"casa.md"):
        assert word not in left, word
    assert "casa.md" not in house.found("cassetto di sinistra")
    assert house.found("portineria")[0] == "orari.md"
    assert KEPT.encode() in left
    assert forgetting.on_disk() == ["casa.md"]


def test_a_secret_is_gone_in_all_its_spellings(house: House) -> None:
    forgetting = house.forgetting(secret=SECRET + "\n")
    forgetting.forget()
    assert forgetting.left() == []
    left = house.everything()
    for spelling in (SECRET, json.dumps(SECRET)[1:-1], json.dumps(json.dumps(SECRET))[3:-3], "zz9"):
        assert spelling.encode() not in left
    assert house.found("portineria")[0] == "orari.md" and "casa.md" in house.found("cassetto")
    assert forgetting.on_disk() == ["voce.md:3"]


def test_what_records_keeps_its_rows_and_files(house: House) -> None:
    house.forgetting("casa.md").forget()
    house.forgetting(secret=SECRET).forget()
    for name in ("mlflow/mlflow.db", "prefect/prefect.db"):
        connection = sqlite3.connect(house.workspace / name)
        told = [
            json.loads(json.loads(value)["data"])["text"] for (value,) in connection.execute("SELECT value FROM params")
        ]
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        connection.close()
        assert len(told) == 3 and KEPT in told and "[forgotten]" in told
    log = (house.workspace / "prefect" / "server.log").read_text(encoding="utf-8")
    assert log.startswith("one\n") and log.endswith("\ntwo\n") and "[forgotten]" in log
    assert len(json.loads((house.workspace / "mlflow/artifacts/1/questions.json").read_text(encoding="utf-8"))) == 3


def test_the_next_run_makes_it_again_and_embeds_only_what_comes_back(house: House) -> None:
    house.forgetting("casa.md").forget()
    run = house.index()
    steps = {step["name"]: step for step in run.read()["steps"]}
    assert {step["status"] for step in steps.values()} <= {"done", "skipped"}
    assert steps["index.build"]["facts"]["embedded"] == 2  # the note is still on disk
    (house.root / "casa.md").unlink()
    house.forgetting("casa.md").forget()
    house.index()
    assert b"cassetto" not in house.everything()
    assert set(house.found("cassetto")) == {"orari.md", "voce.md"}


@pytest.mark.parametrize(
    "victim",
    ["forget_vectors", "forget_answers", "blot_database", "blot_file", "forget_rows", "remove_folder"],
)
@pytest.mark.parametrize("call", [0, 1])
def test_killed_in_the_middle_it_is_finished_by_the_same_command(
    house: House, monkeypatch: pytest.MonkeyPatch, victim: str, call: int
) -> None:
    from components.recipe import forget

    (house.root / "casa.md").unlink()  # nothing but the workspace tells what the note said
    work, calls = getattr(forget, victim), []

    def die(*arguments: Any, **named: Any) -> Any:
        calls.append(named.get("do", True))
        if sum(calls) > call:
            raise KeyboardInterrupt
        return work(*arguments, **named)

    with monkeypatch.context() as patched:
        patched.setattr(forget, victim, die)
        try:
            house.forgetting("casa.md").forget()
        except KeyboardInterrupt:
            pass
    try:
        house.forgetting("casa.md").forget()
    except InputError as error:  # the last thing was removed before the kill
        assert "no note is called" in str(error)
    assert b"cassetto" not in house.everything()
    assert "casa.md" not in house.found("cassetto di sinistra")


def test_a_note_that_was_renamed_is_forgotten_by_its_new_name(house: House) -> None:
    (house.root / "casa.md").rename(house.root / "nuova.md")
    house.index()
    house.forgetting("nuova.md").forget()
    assert b"cassetto" not in house.everything()


def test_examples_that_were_made_from_a_note_go_with_it(house: House) -> None:
    run = Run.create(house.workspace, recipe="casa", phase="dataset")
    with recorded_step(run, StepSpec("dataset.generate", 1, {"of": "casa"})) as step:
        asked = [{"from": "human", "value": "Dove sta il contratto?"}, {"from": "gpt", "value": "A sinistra, dice."}]
        step.write_jsonl("generated.jsonl", [{"conversations": asked, "provenance": {"note": "casa.md"}}])
    with recorded_step(run, StepSpec("dataset.generate", 1, {"of": "orari"})) as step:
        step.write_jsonl("generated.jsonl", [{"conversations": asked, "provenance": {"note": "orari.md"}}])
    run.update(status="done")
    house.forgetting("casa.md").forget()
    left = [path.read_text(encoding="utf-8") for path in house.workspace.glob("store/dataset.generate/*/*.jsonl")]
    assert len(left) == 1 and "orari.md" in left[0]


def test_lines_that_another_note_has_too_are_no_part_of_it(house: House) -> None:
    (house.root / "casa.md").write_text(f"# Casa\n\n{WORDS}.\n\n{KEPT}.\n", encoding="utf-8")
    house.index()
    house.forgetting("casa.md").forget()
    assert b"cassetto" not in house.everything()
    assert house.found("portineria") and house.found("portineria")[0] == "orari.md"


def test_a_twin_is_named(house: House) -> None:
    (house.root / "copia.md").write_bytes((house.root / "casa.md").read_bytes())
    house.index()
    with pytest.raises(InputError, match=r"copia\.md has the very text of casa\.md"):
        house.forgetting("casa.md")
    house.forgetting("c*.md").forget()
    assert b"cassetto" not in house.everything()


def test_a_note_that_nobody_knows(house: House) -> None:
    with pytest.raises(InputError, match=r"no note is called mai\.md"):
        house.forgetting("mai.md")


@pytest.mark.parametrize("text", ["", "abc", "  12345  \n"])
def test_a_secret_that_is_too_short(text: str) -> None:
    with pytest.raises(InputError, match="found everywhere"):
        Words.of_secret(text)


def test_a_run_at_work_is_waited_for_and_none_begins_meanwhile(house: House) -> None:
    run = Run.create(house.workspace, recipe="casa", phase="reindex")
    with pytest.raises(TerminalError, match=f"run {run.id} is at work"), alone_in(house.workspace, "forget"):
        pass
    run.update(status="done")
    with alone_in(house.workspace, "forget"), pytest.raises(TerminalError, match="gc or forget is at work"):
        Run.create(house.workspace, recipe="casa", phase="reindex", wait_seconds=0)
    house.index()


def test_a_question_is_waited_for_and_none_is_begun_meanwhile(house: House) -> None:
    with asking_in(house.workspace), asking_in(house.workspace):
        house.index()  # runs and questions go together
        with pytest.raises(TerminalError, match=r"a question is being answered .*; forget when that has ended"):
            with alone_in(house.workspace, "forget"):
                pass
    with alone_in(house.workspace, "forget"):
        with pytest.raises(TerminalError, match="ask again when it is done"), asking_in(house.workspace):
            pass
        with pytest.raises(TerminalError, match=r"\(forget, since .*has held"), alone_in(house.workspace, "gc"):
            pass


def test_asking_makes_no_workspace(tmp_path: Path) -> None:
    with asking_in(tmp_path / "none"):
        assert not (tmp_path / "none").exists()
