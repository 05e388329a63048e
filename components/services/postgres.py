"""A PostgreSQL database for Prefect's server: its address, and whether a server can begin on it, told before one does.

Not covered: a disk of the database that is full, rights that are taken away later, a second Prefect server that uses
the same database. The server tells of the first two in its log when it meets them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from components.errors import CervellaError, InputError, TerminalError

if TYPE_CHECKING:
    from asyncpg import Connection
    from sqlalchemy.engine import URL

__all__ = ["check_postgres", "postgres_url", "without_password"]

CONNECT_SECONDS = 10.0
_OLDEST = (140009, "14.9")  # what Prefect's documentation asks for
_DRIVER = "postgresql+asyncpg"


def postgres_url(text: str, *, named: str) -> str:
    """The address as Prefect's server wants it, `postgresql+asyncpg://USER:PASSWORD@HOST:PORT/DATABASE?ssl=MODE`.

    Args:
        text: the address, as `postgresql://...` or `postgres://...`; `sslmode=` is taken for asyncpg's `ssl=`.
        named: where it was read, for messages, which never hold the address itself.

    Raises:
        InputError: it is none.
    """
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    expected = "expected postgresql://USER:PASSWORD@HOST:5432/DATABASE (in USER and PASSWORD, write @ as %40, / as %2F)"
    try:
        url = make_url(text.strip())
    except (ArgumentError, ValueError):
        raise InputError(f"{named} is no address of a database; {expected}") from None
    if url.drivername not in ("postgres", "postgresql", _DRIVER):
        raise InputError(f"{named} begins with {url.drivername}://, and this is for PostgreSQL alone; {expected}")
    if not url.database:
        raise InputError(f"{named} names no database; {expected}")
    query = dict(url.query)
    if "sslmode" in query:
        query["ssl"] = query.pop("sslmode")
    return url.set(drivername=_DRIVER, query=query).render_as_string(hide_password=False)


def without_password(text: str, url: str) -> str:
    """The text without the password of the address, as it is and as it is written in an address."""
    from urllib.parse import quote, quote_plus

    from sqlalchemy.engine import make_url

    password = str(make_url(url).password or "")
    written = url.partition("://")[2].rpartition("@")[0].partition(":")[2]
    for form in sorted({password, written, quote(password, safe=""), quote_plus(password)}, key=len, reverse=True):
        text = text.replace(form, "***") if form else text
    return text


def check_postgres(url: str, *, named: str, revisions: frozenset[str], version: str) -> None:
    """Ask the database whether Prefect's server can begin on it; at most 10 s for each of connecting and asking.

    Args:
        url: as `postgres_url` gives it.
        named: the environment variable that it came from.
        revisions: schemas that the installed Prefect knows.
        version: of the installed Prefect.

    Raises:
        InputError: the address holds an option that nobody knows.
        TerminalError: what is wrong, and how to mend it. Never with the password.
    """
    from sqlalchemy.engine import make_url

    address = make_url(url)

    async def ask(connection: Connection) -> None:
        await _check(connection, address, named=named, revisions=revisions, version=version)

    # In a thread of its own: the caller's may have an event loop already.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, _asked(address, ask, named=named)).result()


async def _asked(address: URL, ask: Callable[[Connection], Awaitable[None]], *, named: str) -> None:
    import asyncpg

    given = address.get_dialect()().create_connect_args(address)[1]
    options: dict[str, Any] = {name: value for name, value in given.items() if not name.startswith("prepared_")}
    where = _where(address)
    try:
        connection = await asyncpg.connect(**options, timeout=CONNECT_SECONDS)
        try:
            await asyncio.wait_for(ask(connection), CONNECT_SECONDS)
        finally:
            await connection.close(timeout=2)
    except CervellaError:
        raise
    except TypeError as error:  # an option in the address: told by its name, which says nothing of its value
        raise InputError(f"{named}: the address holds an option that asyncpg does not know ({error})") from None
    except (TimeoutError, OSError) as error:
        why = "no answer within 10 s" if isinstance(error, TimeoutError) else error.strerror or str(error)
        raise TerminalError(
            f"PostgreSQL at {where} cannot be reached ({why}). Start it, or correct the address in {named}. "
            "Runs need it only for Prefect's history: what was sealed is not touched."
        ) from None
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise _told(error, address, where, named) from None


def _told(error: Exception, address: URL, where: str, named: str) -> TerminalError:
    import asyncpg

    says = without_password(str(error), address.render_as_string(hide_password=False))
    user, database = address.username or "(nobody named)", address.database
    if isinstance(error, asyncpg.InvalidPasswordError | asyncpg.InvalidAuthorizationSpecificationError):
        mend = f"Correct user and password in {named}; a password may also be in ~/.pgpass or PGPASSWORD"
        return TerminalError(f"PostgreSQL at {where} does not let user {user} in ({says}). {mend}.")
    if isinstance(error, asyncpg.InvalidCatalogNameError):
        return TerminalError(
            f"PostgreSQL at {where} has no database {database}. Make it: createdb --owner={user} {database}; "
            f"or correct {named}."
        )
    if isinstance(error, asyncpg.CannotConnectNowError | asyncpg.TooManyConnectionsError):
        return TerminalError(f"PostgreSQL at {where} takes no connection now ({says}). Try again in a moment.")
    return TerminalError(f"PostgreSQL at {where} cannot be used ({type(error).__name__}: {says}). See {named}.")


async def _check(
    connection: Connection, address: URL, *, named: str, revisions: frozenset[str], version: str
) -> None:  # fmt: skip
    where, database = f"{_where(address)}/{address.database}", address.database
    facts = await connection.fetchrow("""
        select current_setting('server_version_num')::int as number, current_setting('server_version') as version,
        current_setting('server_encoding') as encoding, pg_is_in_recovery() as copy, current_user::text as who,
        to_regclass('alembic_version') is not null as begun, to_regclass('flow_run') is not null as ours,
        exists(select from pg_extension where extname = 'pg_trgm') as trigrams,
        exists(select from pg_available_extensions where name = 'pg_trgm') as offered,
        has_database_privilege(current_database(), 'CREATE') as may_extend,
        coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) as may_create""")
    if facts["number"] < _OLDEST[0]:
        raise TerminalError(
            f"PostgreSQL at {where} is version {facts['version']}; Prefect needs {_OLDEST[1]} or newer. Upgrade it, or "
            f"name another server in {named}."
        )
    if facts["copy"]:
        raise TerminalError(f"PostgreSQL at {where} is a read-only copy (standby). Name the primary in {named}.")
    if facts["encoding"] not in ("UTF8", "SQL_ASCII"):
        raise TerminalError(
            f"The database {where} keeps text as {facts['encoding']}, which cannot hold every note's name. Make one "
            f"with: createdb --encoding=UTF8 --template=template0 NAME; and name it in {named}."
        )
    found = {row[0] for row in await connection.fetch("select version_num from alembic_version")} \
        if facts["begun"] else set()  # fmt: skip
    if found and not facts["ours"]:
        raise TerminalError(
            f"The database {where} belongs to another program (it has a table alembic_version, and none of Prefect's). "
            f"Make one for Prefect alone, and name it in {named}."
        )
    if strange := sorted(found - revisions):
        raise TerminalError(
            f"The database {where} was written by a newer Prefect (schema {', '.join(strange)}) than the one that is "
            f"installed ({version}). Install that version here, or name another database in {named}: then Prefect's "
            "history begins anew, and no run and no artefact is lost."
        )
    if not facts["may_create"]:
        raise TerminalError(
            f"User {facts['who']} may not make tables in the database {where}. Let it, as its administrator: "
            f"alter database {database} owner to {facts['who']}; grant all on schema public to {facts['who']};"
        )
    if not facts["trigrams"] and not (facts["offered"] and facts["may_extend"]):
        mend = "create extension pg_trgm;" if facts["offered"] else "install PostgreSQL's contrib package"
        raise TerminalError(
            f"The database {where} has no extension pg_trgm, which Prefect needs, and {facts['who']} cannot add it. "
            f"As its administrator: {mend}"
        )


def _where(address: URL) -> str:
    host = address.host or str(address.query.get("host") or "the local socket")
    return f"{host}:{address.port}" if address.port else host
