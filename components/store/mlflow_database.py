"""MLflow's database in a file, made whole or not at all.

MLflow makes its tables in some eighty transactions, about 10 s long, and cannot go on with half of them: killed there,
it fails for ever ("duplicate column name"). So they are made in a file beside it, which then takes its place.

State after a hard crash: `.new-mlflow.db` beside no `mlflow.db`; the next call begins it anew.
"""

from __future__ import annotations

import os
from pathlib import Path

from components.store.files import sync_folder

__all__ = ["make_database"]

_SQLITE = "sqlite:///"


def make_database(tracking_uri: str) -> None:
    """Make the database of a `sqlite:///` URI with MLflow's tables, when its file is missing or empty; else do nothing.

    For the holder of the lock of the folder. Raises what MLflow and SQLAlchemy raise.
    """
    if not tracking_uri.startswith(_SQLITE):
        return
    path = Path(tracking_uri.removeprefix(_SQLITE))
    if path.exists() and (path.stat().st_size or not path.is_file()):
        return  # what is no file (a device) is never replaced
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".new-{path.name}")
    for suffix in ("", "-journal", "-wal", "-shm"):
        fresh.with_name(fresh.name + suffix).unlink(missing_ok=True)
        path.with_name(path.name + suffix).unlink(missing_ok=True)  # the journal of a file that is gone
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    SqlAlchemyStore(f"{_SQLITE}{fresh}", str(path.parent / "artifacts")).engine.dispose()
    os.replace(fresh, path)
    sync_folder(path.parent)
