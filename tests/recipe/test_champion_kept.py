"""What is in service is never collected; what holds a forgotten text goes although it is in service, and is told."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.errors import TerminalError
from components.recipe.cleaning import remove_unused
from components.recipe.forget import Forgetting
from components.recipe.model import Recipe
from components.recipe.unused import Look
from components.registry.champion.record import champion_file, read_champion
from components.services.doctor_champion import check_champions
from components.store import Store
from components.store.purge import Words
from tests.registry.shelf import ADAPTER, Shelf

WORDS = "il cassetto di sinistra contiene la chiave piccola"


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "ws")


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    (tmp_path / "notes").mkdir()
    return Recipe.model_validate({
        "name": "test", "phase": "mvp", "workspace": str(tmp_path / "ws"), "sncp": {"root": str(tmp_path / "notes")},
    })  # fmt: skip


def collect(recipe: Recipe) -> list[str]:
    look = Look(recipe, keep=1)
    return [item.path.relative_to(recipe.workspace).as_posix() for item in remove_unused(look, look.find())]


def forgetting(recipe: Recipe, text: str) -> Forgetting:
    return Forgetting(recipe, Words.of_secret(text))


class TestUnused:
    """gc."""

    def test_the_champion_and_those_before_it_stay_with_their_scores(self, shelf: Shelf, recipe: Recipe) -> None:
        made = [shelf.run(f"{n}.") for n in range(4)]
        for one in made[:3]:
            shelf.promote(run=one.run.id)
        shelf.run("4.")
        for one in made:  # else each would be kept as the newest run of its release
            one.run.update(mlflow=None)
        removed = collect(recipe)
        assert made[3].release.id in str(removed) and made[0].release.id not in str(removed)
        store = Store(recipe.workspace)
        for one in shelf.history():
            for artefact in (one.release, one.scorecard, one.gate):
                store.open(str(artefact))
        for step in made[0].run.read()["steps"]:
            store.open(step["artefact"])  # all that its run made, an adapter for another server included
        assert [shelf.rollback().champion.digest for _ in range(2)] == [made[1].digest, made[0].digest]

    def test_beyond_the_last_ten_they_go(self, shelf: Shelf, recipe: Recipe) -> None:
        made = [shelf.run(f"{n}.") for n in range(13)]
        for one in made:
            shelf.promote(run=one.run.id)
            one.run.update(mlflow=None)
        removed = str(collect(recipe))
        assert [one.release.id in removed for one in made] == [True] * 2 + [False] * 11

    def test_where_many_rollbacks_lie_between_the_line_back_stays(self, shelf: Shelf, recipe: Recipe) -> None:
        one, two = shelf.run("Uno."), shelf.run("Due.")
        for run in (one, two):
            shelf.promote(run=run.run.id)
        for _ in range(6):
            three = shelf.run("Tre.")
            shelf.promote(run=three.run.id)
            shelf.rollback()
        for made in shelf.made:
            made.run.update(mlflow=None)
        collect(recipe)
        assert shelf.rollback().champion.digest == one.digest

    def test_nobody_knows_what_a_damaged_file_needs(self, shelf: Shelf, recipe: Recipe) -> None:
        shelf.run("Uno.")
        shelf.promote()
        champion_file(shelf.workspace).write_text("{}")
        with pytest.raises(TerminalError, match="champion.json"):
            Look(recipe, keep=1).find()

    def test_a_write_that_was_killed(self, shelf: Shelf, recipe: Recipe) -> None:
        shelf.run("Uno.")
        shelf.promote()
        beside = champion_file(shelf.workspace).with_name(".champion.json.x1_2abcd")
        beside.touch()
        assert collect(recipe) == [] and beside.exists()  # it may be a write that is under way
        os.utime(beside, (1, 1))
        assert "registry/.champion.json.x1_2abcd" in collect(recipe) and not beside.exists()
        assert champion_file(shelf.workspace).is_file()


class TestForget:
    """forget."""

    def test_a_release_that_holds_the_text_goes_and_the_champion_is_named(self, shelf: Shelf, recipe: Recipe) -> None:
        one, two = shelf.run("Uno."), shelf.run(f"Sei Cervella, e {WORDS}.")
        for run in (one, two):
            shelf.promote(run=run.run.id)
        asked = forgetting(recipe, WORDS)
        assert f"registry.release: {two.release.path}" in asked.found()
        assert {name: gone.digest for name, gone in asked.champions().items()} == {"cervella": two.digest}
        asked.forget()
        assert asked.left() == [] and not two.release.path.exists() and one.release.path.exists()
        champion = read_champion(shelf.workspace, "cervella")
        assert champion is not None and champion.digest == two.digest  # the history is a record
        assert shelf.rollback().champion.digest == one.digest

    def test_one_that_is_not_in_service_is_no_champion(self, shelf: Shelf, recipe: Recipe) -> None:
        one, two = shelf.run(f"Sei Cervella, e {WORDS}."), shelf.run("Due.")
        for run in (one, two):
            shelf.promote(run=run.run.id)
        asked = forgetting(recipe, WORDS)
        assert asked.champions() == {}
        asked.forget()
        with pytest.raises(TerminalError, match="cannot go back to version 1"):
            shelf.rollback()

    def test_the_session_is_searched_too(self, shelf: Shelf, recipe: Recipe) -> None:
        made = shelf.run("Uno.")
        forgetting(recipe, "Oggi: la cucina").forget()
        assert not made.release.path.exists()

    def test_a_reason_is_blotted_and_the_file_stays_whole(self, shelf: Shelf, recipe: Recipe) -> None:
        made = shelf.run("Uno.")
        shelf.promote(reason=f"perché {WORDS}")
        forgetting(recipe, WORDS).forget()
        champion = read_champion(shelf.workspace, "cervella")
        assert champion is not None and champion.reason == "perché [forgotten]"
        assert made.release.path.exists()

    def test_what_was_damaged_is_not_made_to_look_whole(self, shelf: Shelf, recipe: Recipe) -> None:
        shelf.run("Uno.")
        shelf.promote(reason=f"perché {WORDS}")
        file = champion_file(shelf.workspace)
        file.write_bytes(file.read_bytes().replace(b"Anna", b"Eva"))
        forgetting(recipe, WORDS).forget()
        assert WORDS.encode() not in file.read_bytes()
        with pytest.raises(TerminalError, match="checksum"):
            read_champion(shelf.workspace, "cervella")

    def test_a_release_with_an_adapter_that_was_trained_on_it_goes(self, shelf: Shelf, recipe: Recipe) -> None:
        """No byte of the release says so: its weights do."""
        from tests.registry.shelf import seal

        trained = shelf.run("Uno.", adapter=ADAPTER)
        other = shelf.run("Due.", adapter=ADAPTER + b"other")
        from components.store import StepSpec

        prepared = seal(trained.run, StepSpec("train.prepare", 1), {"train.jsonl": WORDS})
        shutil.rmtree(shelf.workspace / "store" / "train.export")
        seal(trained.run, StepSpec("train.export", 1, {}, {"trained": prepared.digest}), {"adapter.gguf": ADAPTER})
        shelf.promote(run=trained.run.id)
        copies = shelf.workspace / "mlflow" / "artifacts" / "1"
        copies.mkdir(parents=True)
        (copies / "adapter.gguf").write_bytes(ADAPTER)
        (copies / "prompt.md").write_text("Uno.")
        asked = forgetting(recipe, WORDS)
        assert set(asked.champions()) == {"cervella"}
        asked.forget()
        assert not trained.release.path.exists() and other.release.path.exists()
        assert [path.name for path in copies.iterdir()] == ["prompt.md"]


class TestDoctor:
    """doctor."""

    def test_nothing_in_service(self, shelf: Shelf) -> None:
        [check] = check_champions(shelf.workspace)
        assert (check.level, check.says) == ("ok", "nothing is in service yet")

    @pytest.mark.parametrize(
        ("spoil", "level", "words"),
        [
            (lambda shelf: None, "ok", "cervella version 1, release "),
            (lambda shelf: shutil.rmtree(shelf.made[0].release.path), "problem", "not made yet"),
            (lambda shelf: champion_file(shelf.workspace).write_text("{}"), "problem", "champion.json cannot be read"),
        ],
        ids=["whole", "gone", "damaged"],
    )  # fmt: skip
    def test_the_file_and_its_release(
        self, shelf: Shelf, spoil: Callable[[Shelf], Any], level: str, words: str
    ) -> None:  # fmt: skip
        shelf.run("Uno.")
        shelf.promote()
        spoil(shelf)
        [check] = check_champions(shelf.workspace, recipe="mvp")
        assert (check.level, bool(check.mend)) == (level, level != "ok")
        assert words in check.says, check

    def test_an_alias_that_tells_another(self, tmp_path: Path) -> None:
        from components.registry import sqlite_uri
        from components.store.mlflow_database import make_database

        make_database(sqlite_uri(tmp_path))
        shelf = Shelf(tmp_path / "ws", tmp_path / "mlflow.db")
        shelf.run("Uno.")
        shelf.run("Due.")
        shelf.promote()
        assert [check.level for check in check_champions(shelf.workspace)] == ["ok"]
        for change, words in (
            ("update registered_model_aliases set version = 1", "champion of cervella is version 1"),
            ("delete from registered_model_aliases", "no alias champion"),
        ):
            connection = sqlite3.connect(shelf.workspace / "mlflow" / "mlflow.db")
            connection.execute(f"{change} where alias = 'champion'")
            connection.commit()
            connection.close()
            [check] = check_champions(shelf.workspace)
            assert check.level == "warning" and words in check.says and check.mend
        shelf.promote()
        assert [check.level for check in check_champions(shelf.workspace)] == ["ok"]
