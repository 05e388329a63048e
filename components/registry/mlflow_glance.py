"""Whether MLflow has something already, read past it: importing it takes longer than all else of a run that is done.

Only what MLflow's own SQLite database of this machine says, all that `register` or `follow` would look at; nothing is
written. A database that is not as expected (another version, damaged, locked) says nothing, and MLflow is asked.

NOT covered: artifacts that were removed from MLflow's folder by hand, which `register` does not look at either.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Found", "champion_is_told", "registered_in"]

_SQLITE = "sqlite:///"


@dataclass(frozen=True)
class Found:
    """Where it is recorded: ids and versions as MLflow has them."""

    experiment_id: str
    run_id: str
    model_version: int
    prompt_version: int


def registered_in(
    tracking_uri: str, *, experiment: str, key: tuple[str, str], model_name: str, release: tuple[str, str], alias: str,
    prompt_name: str, prompt: str, tags: Mapping[str, str], description: str,
) -> Found | None:  # fmt: skip
    """What a registration would find, where it would change nothing; None: it might.

    Args:
        tracking_uri: of MLflow; anything but SQLite says nothing.
        experiment: name of the experiment.
        key: tag and value of the finished run.
        model_name: the registered model.
        release: tag and value of its version.
        alias: which must lie on that version.
        prompt_name: the registered prompt.
        prompt: its text, which one version must have.
        tags: that the version must have; `{run}` stands for the id of the run.
        description: that the version must have.
    """

    def look(database: sqlite3.Connection) -> Found | None:
        where = _one(database, "select experiment_id from experiments where name = ? and lifecycle_stage = 'active'",
                     experiment)  # fmt: skip
        run = _one(
            database,
            "select run_uuid from runs join tags using (run_uuid) where experiment_id = ? and key = ? and value = ? "
            "and status = 'FINISHED' and lifecycle_stage = 'active' order by start_time",
            where, *key,
        )  # fmt: skip
        version = _one(database, f"{_TAGGED} order by version", model_name, *release)
        has = _tags(database, model_name, version)
        text = _one(
            database, "select description from model_versions where name = ? and version = ?", model_name, version
        )
        if {name: has.get(name) for name in tags} != {name: value.format(run=run) for name, value in tags.items()}:
            return None
        if text != description or _alias(database, model_name, alias) != version:
            return None
        linked = _one(
            database, "select value from registered_model_tags where name = ? and key = '_mlflow_experiment_ids'",
            prompt_name,
        )  # fmt: skip
        prompts = database.execute(_TAGGED, (prompt_name, "mlflow.prompt.text", prompt)).fetchall()
        if f",{where}," not in str(linked) or len(prompts) != 1:
            return None
        return Found(str(where), str(run), int(version), int(prompts[0][0]))

    found: Found | None = _looked(tracking_uri, look)
    return found


def champion_is_told(
    tracking_uri: str, *, model_name: str, alias: str, release: tuple[str, str], description: str
) -> bool:
    """Whether the alias lies on a version of this release, and the model has the description that is written last.

    `description`: `{version}` in it stands for the version.
    """

    def look(database: sqlite3.Connection) -> bool:
        version = _alias(database, model_name, alias)
        text = _one(database, "select description from registered_models where name = ?", model_name)
        told = description.replace("{version}", str(version))
        return _tags(database, model_name, version).get(release[0]) == release[1] and text == told

    return bool(_looked(tracking_uri, look))


_TAGGED = (
    "select version from model_versions join model_version_tags using (name, version, workspace) "
    "where name = ? and key = ? and value = ? and current_stage <> 'Deleted_Internal'"
)


class _Nothing(Exception):
    """There is no such row."""


def _looked(tracking_uri: str, look: Any) -> Any:
    path = Path(tracking_uri.removeprefix(_SQLITE))
    if not tracking_uri.startswith(_SQLITE) or not path.is_file():
        return None
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=1)) as database:
            return look(database)
    except (sqlite3.Error, _Nothing, ValueError, TypeError):
        return None


def _one(database: sqlite3.Connection, query: str, *values: Any) -> Any:
    row = database.execute(query, values).fetchone()
    if row is None:
        raise _Nothing
    return row[0]


def _tags(database: sqlite3.Connection, model_name: str, version: Any) -> dict[str, str]:
    rows = database.execute(
        "select key, value from model_version_tags where name = ? and version = ?", (model_name, version)
    )
    return dict(rows.fetchall())


def _alias(database: sqlite3.Connection, model_name: str, alias: str) -> Any:
    return _one(
        database, "select version from registered_model_aliases where name = ? and alias = ?", model_name, alias
    )
