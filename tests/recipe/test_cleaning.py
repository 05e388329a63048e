"""Cleaning with nobody there: what goes, what it says, and that nothing goes while something is at work."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from components.recipe import unused
from components.recipe.cleaning import bytes_in_words, clean_workspace, cleaned_markdown, remove_unused
from components.recipe.forget import AtWorkError, Forgetting, asking_in
from components.recipe.model import Recipe
from components.recipe.unused import Look
from components.store import Run, StepSpec, Store, recorded_step
from components.store.purge import Words


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    """Of a workspace with a run that has ended and two things that nothing needs."""
    workspace = tmp_path / "work space"
    for name, size in {"cache/responses.sqlite.corrupt-1": 2_500_000, "store/index.chunk/.0123.x/chunks": 900}.items():
        path = workspace / name
        path.parent.mkdir(parents=True)
        path.write_bytes(bytes(size))
    Run.create(workspace, recipe="casa", phase="reindex").update(status="done")
    return Recipe.model_validate({
        "name": "casa", "phase": "reindex", "workspace": str(workspace), "sncp": {"root": str(tmp_path)},
        "index": {"embedding": {"model": "fake/embedding"}},
    })  # fmt: skip


def left(recipe: Recipe) -> list[str]:
    return sorted(path.name for path in [*recipe.workspace.glob("cache/*"), *recipe.workspace.glob("store/*/.*")])


def test_what_nothing_needs_goes_once_and_is_told(recipe: Recipe) -> None:
    would = clean_workspace(recipe, dry_run=True)
    assert len(left(recipe)) == 2
    removed = clean_workspace(recipe)
    assert removed == would and left(recipe) == [] and clean_workspace(recipe) == []
    page = cleaned_markdown(removed, workspace=recipe.workspace, keep=3, dry_run=False)
    assert page.startswith("# Freed 3 MB\n")
    assert "| half-made | 1 | 900 B |" in page and "newest 3 runs" in page and "Free on this disk: " in page
    assert page.index("corrupt-1") < page.index(".0123.x")  # the largest first
    assert cleaned_markdown([], workspace=recipe.workspace, keep=3, dry_run=False).startswith("# Nothing that is not")


def test_a_workspace_that_is_not_there_is_not_made(recipe: Recipe, tmp_path: Path) -> None:
    none = recipe.model_copy(update={"workspace": tmp_path / "none"})
    assert clean_workspace(none) == [] and not none.workspace.exists()


def test_what_is_at_work_is_waited_for(recipe: Recipe) -> None:
    run = Run.create(recipe.workspace, recipe="casa", phase="reindex")
    ending = threading.Timer(0.3, lambda: run.update(status="done"))
    ending.start()
    told: list[str] = []
    removed = clean_workspace(recipe, wait_seconds=60, look_seconds=0.05, say=told.append)
    ending.join()
    assert len(removed) == 2 and left(recipe) == []
    assert told == [f"waiting: run {run.id} is at work in {recipe.workspace}; gc when it has ended"]


@pytest.mark.parametrize("by", ["run", "question"])
def test_nothing_goes_while_something_is_at_work(recipe: Recipe, by: str) -> None:
    before = left(recipe)
    with asking_in(recipe.workspace if by == "question" else recipe.workspace / "none"):
        run = Run.create(recipe.workspace, recipe="casa", phase="reindex") if by == "run" else None
        with pytest.raises(AtWorkError, match="is at work" if run else "is being answered"):
            clean_workspace(recipe)
    assert left(recipe) == before


def test_a_dry_run_needs_nobody_to_stop(recipe: Recipe) -> None:
    run = Run.create(recipe.workspace, recipe="casa", phase="reindex")
    with asking_in(recipe.workspace):
        assert len(clean_workspace(recipe, dry_run=True)) == 2
    run.update(status="done")


def test_questions_are_answered_while_it_looks_and_while_what_was_moved_is_removed(
    recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured, asked = unused._size, list[str]()

    def measuring(path: Path) -> int:
        with asking_in(recipe.workspace):
            asked.append("look")
        return measured(path)

    def killed(path: Path, **options: Any) -> None:
        with asking_in(recipe.workspace):
            asked.append("removal")

    monkeypatch.setattr(unused, "_size", measuring)
    monkeypatch.setattr(shutil, "rmtree", killed)
    assert len(clean_workspace(recipe)) == 2
    monkeypatch.undo()
    assert asked == ["look", "look", "removal"] and left(recipe) == []
    [trash] = recipe.workspace.glob(".trash.*")
    assert len(list(trash.iterdir())) == 2
    assert [(one.kind, one.path) for one in clean_workspace(recipe)] == [("half-made", trash)]
    assert list(recipe.workspace.glob(".trash.*")) == []


def test_what_is_needed_by_the_time_it_would_be_moved_stays(recipe: Recipe) -> None:
    sealed = StepSpec("sncp.collect", 1)
    with Store(recipe.workspace).step(sealed) as step:
        step.write_text("said", "x")
    look = Look(recipe)
    before = look.find()
    run = Run.create(recipe.workspace, recipe="casa", phase="reindex")
    with recorded_step(run, sealed):
        pass
    run.update(status="done")
    removed = remove_unused(look, before)
    assert len(removed) == len(before) - 1 and Store(recipe.workspace).find(sealed)


def test_on_another_disk_it_is_removed_where_it_is(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    replace = os.replace

    def replacing(one: Path, other: Path) -> None:
        if ".trash." in str(other):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        replace(one, other)

    monkeypatch.setattr(os, "replace", replacing)
    assert len(clean_workspace(recipe)) == 2
    assert left(recipe) == [] and list(recipe.workspace.glob(".trash.*")) == []


def test_what_a_killed_cleaning_left_is_forgotten_as_a_whole(recipe: Recipe) -> None:
    moved = recipe.workspace / ".trash.abcd_123" / "0" / "chunks.lance"
    moved.parent.mkdir(parents=True)
    moved.write_bytes(b"compressed")
    Forgetting(recipe, Words.of_secret("una parola segreta")).forget()
    assert not moved.parent.parent.exists()


@pytest.mark.parametrize(
    ("size", "words"), [(0, "0 B"), (999, "999 B"), (1500, "2 kB"), (34_000_000, "34 MB"), (2_340_000_000, "2.3 GB")]
)
def test_sizes_in_words(size: int, words: str) -> None:
    assert bytes_in_words(size) == words
