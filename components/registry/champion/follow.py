"""MLflow follows the history of champions: alias, tags, description. Doing it again changes nothing.

State after a hard crash: MLflow tells some or nothing of the newest change; doing it again completes it, because all
that it is told comes from the whole history, and not from the last change alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from components.errors import CervellaError
from components.registry.champion.record import Champion, close, locked, read_history
from components.registry.mlflow_glance import champion_is_told
from components.registry.params import CHAMPION, RegistryParams
from components.store import mlflow_door as door
from components.store.mlflow_errors import explained

__all__ = ["follow", "sync_champion"]

_OF = "cervella.champion_"
_RELEASE = "cervella.release"
_MOST = 10  # releases whose tags are kept up to date
_DESCRIPTION = "Releases: persona, base model, adapter, index configuration"
_SQLITE = "sqlite:///"


def sync_champion(
    *, workspace: Path, registry: RegistryParams, at: Callable[[str], None] = lambda point: None
) -> str | None:
    """Make MLflow agree with `champion.json`; returns what is in the way, in words; None: it agrees."""
    if not read_history(workspace, registry.model_name):
        return None
    with locked(workspace, "champion"):
        return follow(read_history(workspace, registry.model_name), workspace=workspace, registry=registry, at=at)


def follow(
    history: Sequence[Champion], *, workspace: Path, registry: RegistryParams,
    at: Callable[[str], None] = lambda point: None,
) -> str | None:  # fmt: skip
    """As `sync_champion`, for the holder of the lock. What MLflow refuses is told again by the next change or run."""
    fault = _told(history, workspace, registry, at)
    close(workspace, registry.model_name)
    return fault


def _told(
    history: Sequence[Champion], workspace: Path, registry: RegistryParams, at: Callable[[str], None]
) -> str | None:
    uri = door.tracking_uri(workspace, registry.tracking_uri)
    if uri.startswith(_SQLITE) and not Path(uri.removeprefix(_SQLITE)).is_file():
        return f"MLflow has no database at {uri}; the next run of the recipe makes one"
    now = history[-1]
    release = (_RELEASE, now.digest)
    told = _description(now, "{version}")
    if champion_is_told(uri, model_name=registry.model_name, alias=CHAMPION, release=release, description=told):
        return None
    try:
        with door.mlflow_folder(door.artifacts_of(workspace, uri)), explained(uri):
            return _follow(door.open_client(uri), registry.model_name, history, at)
    except CervellaError as error:
        return str(error)


def _follow(client: Any, name: str, history: Sequence[Champion], at: Callable[[str], None]) -> str | None:
    now = history[-1]
    model = next(iter(client.search_registered_models(f"name = '{name}'")), None)
    version = _version(client, name, now) if model else None
    if model is None or version is None:
        if model is not None and CHAMPION in model.aliases:
            client.delete_registered_model_alias(name, CHAMPION)  # better none than the wrong one
        return f"MLflow has no version of {name} for release {now.digest[:12]}; the next run of the recipe makes one"
    if str(model.aliases.get(CHAMPION)) != version:
        client.set_registered_model_alias(name, CHAMPION, version)
    at("alias set")
    for told, until in _stints(history):
        if number := _version(client, name, told):
            _tag(client, name, number, told, until)
    at("tags set")
    text = _description(now, version)
    if model.description != text:
        client.update_registered_model(name, text)
    at("described")
    return None


def _description(now: Champion, version: str) -> str:
    """Of the model. Written last: where it says this, all else of the newest change was told."""
    reason = f": {now.reason}" if now.reason else ""
    verb = "promoted" if now.what == "promote" else "rolled back to"
    return f"{_DESCRIPTION}\n\nIn service: version {version} since {now.at}, {verb} by {now.by}{reason}"


def _version(client: Any, name: str, told: Champion) -> str | None:
    """The version of a release: MLflow may have been begun anew, with other numbers."""
    found = client.search_model_versions(f"name = '{name}' and tags.`{_RELEASE}` = '{told.digest}'")
    numbers = sorted(int(one.version) for one in found)
    return None if not numbers else str(told.version if told.version in numbers else numbers[0])


def _stints(history: Sequence[Champion]) -> list[tuple[Champion, str | None]]:
    """Of the newest releases the last time in service, and when it ended; None: it has not."""
    ends = [*(one.at for one in history[1:]), None]
    last = {one.digest: (one, end) for one, end in zip(history, ends, strict=True)}
    return sorted(last.values(), key=lambda stint: history.index(stint[0]))[-_MOST:]


def _tag(client: Any, name: str, version: str, told: Champion, until: str | None) -> None:
    has = client.get_model_version(name, version).tags
    wanted = {"since": told.at, "by": told.by, "reason": told.reason, "until": until}
    for key, value in wanted.items():
        if value is None and f"{_OF}{key}" in has:
            client.delete_model_version_tag(name, version, f"{_OF}{key}")
        elif value is not None and has.get(f"{_OF}{key}") != value:
            client.set_model_version_tag(name, version, f"{_OF}{key}", value)
