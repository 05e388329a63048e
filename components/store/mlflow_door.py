"""The door to MLflow: where its record is, one process of this machine at a time, without a word to anybody else."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from components.errors import InputError
from components.store.locks import hold
from components.store.mlflow_database import make_database
from components.store.mlflow_errors import check_sqlite
from components.store.mlflow_moved import follow_move

__all__ = ["artifacts_of", "mlflow_folder", "open_client", "open_experiment", "sqlite_uri", "tracking_uri"]


def sqlite_uri(folder: Path) -> str:
    """Tracking URI of the database `mlflow.db` in `folder`; raises InputError where SQLite could not find it again."""
    if "?" in str(folder):
        raise InputError(f"{folder}: a folder with '?' in its name cannot hold the MLflow database; rename it.")
    return f"sqlite:///{folder.absolute() / 'mlflow.db'}"


def tracking_uri(workspace: Path, given: str | None) -> str:
    """Where MLflow keeps its record: what the recipe says, or the database of the workspace."""
    return given or sqlite_uri(workspace / "mlflow")


def artifacts_of(workspace: Path, uri: str) -> Path | None:
    """Folder of the artifacts; None with a remote server, which has its own."""
    return None if uri.startswith(("http://", "https://")) else workspace / "mlflow" / "artifacts"


@contextmanager
def mlflow_folder(artifact_root: Path | None) -> Iterator[Path]:
    """A temporary folder, with the artifact root to ourselves when it is here, and MLflow told to be quiet."""
    _quiet()
    if artifact_root is None:
        with tempfile.TemporaryDirectory() as temporary:
            yield Path(temporary)
        return
    artifact_root.mkdir(parents=True, exist_ok=True)
    with hold(artifact_root / ".register.lock", what="register"):
        for left in artifact_root.glob(".register-*"):  # of a process that was killed
            shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=".register-", dir=artifact_root) as temporary:
            yield Path(temporary)


def _quiet() -> None:
    """Before mlflow is imported: else it asks a host of its own whether it may send telemetry."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # stdout is ours: `run --json`
    # "Creating initial database tables" is no news for whoever runs a recipe, and its errors are told by `explained`.
    logging.getLogger("mlflow.store.db").setLevel(logging.CRITICAL)


def open_client(tracking_uri: str) -> Any:
    """A client of MLflow. For the holder of the lock of `mlflow_folder`."""
    check_sqlite(tracking_uri)
    make_database(tracking_uri)
    follow_move(tracking_uri)
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)


def open_experiment(client: Any, name: str, artifact_root: Path | None) -> str:
    """Id of the experiment, made when there is none."""
    found = client.get_experiment_by_name(name)
    if found is None:
        location = None if artifact_root is None else artifact_root.absolute().as_uri()
        return str(client.create_experiment(name, artifact_location=location))
    if found.lifecycle_stage != "active":
        raise InputError(
            f"The MLflow experiment {name!r} was deleted. Restore it (mlflow experiments restore -x "
            f"{found.experiment_id}) or set registry.experiment to another name."
        )
    return str(found.experiment_id)
