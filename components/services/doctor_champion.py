"""Is what is in service whole, and does MLflow tell the same? Reads MLflow's database past MLflow: that is quick."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from components.errors import TerminalError
from components.registry.champion import Champion, read_champions
from components.registry.params import CHAMPION
from components.services.doctor import Check
from components.store import Store

__all__ = ["check_champions"]

_FIND = """
select aliases.version, tags.value from registered_model_aliases aliases left join model_version_tags tags
on tags.name = aliases.name and tags.version = aliases.version and tags.key = 'cervella.release'
where aliases.name = ? and aliases.alias = ?
"""


def check_champions(workspace: Path, *, recipe: str = "RECIPE") -> Iterator[Check]:
    """`champion.json`, the release that it names, and MLflow's alias where its database is in the workspace."""
    try:
        champions = {name: history[-1] for name, history in read_champions(workspace).items() if history}
    except TerminalError as error:
        told, _, mend = str(error).partition(": ")
        yield Check("champion", "problem", told, mend)
        return
    if not champions:
        yield Check("champion", "ok", "nothing is in service yet")
    for name, one in champions.items():
        told = f"{name} version {one.version}, release {one.digest[:12]}, since {one.at}"
        try:
            Store(workspace).open(one.release)
        except TerminalError as error:
            mend = f"cervella rollback {recipe}; or cervella run {recipe}, then cervella promote {recipe}"
            yield Check("champion", "problem", f"{told}: {error}", mend)
            continue
        fault = _mlflow_fault(workspace, name, one)
        mend = f"cervella promote {recipe} tells MLflow again, and so does the next run"
        yield Check("champion", "warning" if fault else "ok", fault or told, mend if fault else None)


def _mlflow_fault(workspace: Path, name: str, one: Champion) -> str | None:
    database = workspace / "mlflow" / "mlflow.db"
    if not database.is_file():
        return None  # it is elsewhere, or gone: the check of databases looks after it
    try:
        with closing(sqlite3.connect(f"file:{quote(str(database))}?mode=ro", uri=True, timeout=5)) as opened:
            found = opened.execute(_FIND, (name, CHAMPION)).fetchone()
    except sqlite3.Error:
        return None
    if found is None:
        return f"MLflow has no alias {CHAMPION} of {name}, version {one.version} is in service"
    if found[1] != one.digest:
        return f"MLflow's alias {CHAMPION} of {name} is version {found[0]}, in service is version {one.version}"
    return None
