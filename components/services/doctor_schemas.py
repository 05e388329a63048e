"""Are the databases of Prefect and MLflow of the installed versions? And where does MLflow think that its files are?

Asked of the last migration that was done in them, and of the migrations that come with the installed packages: neither
is imported. A Prefect on PostgreSQL is not looked at here: the server says it when it starts.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from components.services.doctor import Check
from components.store.mlflow_moved import moved_from

__all__ = ["check_mlflow_places", "check_schemas"]

_MIGRATIONS = {
    "prefect": "server/database/_migrations/versions/sqlite",
    "mlflow": "store/db_migrations/versions",
}
_REVISION = re.compile(r"^revision(?::\s*\w+)?\s*=\s*['\"]([^'\"]+)['\"]", re.M)
_BEFORE = re.compile(r"^down_revision(?::[^=\n]*)?\s*=\s*(.+)$", re.M)


def check_schemas(workspace: Path) -> Iterator[Check]:
    """Databases that a newer version wrote, on which none of ours can work; and MLflow's of an older one.

    Prefect brings an older one up to date by itself.
    """
    fine = []
    for package, title in (("prefect", "Prefect"), ("mlflow", "MLflow")):
        folder = workspace / package
        database = folder / f"{package}.db"
        done = _done(database)
        known, last = _known(package)
        if not done or not known:
            continue
        version = importlib.metadata.version(package)
        if not done <= known:
            told = f"{database} was written by a newer {title} than the installed {version} (schema {min(done)})"
            mend = (
                f"back to the version of before, or mv {folder} {folder}.newer: its history begins anew, no run is lost"
            )
            yield Check("schemas", "problem", told, mend)
        elif package == "mlflow" and not done <= last:
            told = f"{database} is of an older {title} than the installed {version}: nothing can be registered in it"
            yield Check(
                "schemas", "problem", told, f"cp -a {folder} {folder}.before; mlflow db upgrade sqlite:///{database}"
            )
        else:
            fine.append(f"{title} {version}")
    if fine or not any((workspace / name / f"{name}.db").is_file() for name in _MIGRATIONS):
        yield Check("schemas", "ok", ", ".join(fine) or "no databases yet")


def _done(database: Path) -> set[str]:
    """The last migration that was done; empty: no such table, or it cannot be read now."""
    if not database.is_file():
        return set()
    try:
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True, timeout=5)) as connection:
            return {str(row[0]) for row in connection.execute("SELECT version_num FROM alembic_version")}
    except sqlite3.Error:
        return set()


def _known(package: str) -> tuple[set[str], set[str]]:
    """All migrations of the installed package, and those that none comes after."""
    found = importlib.util.find_spec(package)  # looks for it, does not import it
    known: set[str] = set()
    followed: set[str] = set()
    for place in (found.submodule_search_locations or []) if found else []:
        for file in (Path(place) / _MIGRATIONS[package]).glob("*.py"):
            text = file.read_text(encoding="utf-8")
            known.update(_REVISION.findall(text))
            followed.update(name for row in _BEFORE.findall(text) for name in re.findall(r"['\"]([^'\"]+)['\"]", row))
    return known, known - followed


def check_mlflow_places(workspace: Path) -> Iterator[Check]:
    """Of a workspace that was moved: MLflow's record names the old place of its files until somebody writes to it."""
    database = workspace / "mlflow" / "mlflow.db"
    olds = moved_from(database)
    if olds:
        told = f"its record names files in {', '.join(map(str, olds))}, where this workspace was before"
        yield Check("mlflow", "warning", told, "nothing to do: the next run, or cervella up, tells it the new place")
    elif database.is_file():
        yield Check("mlflow", "ok", f"its files are in {database.parent / 'artifacts'}")
    else:
        yield Check("mlflow", "ok", "no record yet")
