"""A PostgreSQL database that Prefect cannot begin on: each fault is told before a server starts, without password."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from components.errors import InputError, TerminalError
from components.services import postgres
from components.services.database import known_revisions
from components.services.postgres import check_postgres, postgres_url
from tests.services.postgres_server import PASSWORD, Postgres, postgres_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
NAME = "CERVELLA_TEST_DATABASE"
TABLES = (
    "create table alembic_version (version_num varchar(32) primary key)",
    "create table flow_run (id integer)",
)


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with postgres_server() as server:
        yield server


def told(url: str) -> str:
    """What is said of the database."""
    with pytest.raises(TerminalError) as caught:
        ask(url)
    said = str(caught.value)
    for form in (PASSWORD, "s3cr3t"):
        assert form not in said
    assert any(mend in said for mend in (NAME, "As its administrator", "as its administrator", "in a moment"))
    return said


def ask(url: str) -> None:
    url = postgres_url(url, named=NAME)
    check_postgres(url, named=NAME, revisions=known_revisions("postgresql"), version="3.8.8")


def test_an_empty_one_and_one_of_this_prefect_are_good_and_the_same_of_a_newer_one_is_not(server: Postgres) -> None:
    ask(server.url())
    ask(f"{server.url()}?sslmode=prefer&prepared_statement_cache_size=0")
    server.sql("create database used owner cervella", "select 1")
    newest = sorted(known_revisions("postgresql"))[-1]
    server.sql(*TABLES, f"insert into alembic_version values ('{newest}')",
               "grant all on all tables in schema public to cervella", "select 1", database="used")  # fmt: skip
    ask(server.url(database="used"))
    newer = "update alembic_version set version_num = 'f00f00f00f00' returning 1"
    assert server.sql(newer, database="used") == [(1,)]
    said = told(server.url(database="used"))
    assert "was written by a newer Prefect (schema f00f00f00f00) than the one that is installed (3.8.8)." in said
    assert "no run and no artefact is lost" in said


def test_nobody_is_there() -> None:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    said = told(f"postgresql://cervella:s3cr3t@127.0.0.1:{port}/prefect")
    assert said.startswith(f"PostgreSQL at 127.0.0.1:{port} cannot be reached (") and "Start it, or correct" in said


def test_a_host_that_does_not_exist() -> None:
    said = told("postgresql://cervella:s3cr3t@no-such-host.invalid/prefect")
    assert said.startswith("PostgreSQL at no-such-host.invalid cannot be reached (")


def test_something_else_listens_there(monkeypatch: pytest.MonkeyPatch) -> None:
    assert postgres.CONNECT_SECONDS == 10  # what is said; here it takes less
    monkeypatch.setattr(postgres, "CONNECT_SECONDS", 1.0)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        other.setblocking(False)
        said = told(f"postgresql://cervella:s3cr3t@127.0.0.1:{other.getsockname()[1]}/prefect")
    assert "cannot be reached (no answer within 10 s)" in said


@pytest.mark.parametrize(
    ("user", "password"), [("cervella", "s3cr3t-wrong"), ("nobody_here", PASSWORD)], ids=["password", "user"]
)
def test_who_is_not_let_in(server: Postgres, user: str, password: str) -> None:
    said = told(server.url(user=user, password=password))
    assert f"PostgreSQL at 127.0.0.1:{server.port} does not let user {user} in (" in said
    assert f"Correct user and password in {NAME}" in said


def test_no_such_database(server: Postgres) -> None:
    said = told(server.url(database="nothing"))
    assert "has no database nothing. Make it: createdb --owner=cervella nothing; or correct" in said


def test_the_database_of_another_program(server: Postgres) -> None:
    server.sql("create database mlflow owner cervella", "select 1")
    server.sql(TABLES[0], "insert into alembic_version values ('d4a7e1c93f52')",
               "grant all on all tables in schema public to cervella", "select 1", database="mlflow")  # fmt: skip
    assert "belongs to another program (it has a table alembic_version" in told(server.url(database="mlflow"))


def test_no_right_to_make_tables(server: Postgres) -> None:
    server.sql("create database theirs", "select 1")
    said = told(server.url(database="theirs"))
    assert "User cervella may not make tables" in said and "alter database theirs owner to cervella" in said


def test_no_right_to_add_what_prefect_needs(server: Postgres) -> None:
    server.sql("create database bare", "revoke create on database bare from public", "select 1")
    server.sql("grant all on schema public to cervella", "select 1", database="bare")
    said = told(server.url(database="bare"))
    assert "has no extension pg_trgm" in said and said.endswith("As its administrator: create extension pg_trgm;")
    server.sql("create extension pg_trgm", "select 1", database="bare")
    ask(server.url(database="bare"))


def test_text_that_cannot_hold_every_name(server: Postgres) -> None:
    server.sql(
        "create database western owner cervella encoding 'LATIN1' lc_collate 'C' lc_ctype 'C' template template0",
        "select 1",
    )
    assert "keeps text as LATIN1" in told(server.url(database="western"))


def test_an_option_that_nobody_knows(server: Postgres) -> None:
    with pytest.raises(InputError, match=f"^{NAME}: the address holds an option that asyncpg does not know .*sslkeyy"):
        ask(f"{server.url()}?sslkeyy=1")


def test_a_server_that_begins(server: Postgres) -> None:
    server.sql("alter database prefect with connection limit 0", "select 1")
    try:
        assert "takes no connection now" in told(server.url())
    finally:
        server.sql("alter database prefect with connection limit -1", "select 1")
