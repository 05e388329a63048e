"""`cervella promote` and `cervella rollback` as their users call them: words, JSON, exit codes."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.store.locks import FileLock
from flows.commands.champion import promote_command, rollback_command
from tests.flows.conftest import Done
from tests.registry.shelf import ADAPTER, Shelf

Here = Callable[..., Done]


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "work space")


@pytest.fixture
def recipe(tmp_path: Path, examples: Path) -> Path:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "uno.md").write_text("# Uno\n", encoding="utf-8")
    file = tmp_path / "test.yaml"
    lines = (
        "name: test", "phase: mvp", "workspace: work space", "sncp: {root: notes}",
        f"persona: {{constitution: {examples}/persona/COSTITUZIONE.md}}",
        f"evaluate: {{golden: {examples}/golden.jsonl}}",
    )  # fmt: skip
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


@pytest.fixture(autouse=True)
def git_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs these tests is Dora."""
    for key, value in {"COUNT": "1", "KEY_0": "user.name", "VALUE_0": "Dora"}.items():
        monkeypatch.setenv(f"GIT_CONFIG_{key}", value)


def test_the_gate_decides_and_a_person_may_decide_otherwise(here: Here, shelf: Shelf, recipe: Path) -> None:
    made = shelf.run("Uno.", verdict="NO-GO")
    refused = here("promote", recipe)
    assert refused.code == 1
    assert "refused: the gate of phase mvp says NO-GO" in refused.out
    assert "NO-GO        recall_at_5: as Uno. is" in refused.out and "nothing is in service as cervella" in refused.out
    assert here("promote", recipe, "--reason", "perché sì").code == 2
    done = here("promote", recipe, "--reason", "misurata a mano da noi due")
    assert done.code == 0, done.err
    assert f"in service: cervella version 1, release {made.digest[:12]}, since " in done.out
    assert "promoted by Dora" in done.out and "reason: misurata a mano da noi due" in done.out
    assert "prompt: 4 tokens; model: fake/good; adapter: none" in done.out and "search: k 8, fusion minmax" in done.out
    assert "MLflow does not tell it yet" in done.err  # there is none here
    again = here("promote", recipe)
    assert (again.code, again.out.splitlines()[0].partition(":")[0]) == (0, "in service, as before")


def test_forth_and_back_in_json(here: Here, shelf: Shelf, recipe: Path) -> None:
    one, two = shelf.run("Uno.", k=8), shelf.run("Due e tre.", k=5, adapter=ADAPTER)
    assert here("promote", recipe, "--run", one.run.id, "--json").json["differences"] == []
    told = here("promote", recipe, "--json").json
    assert (told["model"], told["changed"], told["refused"]) == ("cervella", True, None)
    assert (told["champion"]["to"], told["champion"]["from"], told["before"]["to"]) == (
        two.digest,
        one.digest,
        one.digest,
    )
    assert {"what": "index.search.k", "before": 8, "now": 5} in told["differences"]
    back = here("rollback", recipe, "--json")
    assert (back.code, back.json["champion"]["to"], back.json["champion"]["what"]) == (0, one.digest, "rollback")
    assert {"what": "prompt_tokens", "before": 10, "now": 4} in back.json["differences"]
    further = here("rollback", recipe)
    assert further.code == 3 and "nothing to go back to" in further.err and "--to 2 or" in further.err
    assert here("rollback", recipe, "--to", "2", "--reason", "era meglio").code == 0
    assert here("rollback", recipe, "--to", "99").code == 2


def test_refused_in_json(here: Here, shelf: Shelf, recipe: Path) -> None:
    shelf.run("Uno.", verdict="INCONCLUSIVE")
    done = here("promote", recipe, "--json")
    assert (done.code, done.json["champion"], done.json["changed"]) == (1, None, False)
    assert done.json["refused"]["criteria"][0]["reason"] == "as Uno. is"


@pytest.mark.parametrize("command", ["promote", "rollback"])
def test_without_anything_it_says_what_to_do_first(here: Here, shelf: Shelf, recipe: Path, command: str) -> None:
    nowhere = here(command, recipe)
    assert nowhere.code == 3 and "is not there yet: cervella run" in nowhere.err
    assert not shelf.workspace.exists()
    shelf.run("Uno.", register=False)
    done = here(command, recipe)
    assert done.code == 3 and "cervella" in done.err


def test_a_release_that_is_gone(here: Here, shelf: Shelf, recipe: Path) -> None:
    made = shelf.run("Uno.")
    shutil.rmtree(made.release.path)
    done = here("promote", recipe)
    assert done.code == 3 and "not made yet" in done.err and "seals it again" in done.err


def test_while_gc_is_at_work_nothing_is_promoted(here: Here, shelf: Shelf, recipe: Path) -> None:
    shelf.run("Uno.")
    lock = FileLock(shelf.workspace / "locks" / "keep")
    assert lock.try_exclusive()
    done = here("promote", recipe)
    lock.close()
    assert done.code == 3 and "gc or forget is at work" in done.err
    assert here("promote", recipe).code == 0


def test_forget_says_that_the_champion_is_gone_and_what_to_do(
    here: Here, shelf: Shelf, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.run("Uno.")
    here("promote", recipe)
    shelf.run("Sei Cervella, e la chiave piccola è nel cassetto.")
    here("promote", recipe)
    monkeypatch.setattr("sys.stdin", io.StringIO("la chiave piccola"))
    done = here("forget", recipe, "--secret", "--yes")
    assert done.code == 0, done.err
    assert "among it is what is in service: cervella version 2" in done.out
    assert "the release in service as cervella is gone" in done.err and "cervella rollback" in done.err
    doctor = here("doctor", recipe)
    assert "✗ champion" in doctor.out
    assert here("rollback", recipe).code == 0


def test_help_names_what_it_does() -> None:
    commands: list[Any] = [promote_command, rollback_command]
    for command, options in zip(commands, ({"run", "reason"}, {"to", "reason"}), strict=True):
        assert options | {"recipe", "overrides", "as_json"} == {param.name for param in command.params}
        assert all(param.help for param in command.params if param.name not in ("recipe",))
