"""Cleaning with nobody there: what goes, what it says, and that nothing goes while something is at work."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from components.recipe import cleaning, unused
from components.recipe.cleaning import clean_workspace, cleaned_markdown, remove_unused
from components.recipe.forget import AtWorkError, Forgetting, asking_in
from components.recipe.model import Recipe
from components.recipe.unused import Look
from components.store import Run, StepSpec, Store, list_runs, recorded_step
from components.store.files import set_aside
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


def test_what_is_at_work_is_waited_for(
    recipe: Recipe, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(cleaning, "_LOOK_SECONDS", 0.05)
    run = Run.create(recipe.workspace, recipe="casa", phase="reindex")
    ending = threading.Timer(0.3, lambda: run.update(status="done"))
    ending.start()
    with caplog.at_level(logging.INFO, "cervella"):
        removed = clean_workspace(recipe, wait_seconds=60)
    ending.join()
    assert len(removed) == 2 and left(recipe) == []
    assert caplog.messages == [f"waiting: run {run.id} is at work in {recipe.workspace}; gc when it has ended"]


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
    old = recipe.workspace / "scratch" / "ab12" / "half.jsonl"
    old.parent.mkdir(parents=True)
    old.touch()
    for path in (old, old.parent):
        os.utime(path, (1, 1))
    told, asked = unused._told, list[str]()

    def walking(path: Path) -> Iterator[os.stat_result]:
        with asking_in(recipe.workspace):
            asked.append("look")
        return told(path)

    def killed(path: Path, **options: Any) -> None:
        with asking_in(recipe.workspace):
            asked.append("removal")

    monkeypatch.setattr(unused, "_told", walking)
    monkeypatch.setattr(shutil, "rmtree", killed)
    assert len(clean_workspace(recipe)) == 3
    monkeypatch.undo()
    assert asked == ["look"] * 4 + ["removal"] * 2 and left(recipe) == [".0123.x.forgotten"]
    again = [(one.kind, one.path.name) for one in clean_workspace(recipe)]
    assert again == [("half-made", ".0123.x.forgotten"), ("half-made", ".ab12.forgotten")] and left(recipe) == []


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


SET_ASIDE = (
    "store/index.chunk/.ab12.forgotten", "scratch/.ab12.forgotten", "runs/.20261101-0300-casa.forgotten",
    "matrix/.0123abcd.forgotten", "matrix/4567abcd/.chunks-0123456789abcdef.lance.forgotten",
    "index/.chunks-0123456789abcdef.lance.forgotten",
)  # fmt: skip


@pytest.mark.parametrize("by", ["gc", "forget"])
def test_what_a_killed_removal_has_set_aside_goes_as_a_whole(recipe: Recipe, by: str) -> None:
    for name in SET_ASIDE:
        (recipe.workspace / name / "data").mkdir(parents=True)
        (recipe.workspace / name / "data" / "rows").write_bytes(b"compressed")
        (recipe.workspace / name / "run.json").write_text("{}")
    mine = recipe.workspace / "scratch" / ".mine.forgotten"
    mine.write_text("a file of a person")
    assert len(list_runs(recipe.workspace)) == 1
    if by == "gc":
        assert sum(str(item.path).endswith(".forgotten") for item in clean_workspace(recipe)) == len(SET_ASIDE)
    else:
        Forgetting(recipe, Words.of_secret("una parola segreta")).forget()
    assert list(recipe.workspace.rglob("*.forgotten")) == [mine]


def test_what_is_being_deleted_is_not_taken_for_what_a_crash_left_whole(recipe: Recipe) -> None:
    step = StepSpec("sncp.collect", 1)
    store = Store(recipe.workspace)
    with store.step(step) as at_work:
        at_work.write_text("said", "x")
    set_aside(at_work.artefact.path)
    with store.step(step) as again:
        assert not again.sealed
        again.write_text("said", "x")


@contextmanager
def forbidden(folder: Path, *, below: Path) -> Iterator[None]:
    """Let nothing in a folder be removed or renamed."""
    as_root = os.geteuid() == 0
    if not as_root:
        folder.chmod(0o500)
    elif shutil.which("chattr") is None or subprocess.run(["chattr", "+i", folder], capture_output=True).returncode:
        pytest.skip("nothing can be forbidden to this user here")
    try:
        yield
    finally:
        [now] = below.rglob(folder.name)  # what it is in may have another name by then
        subprocess.run(["chattr", "-i", now], check=True) if as_root else now.chmod(0o700)


@pytest.mark.parametrize("where", ["store/index.chunk", "store/index.chunk/.0123.x/inner"])
def test_what_may_not_be_removed_is_told_each_time_and_the_rest_goes(
    recipe: Recipe, caplog: pytest.LogCaptureFixture, where: str
) -> None:
    folder = recipe.workspace / where
    if not folder.exists():
        folder.mkdir()
        (folder / "file").write_text("of somebody else")
    other = recipe.workspace / "store" / "sncp.collect" / ".4567.x"
    other.mkdir(parents=True)
    with forbidden(folder, below=recipe.workspace):
        removed = [clean_workspace(recipe) for _ in range(3)]
    assert [len(those) for those in removed] == [2, 0, 0] and not other.exists()
    [stays] = [path for path in (recipe.workspace / "store" / "index.chunk").iterdir() if path.is_dir()]
    assert stays.name == (".0123.x" if where.endswith("chunk") else ".0123.x.forgotten")
    assert len(caplog.messages) == 3
    assert all(".0123.x" in told and "cannot be removed" in told for told in caplog.messages)
    assert [one.path for one in clean_workspace(recipe)] == [stays] and not stays.exists()
