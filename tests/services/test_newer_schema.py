"""A database file that a newer Prefect has written: told before a server starts on it, and left as it is."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from components.errors import TerminalError
from components.services.database import known_revisions, make_ready


def written_by(folder: Path, revision: str) -> bytes:
    with closing(sqlite3.connect(folder / "prefect.db")) as connection:
        connection.execute("create table alembic_version (version_num varchar(32))")
        connection.execute("insert into alembic_version values (?)", (revision,))
        connection.commit()
    return (folder / "prefect.db").read_bytes()


def test_the_schema_of_a_newer_prefect_is_told(tmp_path: Path) -> None:
    before, said = written_by(tmp_path, "f00f00f00f00"), list[str]()
    with pytest.raises(
        TerminalError, match=r"prefect\.db was written by a newer Prefect \(schema f00f00f00f00\)"
    ) as told:
        make_ready(tmp_path, said.append)
    assert "mv " in str(told.value) and "no run and no artefact is lost" in str(told.value)
    assert (tmp_path / "prefect.db").read_bytes() == before and not said


@pytest.mark.parametrize("age", [0, -1], ids=["oldest", "newest"])
def test_each_schema_that_is_known_is_good(tmp_path: Path, age: int) -> None:
    written_by(tmp_path, sorted(known_revisions("sqlite"))[age])
    make_ready(tmp_path, pytest.fail)


def test_none_yet_and_an_empty_one_are_good(tmp_path: Path) -> None:
    make_ready(tmp_path, pytest.fail)
    (tmp_path / "prefect.db").touch()
    make_ready(tmp_path, pytest.fail)
    with closing(sqlite3.connect(tmp_path / "prefect.db")) as connection:
        connection.execute("create table begun (id)")
    make_ready(tmp_path, pytest.fail)


def test_a_damaged_one_is_put_aside_first(tmp_path: Path) -> None:
    (tmp_path / "prefect.db").write_bytes(b"a letter, and no database " * 400)
    said: list[str] = []
    make_ready(tmp_path, said.append)
    assert (tmp_path / "prefect.db.corrupt-1").exists() and "its UI begins anew" in said[0]
