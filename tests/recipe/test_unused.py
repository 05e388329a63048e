"""What a workspace need not keep: what a run goes on from, what a server uses and what a person put there stays."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.index.published import Publication, Published, write_published
from components.recipe.cleaning import remove_unused
from components.recipe.load import to_yaml
from components.recipe.model import Recipe
from components.recipe.unused import Look
from components.serve.backends.weights import serving_in
from components.store import Run, StepSpec, Store, hold, recorded_step

DAY = 86_400.0


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    (tmp_path / "ws").mkdir()
    return Recipe.model_validate({
        "name": "casa", "phase": "reindex", "workspace": str(tmp_path / "ws"), "sncp": {"root": str(tmp_path)},
        "index": {"embedding": {"model": "fake/embedding"}},
    })  # fmt: skip


def begin(recipe: Recipe, **frozen: Any) -> Run:
    """A run with its frozen recipe; `frozen`: what is written into that besides."""
    run = Run.create(recipe.workspace, recipe=recipe.name, phase=recipe.phase)
    values = recipe.model_dump(mode="json", exclude={"extends"})
    (run.folder / "recipe.yaml").write_text(to_yaml(values | frozen), encoding="utf-8")
    return run


def interrupted(recipe: Recipe, step: StepSpec) -> Path:
    """A run that a person ended within a step; its scratch."""
    run = begin(recipe)
    with pytest.raises(KeyboardInterrupt), recorded_step(run, step) as at_work:
        (at_work.scratch / "paid.jsonl").write_text("{}\n")
        raise KeyboardInterrupt
    run.update(status="failed")
    return recipe.workspace / "scratch" / step.fingerprint


def ended(recipe: Recipe, *steps: StepSpec, **frozen: Any) -> None:
    """A run that sealed these steps."""
    run = begin(recipe, **frozen)
    for step in steps:
        with recorded_step(run, step) as at_work:
            if not at_work.sealed:
                at_work.write_text("said", step.name)
    run.update(status="done")


def put(path: Path, *, days: float = 0.0) -> Path:
    """A file that was last changed so long ago, its folder too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    for one in (path, path.parent):
        os.utime(one, (time.time() - days * DAY,) * 2)
    return path


def found(recipe: Recipe, **options: Any) -> list[str]:
    return [item.path.relative_to(recipe.workspace).as_posix() for item in Look(recipe, **options).find()]


class TestScratch:
    """What a step that did not end left to go on from."""

    def test_what_the_next_run_goes_on_from_stays_until_a_run_has_ended(self, recipe: Recipe) -> None:
        scratch = interrupted(recipe, StepSpec("train.run", 1))
        put(scratch / "paid.jsonl", days=300)
        begin(recipe).update(status="failed")  # it did not come as far
        assert [found(recipe, unattended=unattended) for unattended in (False, True)] == [[], []]
        other = recipe.model_copy(update={"name": "altra"})
        ended(other)
        assert found(recipe) == []
        ended(recipe)
        assert found(recipe) == [f"scratch/{scratch.name}"]

    @pytest.mark.parametrize(
        ("days", "unattended", "goes"),
        [(0.5, False, False), (2, False, True), (2, True, False), (20, True, False), (40, True, True)],
    )
    def test_of_no_run_it_goes_by_its_age(self, recipe: Recipe, days: float, unattended: bool, goes: bool) -> None:
        put(recipe.workspace / "scratch" / "ab12" / "half.jsonl", days=days)
        assert found(recipe, unattended=unattended) == ["scratch/ab12"] * goes

    def test_of_a_step_that_somebody_is_at_work_on_it_stays(self, recipe: Recipe) -> None:
        put(recipe.workspace / "scratch" / "ab12" / "half.jsonl", days=40)
        with hold(recipe.workspace / "locks" / "train.run.ab12", what="test"):
            assert found(recipe) == []
        assert found(recipe) == ["scratch/ab12"]


class TestStore:
    """Sealed artefacts, and halves of them."""

    @pytest.mark.parametrize("readable", [True, False], ids=["readable", "unreadable"])
    def test_chunks_stay_while_nobody_can_tell_of_which_indexes(self, recipe: Recipe, readable: bool) -> None:
        old = [StepSpec("index.chunk", 1, {"of": "old"}), StepSpec("sncp.collect", 1, {"of": "old"})]
        ended(recipe, *old)
        ended(recipe, StepSpec("sncp.collect", 1), **({} if readable else {"a_key_of_a_newer_version": 1}))
        gone = [f"{step.name}/{step.fingerprint}" for step in old if readable or step.name != "index.chunk"]
        assert found(recipe, keep=1) == [f"store/{name}" for name in gone]

    @pytest.mark.parametrize(
        "because",
        ["nothing", "of the recipe", "of a kept run", "of a run that cannot be read", "of a server that is up"],
    )
    def test_a_base_that_a_server_may_use_stays(self, recipe: Recipe, because: str) -> None:
        base = StepSpec("train.base", 1)
        with Store(recipe.workspace).step(base) as step:  # as a server does it, in no run
            step.write_text("config.json", "{}")
        vllm = recipe.model_copy(update={"serve": recipe.serve.model_copy(update={"backend": "vllm"})})
        unreadable = {"a_key_of_a_newer_version": 1} if because == "of a run that cannot be read" else {}
        ended(vllm if because == "of a kept run" else recipe, StepSpec("sncp.collect", 1), **unreadable)
        asked = vllm if because == "of the recipe" else recipe
        if because == "of a server that is up":
            with serving_in(recipe.workspace), serving_in(recipe.workspace):
                assert found(asked) == []
        else:
            assert found(asked) == [f"store/train.base/{base.fingerprint}"] * (because == "nothing")

    def test_the_half_of_a_living_process_stays_also_when_it_began_after_the_look(self, recipe: Recipe) -> None:
        half = put(recipe.workspace / "store" / "train.base" / ".0123.x" / "model.safetensors")
        look = Look(recipe)
        unused = look.find()
        with hold(recipe.workspace / "locks" / "train.base.0123", what="test"):
            assert look.find() == [] and remove_unused(look, unused) == [] and half.exists()
        assert remove_unused(look, unused) == unused and not half.exists()

    def test_what_was_sealed_when_the_disk_was_too_full_to_record_it_stays(self, recipe: Recipe) -> None:
        """As after a kill between the two; `gc` is what a person is told to do then."""
        step, run = StepSpec("train.run", 1), begin(recipe)
        run.record_step(step.name, status="running", fingerprint=step.fingerprint)
        with Store(recipe.workspace).step(step) as at_work:
            at_work.write_text("adapter", "of a night")
        run.update(status="failed")
        assert [found(recipe, unattended=unattended) for unattended in (False, True)] == [[], []]
        ended(recipe)
        assert found(recipe) == [f"store/train.run/{step.fingerprint}"]

    def test_what_was_killed_as_it_was_put_in_place_is_left_to_the_next_run(self, recipe: Recipe) -> None:
        """As between two renames, where the file system cannot let two names change places."""
        step = StepSpec("train.run", 1)
        ended(recipe, step)
        home = recipe.workspace / "store" / step.name / step.fingerprint
        hidden = home.with_name(f".{step.fingerprint}.x")
        os.replace(home, hidden)
        assert found(recipe) == []
        ended(recipe, step)
        assert home.is_dir() and not hidden.exists()


OLD, NEW = (StepSpec("index.chunk", 1, {"of": of}) for of in ("old", "new"))
TABLES = ("chunks-0123456789abcdef", "chunks-123456789abcdef0")


def publish(uri: Path, table: str, *chunks: StepSpec) -> Path:
    """An index that has this table, and these chunks in its history; the table's folder."""
    history = [
        Publication(number, "2026-11-01T03:00:00+00:00", "reindex", number, "d", table, "fake", 2, 1,
                    chunks_id=f"index.chunk/{step.fingerprint}")
        for number, step in enumerate(chunks, start=1)
    ]  # fmt: skip
    put(uri / f"{table}.lance" / "data")
    write_published(uri, Published(None, "", {}, tuple(history)))
    return uri / f"{table}.lance"


class TestIndexes:
    """Tables, and the chunks of what was published before."""

    @pytest.mark.parametrize("file", ["readable", "damaged", "of an older version", "put aside"])
    def test_no_table_and_no_chunks_go_while_nobody_can_tell_what_is_published(self, recipe: Recipe, file: str) -> None:
        ended(recipe, OLD)
        for number in range(10):
            ended(recipe, StepSpec("index.chunk", 1, {"of": number}))
        uri = recipe.workspace / "index"
        former, published = (publish(uri, table, OLD) for table in TABLES)
        live = uri / "live.json"
        if file == "damaged":
            live.write_text("{garbage")
        elif file == "of an older version":
            live.write_text(json.dumps(json.loads(live.read_text()) | {"format": 1}))
        elif file == "put aside":  # by a sync that was killed then: it gave up the way back, not the rows
            live.rename(uri / "live.json.damaged-1")
        goes = {"readable": [f"index/{former.name}"], "put aside": [f"store/index.chunk/{OLD.fingerprint}"]}
        assert found(recipe) == goes.get(file, [])
        assert published.is_dir()

    def test_indexes_of_a_workspace_that_has_moved_are_still_those_of_its_runs(
        self, recipe: Recipe, tmp_path: Path
    ) -> None:
        """Or that is mounted elsewhere: frozen recipes tell where it was."""
        for name, folder in (("casa", "matrix/0123abcd"), ("altra", "another index")):
            uri, old = recipe.workspace / folder, StepSpec("index.chunk", 1, {"of": f"old {name}"})
            one = recipe.model_copy(update={"name": name, "index": recipe.index.model_copy(update={"uri": uri})})
            ended(one, old)
            ended(one, NEW)
            publish(uri, TABLES[0], old, NEW)
        publish(recipe.workspace / "matrix" / "4567abcd", TABLES[0], NEW)
        recipe.workspace.rename(tmp_path / "moved")
        moved = recipe.model_copy(update={"workspace": tmp_path / "moved"})
        assert found(moved, keep=1) == ["matrix/4567abcd"]

    @pytest.mark.parametrize("there", [True, False], ids=["here", "on a disk that is not here"])
    def test_chunks_stay_while_an_index_elsewhere_cannot_be_asked(
        self, recipe: Recipe, tmp_path: Path, there: bool
    ) -> None:
        uri = tmp_path / "another disk"
        one = recipe.model_copy(update={"index": recipe.index.model_copy(update={"uri": uri})})
        ended(one, OLD)
        ended(one, NEW)
        publish(uri, TABLES[0], NEW)
        if not there:
            uri.rename(tmp_path / "away")
        assert found(recipe, keep=1) == [f"store/index.chunk/{OLD.fingerprint}"] * there


class TestFiles:
    """Files beside others."""

    @pytest.mark.parametrize("unattended", [False, True])
    def test_what_was_used_and_said_goes_only_when_somebody_is_asked(self, recipe: Recipe, unattended: bool) -> None:
        names = [f"{name}.corrupt-1" for name in ("cache/responses", "usage/conversations", "serve/compared")]
        for name in names:
            put(recipe.workspace / name)
        assert found(recipe, unattended=unattended) == (names[:1] if unattended else names)

    def test_only_old_halves_of_writes_go(self, recipe: Recipe) -> None:
        run = begin(recipe)
        run.update(status="done")
        halves = [
            "cache/.speeds.json.abcd_123",
            "registry/.champion.json.abcd_123",
            "serve/endpoints/.12.json.abcd_123",
            f"runs/{run.id}/.run.json.abcd_123",
        ]
        for name in halves:
            put(recipe.workspace / name, days=0.5)
            put(recipe.workspace / name.replace("123", "456"))  # of a write that may be under way
        for name in (".notes", ".DS_Store", ".run.json", ".run.json.bak", ".git/config", ".draft.json.mine"):
            put(run.folder / name, days=9)
        assert found(recipe) == halves

    def test_what_dangles_or_vanishes_meanwhile_is_no_hindrance(
        self, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        dangling = recipe.workspace / "cache" / "responses.sqlite.corrupt-1"
        dangling.parent.mkdir()
        dangling.symlink_to(recipe.workspace / "none")
        gone = put(recipe.workspace / "store" / "index.chunk" / ".0123.x" / "rows")
        walk = os.walk

        def walking(top: Path) -> Iterator[tuple[str, list[str], list[str]]]:
            for told in walk(top):
                gone.unlink(missing_ok=True)
                yield told

        monkeypatch.setattr("components.recipe.unused.os.walk", walking)
        unused = Look(recipe).find()
        monkeypatch.undo()
        assert [(item.kind, item.size > 0) for item in unused] == [("half-made", False), ("cache", True)]
        assert remove_unused(Look(recipe), unused) == unused and not dangling.is_symlink()

    def test_a_link_frees_nothing_of_what_it_leads_to(self, recipe: Recipe, tmp_path: Path) -> None:
        (tmp_path / "large").write_bytes(bytes(100_000))
        half = put(recipe.workspace / "store" / "index.chunk" / ".0123.x" / "rows")
        half.with_name("link").symlink_to(tmp_path / "large")
        [item] = Look(recipe).find()
        assert item.size < 10_000
        remove_unused(Look(recipe), [item])
        assert not half.parent.exists() and (tmp_path / "large").exists()


def test_a_table_stays_while_somebody_writes_the_index(recipe: Recipe) -> None:
    uri = recipe.workspace / "index"
    put(uri / ".forget" / "chunks.lance")
    look = Look(recipe)
    unused = look.find()
    assert [item.path for item in unused] == [uri / ".forget"]
    with hold(uri / ".lock", what="test"):
        assert remove_unused(look, unused) == [] and (uri / ".forget").is_dir()
    assert remove_unused(look, unused) == unused and not (uri / ".forget").exists()


def test_a_step_of_an_older_record_without_a_fingerprint_is_no_hindrance(recipe: Recipe) -> None:
    interrupted(recipe, StepSpec("train.run", 1))
    run = begin(recipe)
    run.record_step("train.run", status="failed")
    run.update(status="failed")
    assert (
        found(recipe) == [] and json.loads((run.folder / "run.json").read_text())["steps"][0].get("fingerprint") is None
    )
