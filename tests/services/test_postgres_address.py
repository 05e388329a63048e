"""The address of Prefect's database: which are taken, which are refused and in which words, and what is remembered."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.errors import InputError, TerminalError
from components.services import prefect_environment
from components.services.database import choose_database, chosen_variable, database_url, known_revisions
from components.services.postgres import postgres_url, without_password
from components.services.supervisor.kept import child_environment
from components.store import FileLock

NAME = "CERVELLA_TEST_DATABASE"
GOOD = "postgresql://anna:s3cr3t@db.example:5433/prefect"


@pytest.mark.parametrize(
    ("given_", "used"),
    [
        (GOOD, "postgresql+asyncpg://anna:s3cr3t@db.example:5433/prefect"),
        (GOOD.replace("postgresql", "postgres"), "postgresql+asyncpg://anna:s3cr3t@db.example:5433/prefect"),
        (f" {GOOD}\n", "postgresql+asyncpg://anna:s3cr3t@db.example:5433/prefect"),
        (f"{GOOD}?sslmode=require", "postgresql+asyncpg://anna:s3cr3t@db.example:5433/prefect?ssl=require"),
        ("postgresql+asyncpg:///prefect?host=/run/pg", "postgresql+asyncpg:///prefect?host=%2Frun%2Fpg"),
        ("postgresql://anna:a%40b%2Fc@db/prefect", "postgresql+asyncpg://anna:a%40b%2Fc@db/prefect"),
    ],
    ids=["as is", "postgres", "space around", "sslmode", "socket", "quoted"],
)
def test_an_address_is_brought_to_the_form_of_prefect(given_: str, used: str) -> None:
    assert postgres_url(given_, named=NAME) == used


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("s3cr3t", "is no address of a database"),
        ("postgresql://anna:s3cr3t@db:port/prefect", "is no address of a database"),
        ("mysql://anna:s3cr3t@db/prefect", "begins with mysql://, and this is for PostgreSQL alone"),
        ("postgresql+psycopg2://anna:s3cr3t@db/prefect", "begins with postgresql.psycopg2://"),
        ("postgresql://anna:s3cr3t@db", "names no database"),
    ],
    ids=["word", "port", "mysql", "driver", "no database"],
)
def test_what_is_no_address_is_told_without_it(address: str, says: str) -> None:
    with pytest.raises(InputError, match=f"^{NAME} {says}.* expected postgresql://USER:PASSWORD@HOST") as caught:
        postgres_url(address, named=NAME)
    assert "s3cr3t" not in str(caught.value)


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=4).filter(lambda text: text.strip() == text))
def test_no_form_of_a_password_stays_in_a_text(password: str) -> None:
    from urllib.parse import quote

    quoted = quote(password, safe="")
    url = postgres_url(f"postgresql://anna:{quoted}@db/prefect", named=NAME)
    said = without_password(f"(password: {password}), (quoted: {quoted}), {url}", url)
    for form in (f"password: {password})", f"quoted: {quoted})", f":{quoted}@"):
        assert form not in said or "*" * len(password) == password


def test_the_choice_is_a_name_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen_variable(tmp_path) is None
    assert database_url(tmp_path) == f"sqlite+aiosqlite:///{tmp_path}/prefect.db"
    monkeypatch.setenv(NAME, GOOD)
    choose_database(tmp_path, NAME)
    assert json.loads((tmp_path / "database.json").read_text()) == {"url_env": NAME}
    assert (chosen_variable(tmp_path), database_url(tmp_path)) == (NAME, postgres_url(GOOD, named=NAME))
    choose_database(tmp_path, None)
    assert chosen_variable(tmp_path) is None and list(tmp_path.iterdir()) == []


def test_an_address_that_is_not_here_is_never_the_file_instead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, GOOD)
    choose_database(tmp_path, NAME)
    monkeypatch.delenv(NAME)
    with pytest.raises(TerminalError, match=f"variable {NAME} is not set. Set it; or `cervella up"):
        database_url(tmp_path)
    (tmp_path / "database.json").write_text("{")
    with pytest.raises(TerminalError, match="database.json is damaged: .* Choose again"):
        database_url(tmp_path)
    choose_database(tmp_path, None)
    assert database_url(tmp_path).startswith("sqlite")


@pytest.mark.parametrize("name", ["PREFECT_SERVER_DATABASE_CONNECTION_URL", "", "a b", GOOD, "1A"])
def test_a_name_that_cannot_be_used(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="cannot be the environment variable"):
        choose_database(tmp_path, name)
    assert chosen_variable(tmp_path) is None


def test_a_name_that_holds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(NAME, raising=False)
    with pytest.raises(InputError, match=f"variable {NAME} is not set"):
        choose_database(tmp_path, NAME)
    monkeypatch.setenv(NAME, "mysql://anna:s3cr3t@db/x")
    with pytest.raises(InputError, match=f"^{NAME} begins with mysql"):
        choose_database(tmp_path, NAME)
    assert chosen_variable(tmp_path) is None


def test_the_database_of_a_server_that_is_up_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, GOOD)
    choose_database(tmp_path, NAME)
    lock = FileLock(tmp_path / "server.lock")
    assert lock.try_exclusive()
    choose_database(tmp_path, NAME)  # the very same
    with pytest.raises(TerminalError, match="is up on another database; end it"):
        choose_database(tmp_path, None)
    assert chosen_variable(tmp_path) == NAME
    lock.close()


def test_workers_and_runs_do_not_get_the_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "prefect").mkdir()
    monkeypatch.setenv(NAME, GOOD)
    choose_database(tmp_path / "prefect", NAME)
    for environment in (child_environment(tmp_path, mark="m"), prefect_environment(tmp_path)):
        assert not any("s3cr3t" in value for value in environment.values())


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_the_schemas_of_the_installed_prefect_are_known(kind: str) -> None:
    assert len(known_revisions(kind)) > 90


def test_forget_says_that_it_does_not_search_postgresql(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from components.recipe import load_recipe
    from components.recipe.forget import Forgetting
    from components.store.purge import Words
    from flows.commands.keep import _tell_what_remains

    recipe = load_recipe(root / "recipes" / "reindex.yaml", overrides=[f"workspace={tmp_path}"]).recipe
    for variable, times in ((None, 0), (NAME, 1)):
        (tmp_path / "prefect").mkdir(exist_ok=True)
        monkeypatch.setenv(NAME, GOOD)
        choose_database(tmp_path / "prefect", variable)
        _tell_what_remains(Forgetting(recipe, Words.of_secret("a secret of eight words or more")))
        assert capsys.readouterr().err.count(f"not searched: Prefect's history in PostgreSQL ({NAME})") == times
