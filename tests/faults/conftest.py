"""Fixtures of the fault tests: the nursery, a house to die in, and one where nothing happened."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from faults_house import House, Nursery, Undisturbed, furnish  # noqa: E402


@pytest.fixture(scope="session")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    with Nursery(tmp_path_factory.mktemp("prefect")) as made:
        yield made


@pytest.fixture(scope="session")
def furnished(tmp_path_factory: pytest.TempPathFactory, examples: Path) -> Path:
    """A house in which nothing has run. MLflow's empty database, which takes ten seconds to make, is in it."""
    from components.registry import sqlite_uri
    from components.store.mlflow_database import make_database

    folder = tmp_path_factory.mktemp("furnished")
    furnish(folder, examples)
    make_database(sqlite_uri(folder / "work space" / "mlflow"))
    return folder


@pytest.fixture
def house(tmp_path: Path, furnished: Path, nursery: Nursery) -> House:
    shutil.copytree(furnished, tmp_path / "house")
    return House(tmp_path / "house", nursery)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, furnished: Path, nursery: Nursery) -> Undisturbed:
    folder = tmp_path_factory.mktemp("undisturbed") / "house"
    shutil.copytree(furnished, folder)
    house = House(folder, nursery)
    ended = house.run()
    assert ended.code == 1, ended.err  # the doubles are no good: NO-GO
    return Undisturbed(house, ended, house.results())


@pytest.fixture
def lived_in(tmp_path: Path, undisturbed: Undisturbed, nursery: Nursery) -> House:
    """A copy of the house that a whole run has left, to be damaged."""
    shutil.copytree(undisturbed.house.folder, tmp_path / "house")
    return House(tmp_path / "house", nursery)


@pytest.fixture
def new_house(nursery: Nursery, examples: Path) -> Callable[[Path], House]:
    """Furnish a folder; nothing has run there, and there is no database."""

    def make(folder: Path) -> House:
        furnish(folder, examples)
        return House(folder, nursery)

    return make
