"""What a run is held against: the champion, and the run of the same recipe before it, each with its own settings."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.errors import TerminalError
from components.page import one_line
from components.store import Artefact, Store, read_runs
from components.store.mlflow_params import flat

if TYPE_CHECKING:
    from components.registry.champion.record import Champion

__all__ = ["Beside", "Setting", "beside_champion", "changed_settings", "previous_run", "scored_by"]

_SCORE = "evaluate.score"
_LONGEST = 300
_NOT_COMPARED = ("extends", "description", "version")


@dataclass(frozen=True)
class Setting:
    """A setting that differs, each value as it is shown; empty: it is not there."""

    key: str
    old: str
    new: str


@dataclass(frozen=True)
class Beside:
    """A scorecard to compare with.

    Attributes:
        name: what it is, for people.
        scorecard: the sealed `evaluate.score`.
        settings: of the recipe that differ; None: the recipe of then cannot be read.
    """

    name: str
    scorecard: Artefact
    settings: tuple[Setting, ...] | None

    def identity(self) -> dict[str, Any]:
        """What of it is on the page, as JSON; the scorecard by its digest."""
        rows = None if self.settings is None else [[one.key, one.old, one.new] for one in self.settings]
        return {"name": self.name, "scorecard": self.scorecard.digest, "settings": rows}


def previous_run(workspace: Path, *, recipe: str, recipe_yaml: str, scorecard: str) -> Beside | None:
    """The newest run of the same recipe that was scored otherwise; None: there is none that is still whole.

    A run that only repeats is not held against itself, so that its page stays the same.

    Args:
        workspace: where the runs are.
        recipe: its name.
        recipe_yaml: the frozen recipe of the run that is reported.
        scorecard: id of its `evaluate.score`.
    """
    for state in read_runs(workspace):
        made = _scorecard_of(state)
        if state.get("matrix"):  # a combination: an experiment beside, none of the recipe as it is
            continue
        if state["recipe"] == recipe and state["status"] == "done" and made not in (None, scorecard):
            found = _beside(workspace, f"run {state['run']}", str(made), run=state["run"], recipe_yaml=recipe_yaml)
            if found is not None:
                return found
    return None


def beside_champion(workspace: Path, champion: Champion, *, recipe_yaml: str) -> Beside | None:
    """The release in service; None: its scorecard is gone."""
    if champion.scorecard is None:
        return None
    version = "" if champion.version is None else f" version {champion.version},"
    name = f"the champion,{version} of run {champion.run}"
    return _beside(workspace, name, champion.scorecard, run=champion.run, recipe_yaml=recipe_yaml)


def scored_by(workspace: Path, scorecard: str) -> str | None:
    """The first run that this scorecard was made in; None: none that is still there tells of it."""
    found = [state["run"] for state in read_runs(workspace) if _scorecard_of(state) == scorecard]
    return found[-1] if found else None


def _scorecard_of(state: Mapping[str, Any]) -> str | None:
    return next((step["artefact"] for step in state["steps"] if step["name"] == _SCORE and step.get("artefact")), None)


def _beside(workspace: Path, name: str, scorecard: str, *, run: str, recipe_yaml: str) -> Beside | None:
    try:
        opened = Store(workspace).open(scorecard)
    except TerminalError:  # gc or forget took it
        return None
    try:
        old = (workspace / "runs" / run / "recipe.yaml").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return Beside(name, opened, None)
    return Beside(name, opened, changed_settings(old, recipe_yaml))


def changed_settings(old: str, new: str) -> tuple[Setting, ...] | None:
    """What differs between two frozen recipes, by dotted key; None: one of them is no recipe.

    Only values are compared: order, comments and where a value came from are not.
    """
    before, after = _values(old), _values(new)
    if before is None or after is None:
        return None
    return tuple(_differing(before, after))


def _differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Setting]:
    for key in sorted(before.keys() | after.keys()):
        pair: Sequence[str] = [_shown(side[key]) if key in side else "" for side in (before, after)]
        same = key in before and key in after and before[key] == after[key]
        if not same and key.partition(".")[0] not in _NOT_COMPARED:
            yield Setting(one_line(key), *pair)


def _values(text: str) -> dict[str, Any] | None:
    import yaml

    try:
        found = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return None
    return {str(key): one for key, one in flat(found).items()} if _is_plain(found) else None


def _is_plain(found: Any) -> bool:
    """Whether it is a mapping that JSON can tell: keys that are text, no list within itself."""
    try:
        json.dumps(found, default=str)
    except (TypeError, ValueError, RecursionError):
        return False
    return isinstance(found, Mapping) and all(isinstance(key, str) for key in _keys(found))


def _keys(found: Any) -> Iterator[Any]:
    if isinstance(found, Mapping):
        for key, one in found.items():
            yield key
            yield from _keys(one)


def _shown(one: Any) -> str:
    plain = one if isinstance(one, str) else json.dumps(one, ensure_ascii=False, default=str)
    return one_line(plain, longest=_LONGEST) or '""'
