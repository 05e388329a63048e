"""The database that tests begin with which are not about a first start: Prefect's newest, and empty."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from components.services.database import DATABASE, migrations_of, schema_of


@pytest.mark.slow
def test_a_workspace_in_which_a_server_was_before_holds_the_newest_schema_and_nothing_else(
    served: Callable[[Path], Path], tmp_path: Path
) -> None:
    home = served(tmp_path / "work space") / "prefect"
    assert [path.name for path in home.iterdir()] == [DATABASE] and home.stat().st_mode & 0o077 == 0
    assert schema_of(home / DATABASE) == migrations_of("prefect")[1]
    with closing(sqlite3.connect(home / DATABASE)) as opened:
        tables = [name for (name,) in opened.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        filled = [name for name in tables if opened.execute(f'SELECT 1 FROM "{name}" LIMIT 1').fetchone()]  # noqa: S608
    assert len(tables) > 30 and filled == ["alembic_version"]
