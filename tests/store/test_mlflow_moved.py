"""A workspace that was moved or copied: MLflow's record names the new place, and nobody else's rows are touched."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from components.errors import TransientError
from components.store.mlflow_moved import follow_move, moved_from

RUN = "0123456789abcdef"


@pytest.fixture
def workspace(tmp_path: Path) -> Callable[[str], Path]:
    """A workspace as MLflow would leave it: two experiments, a run with a file, a version of a model."""

    def make(name: str) -> Path:
        artifacts = tmp_path / name / "mlflow" / "artifacts"
        (artifacts / RUN / "artifacts" / "release").mkdir(parents=True)
        (artifacts / RUN / "artifacts" / "release" / "card.md").write_text("x", encoding="utf-8")
        place = f"{artifacts.as_uri()}/{RUN}/artifacts"
        with closing(sqlite3.connect(artifacts.parent / "mlflow.db")) as database:
            database.execute("CREATE TABLE experiments (experiment_id INTEGER, artifact_location TEXT)")
            database.execute("CREATE TABLE runs (run_uuid TEXT, artifact_uri TEXT)")
            database.execute("CREATE TABLE model_versions (version INTEGER, source TEXT, storage_location TEXT)")
            database.executemany(
                "INSERT INTO experiments VALUES (?, ?)", [(0, f"{artifacts}/0"), (1, artifacts.as_uri())]
            )
            database.execute("INSERT INTO runs VALUES (?, ?)", (RUN, place))
            database.execute("INSERT INTO model_versions VALUES (1, ?, NULL)", (f"{place}/release",))
            database.commit()
        return tmp_path / name

    return make


def uri(workspace: Path) -> str:
    return f"sqlite:///{workspace}/mlflow/mlflow.db"


def values(workspace: Path) -> set[str]:
    query = (
        "SELECT artifact_location FROM experiments UNION ALL SELECT artifact_uri FROM runs "
        "UNION ALL SELECT source FROM model_versions"
    )
    with closing(sqlite3.connect(workspace / "mlflow" / "mlflow.db")) as database:
        return {str(row[0]) for row in database.execute(query)}


@pytest.mark.parametrize("how", ["moved", "copied"])
def test_all_places_are_told_anew(workspace: Callable[[str], Path], tmp_path: Path, how: str) -> None:
    old, new = workspace("an old place"), tmp_path / "Nuovo è 100%"
    expected = {value.replace("an%20old%20place", "Nuovo%20%C3%A8%20100%25") for value in values(old)}
    expected = {value.replace("an old place", "Nuovo è 100%") for value in expected}
    (shutil.move if how == "moved" else shutil.copytree)(old, new)  # type: ignore[operator]
    assert moved_from(new / "mlflow" / "mlflow.db") == [old / "mlflow" / "artifacts"]
    follow_move(uri(new))
    assert values(new) == expected
    assert moved_from(new / "mlflow" / "mlflow.db") == []
    if how == "copied":
        assert not any("Nuovo" in value for value in values(old))


def test_a_workspace_that_stayed_is_not_touched(workspace: Callable[[str], Path], tmp_path: Path) -> None:
    stayed = workspace("stayed")
    before = (stayed / "mlflow" / "mlflow.db").read_bytes()
    follow_move(uri(stayed))
    (tmp_path / "link").symlink_to(stayed)
    follow_move(uri(tmp_path / "link"))  # the same folder by another name
    assert (stayed / "mlflow" / "mlflow.db").read_bytes() == before


def test_a_link_in_the_old_place_is_left_as_it_is(workspace: Callable[[str], Path], tmp_path: Path) -> None:
    old, new = workspace("old"), tmp_path / "new"
    shutil.move(old, new)
    old.symlink_to(new)
    follow_move(uri(new))
    assert all(str(old) in value for value in values(new))


def test_places_that_are_not_of_a_workspace_stay(workspace: Callable[[str], Path], tmp_path: Path) -> None:
    here = workspace("here")
    there = tmp_path / "there" / "mlflow" / "artifacts" / "ffff" / "artifacts"  # of one that records into this database
    there.mkdir(parents=True)
    others = ["s3://bucket/mlflow/artifacts/1", "mlflow-artifacts:/1", "/srv/shared/1", there.as_uri()]
    with closing(sqlite3.connect(here / "mlflow" / "mlflow.db")) as database:
        database.executemany("INSERT INTO runs VALUES ('x', ?)", [(other,) for other in others])
        database.commit()
    follow_move(uri(here))
    assert set(others) <= values(here)


def test_what_is_no_database_of_a_workspace_is_not_looked_at(tmp_path: Path) -> None:
    for text in ("http://127.0.0.1:5000", uri(tmp_path / "none"), f"sqlite:///{tmp_path}/mlflow.db"):
        follow_move(text)
    (tmp_path / "bad" / "mlflow").mkdir(parents=True)
    (tmp_path / "bad" / "mlflow" / "mlflow.db").write_bytes(b"no database at all " * 300)
    follow_move(uri(tmp_path / "bad"))
    assert moved_from(tmp_path / "bad" / "mlflow" / "mlflow.db") == []


def test_a_database_that_another_program_writes_into(
    workspace: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = workspace("old"), tmp_path / "new"
    shutil.move(old, new)
    monkeypatch.setattr("components.store.mlflow_moved._WAIT_SECONDS", 0.1)
    with closing(sqlite3.connect(new / "mlflow" / "mlflow.db", isolation_level=None)) as busy:
        busy.execute("BEGIN IMMEDIATE")
        with pytest.raises(TransientError, match="could not be told"):
            follow_move(uri(new))
        busy.execute("ROLLBACK")
    follow_move(uri(new))
    assert moved_from(new / "mlflow" / "mlflow.db") == []
