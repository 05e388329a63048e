"""A workspace that was moved or copied: MLflow wrote down the absolute place of all files, and is told the new one.

Only in the database of a workspace itself (`<workspace>/mlflow/mlflow.db`), whose files lie beside it. A row is changed
when its files are in the new place, or are not in the old one. Parameters that name the old place stay: so it was then.

State after a hard crash: the changes are one transaction, made by the next call if not by this one.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

from components.errors import TransientError
from components.store.progress import logger

__all__ = ["follow_move", "moved_from"]

_SQLITE = "sqlite:///"
_WAIT_SECONDS = 30.0
_END = "/mlflow/artifacts"
_COLUMNS = {
    "experiments": ("artifact_location",),
    "runs": ("artifact_uri",),
    "model_versions": ("source", "storage_location"),
}


def follow_move(tracking_uri: str) -> None:
    """Tell the database of a `sqlite:///` URI where the files of its workspace are now.

    Raises:
        TransientError: another program writes into the database.
    """
    if not tracking_uri.startswith(_SQLITE):
        return
    database = Path(tracking_uri.removeprefix(_SQLITE))
    olds = moved_from(database)
    if not olds:
        return
    root = _root(database)
    try:
        with closing(sqlite3.connect(database, timeout=_WAIT_SECONDS, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            for table, column, row, _, new in _changes(connection, root):
                connection.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (new, row))  # noqa: S608
            connection.execute("COMMIT")
    except sqlite3.OperationalError as error:
        raise TransientError(f"{database}: it could not be told that its files are in {root} now ({error})") from error
    logger.info("MLflow's files are in %s now; its record named %s", root, ", ".join(map(str, olds)))


def moved_from(database: Path) -> list[Path]:
    """Folders of files that the database names, and that are elsewhere by now. Read-only; empty: none."""
    if database.name != "mlflow.db" or database.parent.name != "mlflow" or not database.is_file():
        return []
    try:
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True, timeout=5)) as connection:
            return sorted({old for *_, old, _ in _changes(connection, _root(database))})
    except sqlite3.Error:
        return []  # damaged or busy: others look after that


def _root(database: Path) -> Path:
    return database.absolute().parent / "artifacts"


def _changes(connection: sqlite3.Connection, root: Path) -> list[tuple[str, str, int, Path, str]]:
    """Table, column, row, folder of before, new value."""
    found = []
    same: dict[Path, bool] = {root: True}
    for table, columns in _COLUMNS.items():
        for column in columns:
            rows = connection.execute(f"SELECT rowid, {column} FROM {table} WHERE {column} IS NOT NULL")  # noqa: S608
            for row, value in rows.fetchall():
                place = unquote(urlsplit(value).path) if value.startswith("file:") else value
                head, _, rest = place.rpartition(_END)
                old = Path(head + _END)
                if not place.startswith("/") or not head or (rest and not rest.startswith("/")):
                    continue  # of another program, or a remote place
                if old not in same:
                    same[old] = old.exists() and root.exists() and old.samefile(root)
                if not same[old] and (Path(f"{root}{rest}").exists() or not Path(place).exists()):
                    begin = root.as_uri() if value.startswith("file:") else str(root)
                    found.append((table, column, row, old, begin + value.rpartition(_END)[2]))
    return found
