"""MLflow's failures in the words of this project, found early where MLflow itself would try for minutes."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from components.errors import TerminalError, TransientError

__all__ = ["check_sqlite", "explained"]

_OURS = {"alembic_version", "experiments"}
_TRANSIENT = {"TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "INTERNAL_ERROR"}


def check_sqlite(tracking_uri: str) -> None:
    """Raise TerminalError when the SQLite file of the URI is there but damaged, somebody else's, or no database at all.

    MLflow would retry for minutes, or fail somewhere within. Reads the whole file: about a second for 500 MB.
    """
    if not tracking_uri.startswith("sqlite:///"):
        return
    path = Path(tracking_uri.removeprefix("sqlite:///"))
    if not path.exists():
        return
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return  # somebody writes: MLflow waits for it
        raise _damaged(path, str(error)) from error
    if found != "ok":
        raise _damaged(path, str(found).splitlines()[-1])
    if tables and not _OURS & tables:  # MLflow would make its own tables among them
        raise _damaged(path, f"it has the tables of something else: {', '.join(sorted(tables)[:3])}")


def _damaged(path: Path, how: str) -> TerminalError:
    return TerminalError(
        f"{path}: not a database that can be read ({how}); expected MLflow's. Move it away: "
        "registering again starts a new one, runs that were only in the old file are lost to MLflow."
    )


@contextmanager
def explained(tracking_uri: str) -> Iterator[None]:
    """Turn MLflow's and SQLAlchemy's exceptions into ours, naming the place without user and password."""
    place = re.sub(r"//[^@/]*@", "//", tracking_uri)
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import OperationalError, SQLAlchemyError

    try:
        yield
    except MlflowException as error:
        text = f"MLflow at {place}: {str(error).replace(tracking_uri, place)}"
        raise (TransientError if error.error_code in _TRANSIENT else TerminalError)(text) from error
    except OperationalError as error:
        raise TransientError(f"MLflow's database at {place} does not answer: {error.orig}") from error
    except SQLAlchemyError as error:
        raise TerminalError(f"MLflow's database at {place}: {type(error).__name__}") from error
