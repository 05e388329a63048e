"""Are the databases of Prefect and MLflow of the installed versions? And where does MLflow think that its files are?

Asked of the last migration that was done in them, and of the migrations that come with the installed packages: neither
is imported. A Prefect on PostgreSQL is not looked at here: the server says it when it starts.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from pathlib import Path

from components.services.database import MIGRATIONS, chosen_variable, migrations_of, schema_of
from components.services.doctor import Check
from components.store.mlflow_moved import moved_from

__all__ = ["check_mlflow_places", "check_schemas"]


def check_schemas(workspace: Path) -> Iterator[Check]:
    """Databases that a newer version wrote, on which none of ours can work; and MLflow's of an older one.

    Prefect brings an older one up to date by itself. Raises TerminalError: which database it uses cannot be read.
    """
    fine = []
    elsewhere = chosen_variable(workspace / "prefect")
    for package, title in (("prefect", "Prefect"), ("mlflow", "MLflow")):
        folder = workspace / package
        database = folder / f"{package}.db"
        if package == "prefect" and elsewhere:
            continue
        done = schema_of(database)
        known, last = migrations_of(package)
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
    if elsewhere:
        fine.append(f"Prefect's history is in PostgreSQL ({elsewhere})")
    if fine or not any((workspace / name / f"{name}.db").is_file() for name in MIGRATIONS):
        yield Check("schemas", "ok", ", ".join(fine) or "no databases yet")


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
