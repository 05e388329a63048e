"""SIGKILL at every point of promote and rollback, and many at once: one truth, whole, and MLflow tells the same.

Children are real processes that kill themselves where they are told to; nothing is faked but the models.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from components.errors import TerminalError
from components.registry.champion import Champion
from components.registry.champion.record import champion_file, is_open
from tests.registry.shelf import Shelf

pytestmark = pytest.mark.slow

POINTS = (
    "locked", "decided", "champion.json beside", "champion.json replaced", "written", "alias set", "tags set",
    "described", "champion.json beside#2", "champion.json replaced#2",
)  # fmt: skip
BEFORE_THE_TRUTH, ENDED = POINTS[:3], POINTS[-1]
TIMES = 20


@pytest.fixture(scope="module")
def children() -> Any:
    """Starts children from a process of one thread that has imported MLflow already: each is up in a moment."""
    context = multiprocessing.get_context("forkserver")
    stores = ["mlflow.store.tracking.sqlalchemy_store", "mlflow.store.model_registry.sqlalchemy_store"]
    context.set_forkserver_preload(["mlflow.tracking", *stores, "tests.registry.shelf"])
    return context


@pytest.fixture(scope="module")
def furnished_shelf(tmp_path_factory: pytest.TempPathFactory) -> tuple[Shelf, list[Any]]:
    """Two releases in a real MLflow, the first of them champion."""
    from components.registry import sqlite_uri
    from components.store.mlflow_database import make_database

    folder = tmp_path_factory.mktemp("shelf")
    make_database(sqlite_uri(folder))
    shelf = Shelf(folder / "work space", folder / "mlflow.db")
    made = [shelf.run("Uno."), shelf.run("Due.")]
    shelf.promote(run=made[0].run.id)
    return shelf, made


def copy_of(shelf: Shelf, to: Path) -> Shelf:
    shutil.copytree(shelf.workspace, to)
    copied = Shelf(to)
    copied.mlflow = True
    return copied


def deed_of(shelf: Shelf, what: str, run: str, **options: Any) -> Any:
    return shelf.promote(run=run, **options) if what == "promote" else shelf.rollback(**options)


def do_and_die(workspace: Path, what: str, run: str, point: str) -> None:
    """A promotion or rollback that comes to a point and no further."""

    met: Counter[str] = Counter()

    def at(reached: str) -> None:
        met[reached] += 1
        if point in (reached, f"{reached}#{met[reached]}"):
            os.kill(os.getpid(), signal.SIGKILL)

    replace = os.replace

    def replaced(source: Any, target: Any, **options: Any) -> None:
        named = Path(target).name if Path(target).name == "champion.json" else "other"
        at(f"{named} beside")
        replace(source, target, **options)
        at(f"{named} replaced")

    os.replace = replaced
    shelf = Shelf(workspace)
    deed_of(shelf, what, run, at=at)


def check_agree(shelf: Shelf) -> Champion:
    """The file is whole and MLflow tells what it tells; nothing is left beside it."""
    now = shelf.history()[-1]
    assert shelf.alias() == now.digest
    client = shelf.client()
    for number in {one.version for one in shelf.history()}:
        tags = client.get_model_version("cervella", str(number)).tags
        assert ("cervella.champion_until" in tags) == (number != now.version)
    assert f"In service: version {now.version} since {now.at}" in client.get_registered_model("cervella").description
    return now


@pytest.mark.parametrize("what", ["promote", "rollback"])
@pytest.mark.parametrize("point", POINTS)
def test_killed_at_any_point_then_done_again(
    furnished_shelf: tuple[Shelf, list[Any]], tmp_path: Path, children: Any, point: str, what: str
) -> None:
    shelf, made = copy_of(furnished_shelf[0], tmp_path / "work space"), furnished_shelf[1]
    if what == "rollback":
        shelf.promote(run=made[1].run.id)
    before, wanted = shelf.history(), made[1 if what == "promote" else 0].digest
    child = children.Process(target=do_and_die, args=(shelf.workspace, what, made[1].run.id, point))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    died_at = shelf.history()  # whole, as it was or as it shall be
    assert (died_at == before) == (point in BEFORE_THE_TRUTH)
    if what == "rollback" and point == ENDED:
        with pytest.raises(TerminalError, match="nothing to go back to"):  # it was done: this is another one
            shelf.rollback()
    else:
        done = deed_of(shelf, what, made[1].run.id)
        assert done.changed == (what == "rollback" or point in BEFORE_THE_TRUTH)
    assert [one.digest for one in shelf.history()] == [*(one.digest for one in before), wanted]
    assert check_agree(shelf).what == what
    beside = [path for path in champion_file(shelf.workspace).parent.iterdir() if path.name != "champion.json"]
    assert len(beside) == point.startswith("champion.json beside")  # gc removes it
    assert not is_open(shelf.workspace, "cervella")


@pytest.mark.parametrize("point", ["written", "alias set"])
def test_killed_after_the_truth_then_a_run_registers(
    furnished_shelf: tuple[Shelf, list[Any]], tmp_path: Path, children: Any, point: str
) -> None:
    shelf, made = copy_of(furnished_shelf[0], tmp_path / "work space"), furnished_shelf[1]
    child = children.Process(target=do_and_die, args=(shelf.workspace, "promote", made[1].run.id, point))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    shelf.run("Tre.")
    assert check_agree(shelf).digest == made[1].digest


def promote_often(workspace: Path, runs: list[str], together: Any, told: Any) -> None:
    shelf = Shelf(workspace)
    for run in runs:
        together.wait()
        done = shelf.promote(run=run, by=str(os.getpid()))
        told.put((done.champion.digest, done.changed, done.fault))


def test_two_at_once_twenty_times(
    furnished_shelf: tuple[Shelf, list[Any]], tmp_path: Path, children: Any
) -> None:  # fmt: skip
    """Each change is in the history once, each begins where the one before ended, and all agree at the end."""
    shelf, made = copy_of(furnished_shelf[0], tmp_path / "work space"), furnished_shelf[1]
    together, told = children.Barrier(2), children.Queue()
    both = [
        children.Process(target=promote_often, args=(shelf.workspace, [one.run.id] * TIMES, together, told))
        for one in made
    ]  # fmt: skip
    for child in both:
        child.start()
    results = [told.get(timeout=300) for _ in range(2 * TIMES)]
    for child in both:
        child.join()
        assert child.exitcode == 0
    history = shelf.history()
    assert [fault for _, _, fault in results if fault] == []
    assert sorted(digest for digest, changed, _ in results if changed) == sorted(one.digest for one in history[1:])
    assert len(history) > TIMES  # in each round one of the two promotes what is not in service
    for one, other in zip(history, history[1:], strict=False):
        assert other.before == one.digest != other.digest
    check_agree(shelf)


def test_the_second_waits_and_then_sees_what_the_first_has_left(
    furnished_shelf: tuple[Shelf, list[Any]], tmp_path: Path, children: Any
) -> None:
    from components.registry.champion.record import locked, read_history, write_history

    shelf, made = copy_of(furnished_shelf[0], tmp_path / "work space"), furnished_shelf[1]
    told = children.Queue()
    with locked(shelf.workspace, "test"):
        child = children.Process(target=promote_often, args=(shelf.workspace, [made[1].run.id], _Alone(), told))
        child.start()
        child.join(timeout=3)
        assert child.is_alive() and told.empty()
        history = read_history(shelf.workspace, "cervella")
        write_history(shelf.workspace, "cervella", [*history, *history])
    child.join()
    assert told.get(timeout=10)[1] is True
    assert len(shelf.history()) == 3


class _Alone:
    """Nobody to wait for."""

    def wait(self) -> None:
        """Go on."""
