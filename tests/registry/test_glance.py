"""What is registered already is seen without MLflow, and whatever somebody changed there is seen as well."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.registry import mlflow_log, register
from components.registry.champion import follow, sync_champion
from tests.registry.shelf import Shelf

Arguments = Callable[[Path], dict[str, Any]]


class AskedError(Exception):
    """MLflow was asked."""


def asked(*_: Any, **__: Any) -> Any:
    raise AskedError


def change(folder: Path, statement: str) -> None:
    with closing(sqlite3.connect(folder / "mlflow.db")) as database, database:
        assert database.execute(statement).rowcount > 0


def test_what_is_there_is_found_without_mlflow(
    house: Path, arguments: Arguments, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = arguments(house)
    first = register(**given)
    monkeypatch.setattr(mlflow_log, "open_client", asked)
    assert register(**given) == replace(first, created=False)
    with pytest.raises(AskedError):
        register(**given | {"prompt": "Sei un'altra."})
    with pytest.raises(AskedError):
        register(**given | {"alias": "other"})
    with pytest.raises(AskedError):
        register(**given | {"card": "# another card"})


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param("update runs set lifecycle_stage = 'deleted'", id="run deleted"),
        pytest.param("update runs set status = 'RUNNING'", id="run not finished"),
        pytest.param("update tags set value = 'x' where key = 'cervella.key'", id="key"),
        pytest.param("update experiments set lifecycle_stage = 'deleted' where name = 'cervella'", id="experiment"),
        pytest.param("delete from registered_model_aliases", id="alias"),
        pytest.param("update registered_model_aliases set version = 7", id="alias moved"),
        pytest.param("update model_versions set current_stage = 'Deleted_Internal'", id="version"),
        pytest.param("update model_versions set description = 'mine' where name = 'cervella'", id="description"),
        pytest.param("update model_version_tags set value = 'NO-GO' where key = 'cervella.gate'", id="gate"),
        pytest.param("update model_version_tags set value = 'x' where key = 'cervella.run_id'", id="its run"),
        pytest.param("update model_version_tags set value = 'x' where key = 'mlflow.prompt.text'", id="prompt"),
        pytest.param("delete from registered_model_tags where key = '_mlflow_experiment_ids'", id="linked"),
        pytest.param("alter table runs rename to former", id="another schema"),
    ],
)  # fmt: skip
def test_whatever_is_not_as_it_was_is_asked_of_mlflow(
    house: Path, arguments: Arguments, statement: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = arguments(house)
    register(**given)
    if statement.startswith("alter"):
        with closing(sqlite3.connect(house / "mlflow.db")) as database:
            database.execute(statement)
    else:
        change(house, statement)
    monkeypatch.setattr(mlflow_log, "open_client", asked)
    with pytest.raises(AskedError):
        register(**given)


def test_a_champion_that_mlflow_knows_is_found_without_mlflow(
    tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = Shelf(tmp_path / "workspace", empty_database)
    shelf.run("Sei Cervella.")
    shelf.promote()
    mlflow = shelf.workspace / "mlflow"
    with monkeypatch.context() as without:
        without.setattr(follow.door, "open_client", asked)
        assert sync_champion(workspace=shelf.workspace, registry=shelf.registry) is None
    for statement in (
        "delete from registered_model_aliases where alias = 'champion'",
        "update registered_models set description = 'mine' where name = 'cervella'",
    ):
        change(mlflow, statement)
        with monkeypatch.context() as without, pytest.raises(AskedError):
            without.setattr(follow.door, "open_client", asked)
            sync_champion(workspace=shelf.workspace, registry=shelf.registry)
        assert sync_champion(workspace=shelf.workspace, registry=shelf.registry) is None  # mended
