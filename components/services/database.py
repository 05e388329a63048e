"""Prefect's database before a server starts on it: a file of the workspace, or PostgreSQL when one was chosen.

It is a view for people, never the record of a run: the store is. So damage costs the view, and no run: a file that is
damaged is put aside, and its history begins anew. What is not seen here: damage within values, which the server may
stumble on when that very run is looked at. PostgreSQL looks after itself.

Which one is chosen is in `<workspace>/prefect/database.json`: the name of an environment variable, never an address,
since a password is in it. State after a hard crash: the choice before, or the new one.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from components.errors import InputError, TerminalError
from components.services.environment import file_url
from components.store import is_held, write_atomic

__all__ = [
    "CHOICE", "DATABASE", "MIGRATIONS", "choose_database", "chosen_variable", "database_url", "known_revisions",
    "make_ready", "migrations_of", "put_aside", "put_aside_when_damaged", "schema_of",
]  # fmt: skip

DATABASE = "prefect.db"
CHOICE = "database.json"
MIGRATIONS = {
    "prefect": "server/database/_migrations/versions/{kind}",
    "mlflow": "store/db_migrations/versions",
}
"""Where installed packages keep their migrations; Prefect has some for each kind, `sqlite` and `postgresql`."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_REVISION = re.compile(r"^revision(?::\s*\w+)?\s*=\s*['\"]([^'\"]+)['\"]", re.M)
_BEFORE = re.compile(r"^down_revision(?::[^=\n]*)?\s*=\s*(.+)$", re.M)
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_FULL,
         sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR)  # fmt: skip


def chosen_variable(folder: Path) -> str | None:
    """Name of the environment variable with the address of the PostgreSQL that was chosen; None: the file.

    Raises:
        TerminalError: the choice cannot be read. It is never taken for none: the history would be torn apart.
    """
    path = folder / CHOICE
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["url_env"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        found = ""
    if isinstance(found, str) and _NAME.fullmatch(found):
        return found
    raise TerminalError(
        f"{path} is damaged: it should name the environment variable with the address of Prefect's database. Choose "
        "again with `cervella up --prefect-database-env NAME`, or `none` for the file of the workspace."
    )


def choose_database(folder: Path, variable: str | None) -> None:
    """Have Prefect's history of `folder` (`<workspace>/prefect`) in PostgreSQL from now on, or (None) in its file.

    What the one before holds stays there, and is shown again when it is chosen again. A database that cannot be used
    is told before anything is written: the choice before stays.

    Args:
        folder: must be there.
        variable: environment variable with the address, see `postgres_url`.

    Raises:
        InputError: no such name can be used, it is not set, or holds no address.
        TerminalError: a server of the workspace is up on another database; or a server cannot begin on this one.
    """
    if variable is not None:
        if not _NAME.fullmatch(variable) or variable.startswith("PREFECT_"):
            raise InputError(
                f"{variable!r} cannot be the environment variable with the address of Prefect's database: expected "
                "letters, digits and _, not beginning with PREFECT_ (those are set anew for each server), such as "
                "CERVELLA_PREFECT_DATABASE."
            )
        _url_in(variable)
    with suppress(TerminalError):  # a choice that cannot be read is replaced
        if chosen_variable(folder) == variable:
            return
    if is_held(folder / "server.lock"):
        raise TerminalError(
            "A Prefect server of this workspace is up on another database; end it (cervella down), then choose."
        )
    _check(folder, variable)
    if variable is None:
        (folder / CHOICE).unlink(missing_ok=True)
    else:
        write_atomic(folder / CHOICE, json.dumps({"url_env": variable}).encode())


def database_url(folder: Path) -> str:
    """Address of the database of `folder`, for a server that is started now; it may hold a password.

    Raises:
        InputError: the environment variable holds no address of a PostgreSQL database.
        TerminalError: it is not set here, or the choice cannot be read.
    """
    variable = chosen_variable(folder)
    if variable is None:
        return file_url(folder)
    if not os.environ.get(variable):
        raise TerminalError(
            f"Prefect's history of this workspace is in PostgreSQL, and its address is not here: the environment "
            f"variable {variable} is not set. Set it; or `cervella up --prefect-database-env none` goes back to the "
            "file of the workspace, where a history of its own goes on."
        )
    return _url_in(variable)


def _url_in(variable: str) -> str:
    from components.services.postgres import postgres_url

    if not os.environ.get(variable):
        raise InputError(f"the environment variable {variable} is not set; it should hold the address of a database")
    return postgres_url(os.environ[variable], named=variable)


def make_ready(folder: Path, say: Callable[[str], None]) -> None:
    """Have a database that a server can begin on, before one starts on it.

    Raises:
        InputError, TerminalError: there is none, and how to mend it.
    """
    variable = chosen_variable(folder)
    if variable is None and (aside := put_aside_when_damaged(folder)):
        say(f"Prefect's database was damaged: it is now {aside}, and the history in its UI begins anew.")
    if variable is not None:
        database_url(folder)  # raises where it is not set
    _check(folder, variable)


def _check(folder: Path, variable: str | None) -> None:
    """Whether a server can begin on the database; see `make_ready`."""
    if variable is None:
        _check_schema(folder)
        return
    from components.services.postgres import check_postgres

    check_postgres(_url_in(variable), named=variable, revisions=known_revisions("postgresql"), version=_installed())


def known_revisions(kind: str) -> frozenset[str]:
    """Schemas (`sqlite`, `postgresql`) that the installed Prefect knows; see `migrations_of`."""
    return migrations_of("prefect", kind=kind)[0]


def migrations_of(package: str, *, kind: str = "sqlite") -> tuple[frozenset[str], frozenset[str]]:
    """All migrations of an installed package (of `MIGRATIONS`), and those that none comes after.

    Read from its files, without importing it. Empty where they cannot be found: then nothing is said of any schema.
    """
    from importlib.util import find_spec

    spec = find_spec(package)
    known: set[str] = set()
    followed: set[str] = set()
    for place in (spec.submodule_search_locations or []) if spec else []:
        for file in (Path(place) / MIGRATIONS[package].format(kind=kind)).glob("*.py"):
            text = file.read_text(encoding="utf-8")
            known.update(_REVISION.findall(text))
            followed.update(name for row in _BEFORE.findall(text) for name in re.findall(r"['\"]([^'\"]+)['\"]", row))
    return frozenset(known), frozenset(known - followed)


def schema_of(database: Path) -> frozenset[str]:
    """The last migration that was done in a file of SQLite; empty: no such table, or it cannot be read now."""
    if not database.is_file() or not database.stat().st_size:
        return frozenset()
    try:
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True, timeout=5)) as connection:
            return frozenset(str(row[0]) for row in connection.execute("select version_num from alembic_version"))
    except sqlite3.Error:  # nothing was made in it yet; or the server says what is wrong with it
        return frozenset()


def _check_schema(folder: Path) -> None:
    path, known = folder / DATABASE, known_revisions("sqlite")
    strange = sorted(schema_of(path) - known) if known else []
    if strange:
        raise TerminalError(
            f"{path} was written by a newer Prefect (schema {', '.join(strange)}) than the one that is installed "
            f"({_installed()}). Install the newer one again (`make setup` of that checkout); or move the file aside "
            f"(mv {path} {path}.newer) and its log with it, if there is one: then Prefect's history begins anew, and "
            "no run and no artefact is lost."
        )


def _installed() -> str:
    from importlib.metadata import version

    return version("prefect")


def put_aside_when_damaged(folder: Path) -> Path | None:
    """Check the database in `folder`, which no server may have open; returns where a damaged one is now, else None.

    Reads the whole file: about a second for 500 MB.
    """
    path = folder / DATABASE
    if not path.is_file() or not path.stat().st_size:
        return None
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=5)) as connection:
            answer = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", None)
        if code is not None and code & 0xFF in _BUSY:  # somebody else looks at it, or the disk is at fault
            return None
        return put_aside(folder)
    return None if answer == ("ok",) else put_aside(folder)


def put_aside(folder: Path) -> Path:
    """Move the database of `folder` and its log to `prefect.db.corrupt-N`; returns the new path."""
    number = 1
    while (aside := folder / f"{DATABASE}.corrupt-{number}").exists():
        number += 1
    # The log first: a new database beside an old log would replay it.
    for suffix in ("-wal", "-shm", ""):
        with suppress(FileNotFoundError):
            os.replace(folder / f"{DATABASE}{suffix}", f"{aside}{suffix}")
    return aside
