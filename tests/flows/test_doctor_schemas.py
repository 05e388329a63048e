"""What doctor says of databases of other versions, and of a workspace that was moved."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from components.services import doctor_schemas as schemas
from components.services.database import migrations_of
from tests.flows.doctor_house import healthy, only


def database(path: Path, revision: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as made:
        made.execute("CREATE TABLE alembic_version (version_num TEXT)")
        made.execute("INSERT INTO alembic_version VALUES (?)", (revision,))
        made.commit()


@pytest.mark.parametrize("package", ["prefect", "mlflow"])
def test_of_the_installed_packages_one_migration_is_the_last(package: str) -> None:
    known, last = migrations_of(package)
    assert len(known) > 20 and len(last) == 1  # else the checks below say nothing


@pytest.mark.parametrize("package", ["prefect", "mlflow"])
def test_a_database_of_this_version_and_of_a_newer_one(tmp_path: Path, package: str) -> None:
    path = tmp_path / package / f"{package}.db"
    assert healthy(schemas.check_schemas(tmp_path))
    database(path, next(iter(migrations_of(package)[1])))
    assert healthy(schemas.check_schemas(tmp_path))
    path.unlink()
    database(path, "fedcba987654")
    found = only(schemas.check_schemas(tmp_path))
    assert found.level == "problem" and "newer" in found.says and "fedcba987654" in found.says
    assert f"mv {path.parent}" in str(found.mend)


def test_an_older_database_is_brought_up_to_date_by_prefect_and_not_by_mlflow(tmp_path: Path) -> None:
    for package in ("prefect", "mlflow"):
        known, last = migrations_of(package)
        database(tmp_path / package / f"{package}.db", min(known - last))
    found = {check.level: check for check in schemas.check_schemas(tmp_path)}
    assert "mlflow db upgrade" in str(found["problem"].mend) and "MLflow" in found["problem"].says
    assert found["ok"].says.startswith("Prefect")


def test_a_file_that_prefect_does_not_use_any_more_is_not_looked_at(tmp_path: Path) -> None:
    database(tmp_path / "prefect" / "prefect.db", "fedcba987654")  # of a newer one
    (tmp_path / "prefect" / "database.json").write_text('{"url_env": "CERVELLA_PREFECT_DATABASE"}')
    found = only(schemas.check_schemas(tmp_path))
    assert found.level == "ok" and "PostgreSQL (CERVELLA_PREFECT_DATABASE)" in found.says


@pytest.mark.parametrize("content", [b"", b"no database at all " * 300], ids=["empty", "no database"])
def test_a_database_that_cannot_be_read_is_for_another_check(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "mlflow").mkdir()
    (tmp_path / "mlflow" / "mlflow.db").write_bytes(content)
    assert healthy(schemas.check_schemas(tmp_path)) and healthy(schemas.check_mlflow_places(tmp_path))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_workspace_that_was_moved(program: Any, new_workspace: Any, tmp_path: Path) -> None:
    before = new_workspace("-o", "evaluate.answers=1", "-o", "evaluate.personality=null", golden=3, first=False)
    assert program("run", "mvp", *before.options).code == 1  # three questions decide nothing
    assert healthy(schemas.check_mlflow_places(before.path))
    moved = tmp_path / "moved here"
    shutil.move(before.path, moved)
    before.path.touch()  # so that nothing can be written in the old place
    found = only(schemas.check_mlflow_places(moved))
    assert found.level == "warning" and str(before.path) in found.says
    done = program("run", "mvp", *before.options, "-o", f"workspace={moved}", "-o", "index.search.k=3", "--json")
    assert done.code == 1, done.err
    assert healthy(schemas.check_mlflow_places(moved))
    artifacts = moved / "mlflow" / "artifacts"
    assert (artifacts / done.json["mlflow"]["run"] / "artifacts").is_dir()
