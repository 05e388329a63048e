"""Forgetting: nothing of a note or a secret is left, in any byte of any file; the rest is as it was."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from components.errors import InputError, TerminalError
from components.index import steps as index
from components.llm.cache import CacheFile
from components.persona import steps as persona
from components.recipe.cleaning import remove_unused
from components.recipe.forget import Forgetting, alone_in, asking_in, note_words
from components.recipe.load import to_yaml
from components.recipe.model import Recipe
from components.recipe.unused import Look
from components.sncp import steps as sncp
from components.store import Run, StepSpec, Store, list_runs, recorded_step
from components.store.purge import Words

WORDS = "Il cassetto di sinistra contiene il contratto della casa e la chiave piccola"
KEPT = "La portineria apre alle otto e chiude alle venti nei giorni feriali"
SECRET = 'pa"ss\\wörd-zz9'


class House:
    """A workspace whose notes were read, cut, embedded and published, with everything beside that may hold words."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "notes"
        self.root.mkdir()
        (self.root / "casa.md").write_text(f"# Casa\n\n{WORDS}.\n\n## Altro\n\nQuattro sedie.\n", encoding="utf-8")
        (self.root / "orari.md").write_text(f"# Orari\n\n{KEPT}.\n", encoding="utf-8")
        (self.root / "voce.md").write_text(f"# Voce\n\nSi entra con {SECRET} dal retro.\n", encoding="utf-8")
        self.workspace = folder / "ws"
        self.recipe = Recipe.model_validate({
            "name": "casa", "phase": "reindex", "workspace": str(self.workspace),
            "sncp": {"root": str(self.root), "include": ["*.md"]},
            "index": {"embedding": {"model": "fake/embedding"}},
        })  # fmt: skip
        self.run = self.index()
        self.scatter()

    def index(self) -> Run:
        recipe = self.recipe
        run = Run.create(self.workspace, recipe=recipe.name, phase=recipe.phase)
        notes = sncp.collect_notes(run, recipe.sncp, persona_files=[])
        chunks = index.chunk_notes(run, recipe.index, notes=notes)
        index.build_index(run, recipe.index, chunks=chunks, root=self.root)
        persona.compile_persona(run, recipe.persona, root=self.root, documents=sncp.read_documents(notes))
        run.update(status="done")
        return run

    def freeze(self, run: Run, recipe: Recipe | None = None) -> None:
        """Keep with a run the recipe that it used."""
        values = (recipe or self.recipe).model_dump(mode="json", exclude={"extends"})
        (run.folder / "recipe.yaml").write_text(to_yaml(values), encoding="utf-8")

    def scatter(self) -> None:
        """What Prefect, MLflow, logs, caches and a killed step may hold."""
        for name in ("mlflow/mlflow.db", "prefect/prefect.db"):
            path = self.workspace / name
            path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(path)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("CREATE TABLE log (id INTEGER PRIMARY KEY, message TEXT, data BLOB)")
            connection.execute("CREATE TABLE params (key TEXT, value TEXT, PRIMARY KEY (key)) WITHOUT ROWID")
            for text in (WORDS, SECRET, KEPT):
                twice = json.dumps({"data": json.dumps({"text": text})})
                connection.execute("INSERT INTO log (message, data) VALUES (?, ?)", (f"said {text}.", text.encode()))
                connection.execute("INSERT INTO params VALUES (?, ?)", (text[:10], twice))
            connection.commit()
            connection.execute("PRAGMA secure_delete=OFF")
            connection.execute("DELETE FROM log WHERE id = 1")  # what is deleted is still in the file
            connection.commit()
            connection.close()
        cache = CacheFile(self.workspace / "cache" / "responses.sqlite")
        for number, text in enumerate((WORDS, SECRET, KEPT)):
            cache.put({str(number): json.dumps({"text": text}).encode()})
        cache.close()
        for name, text in {
            "prefect/server.log": f"one\n{WORDS}\n{SECRET}\ntwo\n",
            "mlflow/artifacts/1/questions.json": json.dumps([WORDS, SECRET, KEPT], ensure_ascii=False),
            "scratch/abc/half.jsonl": json.dumps(WORDS) + json.dumps(SECRET),
            "store/index.chunk/.0123.x/chunks.jsonl": json.dumps(WORDS) + json.dumps(SECRET),
            "cache/responses.sqlite.corrupt-1": WORDS + SECRET,
        }.items():
            path = self.workspace / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        self.run.update(error=f"{WORDS} {SECRET}")

    def everything(self) -> bytes:
        return b"".join(path.read_bytes() for path in sorted(self.workspace.rglob("*")) if path.is_file())

    def found(self, question: str) -> list[str]:
        opened = index.open_index(self.recipe.index, workspace=self.workspace)
        return [hit.path for hit in opened.search(question, k=9)]

    def vectors(self) -> int:
        with sqlite3.connect(self.workspace / "cache" / "embeddings.sqlite") as connection:
            count: int = connection.execute("SELECT count(*) FROM cache").fetchone()[0]
        connection.close()
        return count

    def forgetting(self, *notes: str, secret: str = "") -> Forgetting:
        if secret:
            return Forgetting(self.recipe, Words.of_secret(secret))
        return Forgetting(self.recipe, *note_words(self.recipe, notes))


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


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


class TestUnused:
    """What `gc` keeps and removes."""

    def collect(self, house: House, **options: Any) -> list[str]:
        look = Look(house.recipe, **options)
        return [f"{item.kind} {item.path.relative_to(house.workspace)}" for item in remove_unused(look, look.find())]

    def test_after_a_hundred_runs_everything_is_still_sealed(self, house: House) -> None:
        for number in range(100):
            if number % 10 == 0:
                (house.root / "orari.md").write_text(f"# Orari\n\n{KEPT} {number}.\n", encoding="utf-8")
            house.index()
        before = len(list((house.workspace / "store" / "sncp.collect").iterdir()))
        removed = self.collect(house, keep=3)
        assert before == 11 and sum("sncp.collect" in item for item in removed) == 10
        run = house.index()
        assert {step["status"] for step in run.read()["steps"]} == {"skipped"}
        assert house.found("portineria")[0] == "orari.md"
        assert len(list_runs(house.workspace)) == 102  # the record stays
        assert self.collect(house, keep=3) == []

    def test_what_a_rollback_of_another_recipes_index_needs_stays(self, house: House) -> None:
        ours = house.recipe
        other = {**ours.index.model_dump(mode="json"), "uri": str(house.workspace / "another index")}
        house.recipe = ours.model_copy(update={"name": "altra", "index": type(ours.index).model_validate(other)})
        for number in range(3):
            (house.root / "orari.md").write_text(f"# Orari\n\n{KEPT} {number}.\n", encoding="utf-8")
            house.freeze(house.index())
        needed = index.history_artefacts(house.recipe.index, workspace=house.workspace)
        assert len(needed) == 3
        house.recipe = ours
        assert self.collect(house, keep=1)
        for artefact in needed:
            Store(house.workspace).open(artefact)

    def test_what_was_left_by_the_dead_goes(self, house: House) -> None:
        import os

        old = house.workspace / "scratch" / "abc"
        for path in (old / "half.jsonl", old):
            os.utime(path, (1, 1))
        young = house.workspace / "scratch" / "young"
        young.mkdir()
        (house.workspace / "locks" / "dead.step").touch()
        removed = self.collect(house)
        assert "scratch scratch/abc" in removed and young.is_dir()
        assert "half-made store/index.chunk/.0123.x" in removed and "cache cache/responses.sqlite.corrupt-1" in removed
        assert not (house.workspace / "locks" / "dead.step").exists()

    def test_the_newest_run_of_each_recipe_and_release_is_kept(self, house: House) -> None:
        house.run.update(mlflow={"run": "r", "model": "m", "version": 1})
        kept = {step["artefact"] for step in house.run.read()["steps"]}
        (house.root / "orari.md").write_text(f"# Orari\n\n{KEPT} uno.\n", encoding="utf-8")
        between = {step["artefact"] for step in house.index().read()["steps"]} - kept
        (house.root / "orari.md").write_text(f"# Orari\n\n{KEPT} due.\n", encoding="utf-8")
        house.index()
        self.collect(house, keep=1)
        store = Store(house.workspace)
        for artefact in kept:
            store.open(artefact)
        gone = [artefact for artefact in between if not (house.workspace / "store" / artefact).exists()]
        # The chunks stay: the index can go back to them.
        assert {artefact.split("/")[0] for artefact in gone} == {"sncp.collect", "index.build"}

    def test_age_instead_of_count(self, house: House) -> None:
        from datetime import timedelta

        (house.root / "orari.md").write_text(f"# Orari\n\n{KEPT} uno.\n", encoding="utf-8")
        house.index()
        assert not [item for item in self.collect(house, older_than=timedelta(days=1)) if item.startswith("artefact")]
        assert [item for item in self.collect(house, older_than=timedelta(0)) if item.startswith("artefact")]

    def test_each_combination_of_a_matrix_is_kept(self, house: House) -> None:
        for number in range(3):
            (house.root / "orari.md").write_text(f"# Orari\n\n{KEPT} {number}.\n", encoding="utf-8")
            house.index().update(matrix={"run": "r", "combination": str(number), "values": {}})
        assert not [item for item in self.collect(house, keep=1) if item.startswith("artefact")]

    def test_an_index_of_combinations_of_which_no_run_is_kept(self, house: House) -> None:
        def run_of(name: str) -> None:
            uri = house.workspace / "matrix" / name
            house.recipe = whole.model_copy(update={"index": whole.index.model_copy(update={"uri": uri})})
            house.freeze(house.index())

        whole = house.recipe

        def removed() -> list[str]:
            return [item for item in self.collect(house, keep=1) if item.startswith("index ")]

        run_of("old")
        assert removed() == []
        run_of("new")
        assert removed() == ["index matrix/old"]
        assert not (house.workspace / "matrix" / "old").exists()
        assert house.found("portineria")[0] == "orari.md"
        house.recipe = whole
        assert house.found("portineria")[0] == "orari.md"  # the recipe's own index is never unused
        run_of("old")
        assert house.found("portineria")[0] == "orari.md"

    def test_a_damaged_record_of_a_run_is_no_hindrance(self, house: House) -> None:
        from datetime import timedelta

        record = house.index().folder / "run.json"
        record.write_text("{garbage", encoding="utf-8")
        for options in ({"keep": 1}, {"older_than": timedelta(0)}):
            self.collect(house, **options)
        assert record.exists() and house.found("portineria")[0] == "orari.md"
