"""What a workspace need not keep: artefacts of old runs, indexes of an old matrix, scratch and halves of dead runs.

Kept are the artefacts of the newest runs of each recipe, of the newest run of each release that was registered, of the
runs that the champion and those before it came from, and the chunks that `index rollback` may need, of every index that
a kept run has used. `run.json` files
stay: they are small, and the record of what was done.

State after a hard crash: what was removed is gone, the rest is found again.
"""

from __future__ import annotations

import os
import shutil
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from components.errors import CervellaError
from components.index.purge import old_tables
from components.index.steps import history_artefacts, index_uri
from components.recipe.forget import index_folders
from components.recipe.frozen import load_frozen
from components.recipe.model import Recipe
from components.registry.champion.record import Champion, line_of, read_champions
from components.store import hold, read_runs, tidy_locks
from components.store.purge import remove_folder

__all__ = ["Unused", "find_unused", "remove_unused"]

_CHAMPIONS = 10
"""Champions of each registered model that are kept with their scores: of the newest changes, and of the line back."""
_FRESH = timedelta(days=1)
"""How long the scratch of a step that did not end is kept: the next run goes on from there."""


@dataclass(frozen=True)
class Unused:
    """A folder or file that nothing needs. `kind` and `why` are for people; `size` in bytes, hard links aside."""

    kind: str
    path: Path
    why: str
    size: int


def find_unused(recipe: Recipe, *, keep: int = 10, older_than: timedelta | None = None) -> list[Unused]:
    """What the workspace need not keep.

    Args:
        recipe: names workspace and index.
        keep: runs of each recipe and phase, and of each combination of a matrix, whose artefacts are kept.
        older_than: keep those of all younger runs instead; the newest of each recipe always.
    """
    workspace, found = recipe.workspace, []
    kept = _kept_runs(recipe, keep=keep, older_than=older_than)
    needed = _needed(recipe, kept)
    store = workspace / "store"
    for step in sorted(store.iterdir()) if store.is_dir() else []:
        for path in sorted(step.iterdir()) if step.is_dir() else []:
            if path.name.startswith("."):
                found.append(_unused("half-made", path, "left by a step that was killed"))
            elif f"{step.name}/{path.name}" not in needed:
                found.append(_unused("artefact", path, "of no run that is kept, no release and no published index"))
    now = datetime.now(UTC)
    scratch = workspace / "scratch"
    for path in sorted(scratch.iterdir()) if scratch.is_dir() else []:
        if now - _touched(path) > _FRESH:
            found.append(_unused("scratch", path, "of a run that did not end, untouched for a day"))
    cache = workspace / "cache"
    for folder in (cache, workspace / "usage", workspace / "serve"):  # what is whole there is bounded by itself
        for path in sorted(folder.glob("*.corrupt-*")):
            found.append(_unused("cache" if folder == cache else folder.name, path, "was broken and put aside"))
    beside = [*cache.glob(".*.json.*"), *(workspace / "registry").glob(".champion.json.*"),
              *(workspace / "serve" / "endpoints").glob(".*.json.*")]  # fmt: skip
    for path in [*sorted(beside), *sorted((workspace / "runs").rglob(".*"))]:
        found.append(_unused("half-made", path, "left by a write that was killed"))
    unused = _unused_indexes(recipe, kept)
    for uri in unused:
        found.append(_unused("index", uri, "of combinations of a matrix, and no run of them is kept"))
    for uri in [uri for uri in index_folders(recipe) if uri not in unused]:
        for path in [*old_tables(uri), *(path for path in [uri / ".forget"] if path.exists())]:
            found.append(_unused("table", path, "not the one that is published"))
    return found


def _needed(recipe: Recipe, kept: list[dict[str, Any]]) -> set[str]:
    """Ids of artefacts that are kept."""
    needed: set[str] = set()
    unused = _unused_indexes(recipe, kept)
    own = [uri for uri in index_folders(recipe) if uri not in unused]
    for uri in sorted({*own, *_used_indexes(recipe, kept)[0]}):  # of other recipes of the workspace as well
        params = recipe.index.model_copy(update={"uri": uri})
        needed |= history_artefacts(params, workspace=recipe.workspace)
    for state in kept:
        needed.update(step["artefact"] for step in state["steps"] if step.get("artefact"))
    for one in _champions(recipe.workspace):
        needed.update(artefact for artefact in (one.release, one.scorecard, one.gate) if artefact)
    return needed


def _champions(workspace: Path) -> list[Champion]:
    """Those that can be gone back to. Raises TerminalError when the file of champions is damaged: nobody knows."""
    histories = read_champions(workspace).values()
    return [one for history in histories for one in (*history[-_CHAMPIONS - 1 :], *line_of(history)[-_CHAMPIONS - 1 :])]


def _unused_indexes(recipe: Recipe, kept: list[dict[str, Any]]) -> list[Path]:
    """Folders of indexes below `matrix/` that no kept run has used; none when that cannot be told."""
    used, are_all = _used_indexes(recipe, kept)
    folder = recipe.workspace / "matrix"
    return [uri for uri in index_folders(recipe) if uri.parent == folder and uri not in used] if are_all else []


def _used_indexes(recipe: Recipe, kept: list[dict[str, Any]]) -> tuple[set[Path], bool]:
    """Folders of the indexes that kept runs have used, and whether these are all: a recipe may be unreadable."""
    used, are_all = set[Path](), True
    for state in kept:
        if state["steps"]:  # else it was killed before it touched an index, perhaps before its recipe was frozen
            try:
                params = load_frozen(recipe.workspace / "runs" / state["run"]).index
            except CervellaError:
                are_all = False
            else:
                used.add(index_uri(params, workspace=recipe.workspace))
    return used, are_all


def _kept_runs(recipe: Recipe, *, keep: int, older_than: timedelta | None) -> list[dict[str, Any]]:
    """What is said of the runs whose artefacts are kept."""
    by_recipe: dict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
    released: dict[tuple[str, str], dict[str, Any]] = {}
    champions, kept = {one.run for one in _champions(recipe.workspace)}, []
    for state in read_runs(recipe.workspace):  # newest first
        if state["status"] == "damaged":  # nobody knows what it made
            continue
        combination = str((state.get("matrix") or {}).get("combination", ""))  # of a matrix: a recipe of its own
        by_recipe[state["recipe"], state["phase"], combination].append(state)
        if told := state.get("mlflow"):
            released.setdefault((str(told.get("model")), str(told.get("version"))), state)
        if state["run"] in champions:
            kept.append(state)
    kept += released.values()
    now = datetime.now(UTC)
    for states in by_recipe.values():
        # A run that failed early names few artefacts: those that ended are counted, and all between them are kept.
        ended = 0
        for state in states:
            young = older_than is not None and now - datetime.fromisoformat(str(state["started"])) < older_than
            if not ended or (young if older_than is not None else ended < keep):
                kept.append(state)
            ended += state["status"] == "done"
    return kept


def remove_unused(recipe: Recipe, unused: list[Unused]) -> int:
    """Remove what was found, and locks that nobody holds; returns the bytes. Runs are kept from beginning meanwhile.

    To be called within `alone_in`.
    """
    for item in unused:
        if item.kind == "table":
            with hold(item.path.parent / ".lock", what="gc"):
                remove_folder(item.path)
        elif item.kind == "index":
            with hold(item.path / ".lock", what="gc"):
                remove_folder(item.path)
        elif item.path.is_dir() and item.kind == "artefact":
            remove_folder(item.path)
        elif item.path.is_dir():
            shutil.rmtree(item.path, ignore_errors=True)
        else:
            item.path.unlink(missing_ok=True)
    tidy_locks(recipe.workspace / "locks")
    return sum(item.size for item in unused)


def _unused(kind: str, path: Path, why: str) -> Unused:
    return Unused(kind, path, why, _size(path))


def _size(path: Path) -> int:
    """Bytes that removing it frees: a file with other links frees none."""
    if not path.is_dir():
        return path.stat().st_size
    found = 0
    for at, _, names in os.walk(path):
        for name in names:
            told = os.lstat(os.path.join(at, name))
            found += told.st_size if told.st_nlink == 1 else 0
    return found


def _touched(path: Path) -> datetime:
    """When anything in it was last changed."""
    times = [path.stat().st_mtime]
    for at, folders, names in os.walk(path):
        times += [os.lstat(os.path.join(at, name)).st_mtime for name in (*folders, *names)]
    return datetime.fromtimestamp(max(times), UTC)
