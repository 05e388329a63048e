"""MLflow's database as it is before anything was registered, for workspaces of tests that are not about a first start.

Its tables take MLflow a second and more to make. They are made once in each process, by what makes them for a run.
"""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from components.store.mlflow_database import make_database
from components.store.mlflow_door import sqlite_uri

__all__ = ["put_empty_mlflow"]


def put_empty_mlflow(workspace: Path) -> None:
    """Put it where the runs of this workspace look for it, unless there is one."""
    path = workspace / "mlflow" / "mlflow.db"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_empty())


@cache
def _empty() -> bytes:
    # In a folder whose name does not end as that of a workspace, or it would be taken for one that was moved.
    with tempfile.TemporaryDirectory() as folder:
        make_database(sqlite_uri(Path(folder)))
        return (Path(folder) / "mlflow.db").read_bytes()
