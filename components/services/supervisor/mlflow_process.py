"""Becomes the MLflow server of a workspace: `python -m components.services.supervisor.mlflow_process WORKSPACE PORT`.

The database is made whole first, as a run makes it, so that a kill during a first start costs nothing.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from components.errors import CervellaError
from components.store.mlflow_database import make_database
from components.store.mlflow_door import artifacts_of, mlflow_folder, tracking_uri
from components.store.mlflow_errors import check_sqlite
from components.store.mlflow_moved import follow_move


def main(workspace: Path, port: int) -> None:
    """Make the database when there is none, then turn into `mlflow server` on 127.0.0.1; returns never."""
    uri = tracking_uri(workspace, None)
    artifacts = artifacts_of(workspace, uri)
    with mlflow_folder(artifacts):
        check_sqlite(uri)
        make_database(uri)
        follow_move(uri)
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
        "--backend-store-uri", uri, "--artifacts-destination", str(artifacts), "--uvicorn-opts", "--log-level warning",
    ]  # fmt: skip
    os.execv(sys.executable, command)  # noqa: S606 (our own interpreter, no shell)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), int(sys.argv[2]))
    except CervellaError as error:
        sys.exit(f"cervella: {error}")
