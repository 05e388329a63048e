"""What a workspace need not keep: artefacts of old runs, indexes of an old matrix, scratch and halves of dead runs.

Kept are the artefacts of the newest runs of each recipe, of the newest run of each release that was registered, of the
runs that the champion and those before it came from, what steps that did not end have left for the next run of a
recipe, and the chunks that `index rollback` may need, of every index that a kept run has used. `run.json` files stay:
they are small, and the record of what was done. What nobody can tell to be unneeded stays.

Nothing is changed here, so it may be looked beside runs and questions; what is found then is looked at once more by who
removes it. NOT covered: a step that was left by a version which did not record its fingerprint (its scratch goes by its
age), what a run made whose record is damaged, and what lies outside workspace and index.
"""

from __future__ import annotations

import os
import re
import stat
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from components.errors import CervellaError
from components.index.cleanup import generation_folders
from components.index.published import DamagedFile
from components.index.purge import old_tables
from components.index.steps import history_artefacts, index_uri
from components.recipe.forget import index_folders, left_aside
from components.recipe.frozen import load_frozen
from components.recipe.model import Recipe
from components.registry.champion.record import Champion, line_of, read_champions
from components.serve.backends.weights import BASE, is_serving
from components.store import is_held, read_runs
from components.store.artefact import MANIFEST
from components.store.files import FORGOTTEN

__all__ = ["KEEP_RUNS", "Look", "Unused", "locks_of"]

KEEP_RUNS = 10
"""Runs of each recipe whose artefacts stay, where nobody says otherwise."""
_CHAMPIONS = 10
"""Champions of each registered model that are kept with their scores: of the newest changes, and of the line back."""
_FRESH, _FRESH_UNATTENDED = timedelta(days=1), timedelta(weeks=4)
"""How long the scratch of a step that did not end is kept where no run tells of it."""
_BEING_WRITTEN = timedelta(hours=1)
"""A file beside another that is younger may be of a write that is under way."""
_HALF_WRITTEN = re.compile(r"\..+\.(json|yaml)\.[a-z0-9_]{8}")  # as `write_atomic` names them
_CHUNK = "index.chunk"
_HALF_TABLE = ".forget"  # as a table is called that is being written anew
_Found = tuple[str, Path, str]  # kind, path, why


@dataclass(frozen=True)
class Unused:
    """A folder or file that nothing needs. `kind` and `why` are for people; `size` in bytes, hard links aside."""

    kind: str
    path: Path
    why: str
    size: int


@dataclass
class Look:
    """What to keep, and looking for the rest.

    Attributes:
        recipe: names workspace and index.
        keep: runs of each recipe and phase, and of each combination of a matrix, whose artefacts are kept.
        older_than: keep those of all younger runs instead; the newest of each recipe always.
        unattended: nobody is asked. What may be the only copy of what was used and said stays, and scratch for weeks.
    """

    recipe: Recipe
    keep: int = KEEP_RUNS
    older_than: timedelta | None = None
    unattended: bool = False
    _frozen: dict[str, Recipe | None] = field(default_factory=dict, init=False)  # run -> its recipe, if it can be read

    def find(self) -> list[Unused]:
        """What the workspace need not keep.

        Raises:
            TerminalError: the file of champions or an index cannot be read, so nobody knows what is needed.
        """
        there = list(self._there())  # before the runs are read: what is sealed after that is in no record yet
        needs = self._needs()
        return [Unused(kind, path, why, _size(path)) for kind, path, why in there if needs.let_go(kind, path)]

    def still(self, unused: Sequence[Unused]) -> list[Unused]:
        """Those of what was found before that are unused now; quick, since nothing else is looked at. Raises alike."""
        needs = self._needs()
        return [item for item in unused if needs.let_go(item.kind, item.path)]

    def _there(self) -> Iterator[_Found]:
        """All that goes unless something needs it."""
        workspace = self.recipe.workspace
        for step in _entries(workspace / "store"):
            for path in _entries(step) if step.is_dir() else []:
                if path.name.startswith("."):
                    yield "half-made", path, "left by a step that was killed"
                else:
                    yield "artefact", path, "of no run that is kept, no release and no published index"
        fresh = _FRESH_UNATTENDED if self.unattended else _FRESH
        for path in _entries(workspace / "scratch"):
            if datetime.now(UTC) - _touched(path) > fresh:
                yield "scratch", path, f"of a run that did not end, untouched for {_in_words(fresh)}"
        yield from self._files()
        for path in left_aside(self.recipe):
            yield "half-made", path, "left by a removal that was killed"
        for uri in index_folders(self.recipe):
            if uri.parent == workspace / "matrix":
                yield "index", uri, "of combinations of a matrix, and no run of them is kept"
            for path in (uri / _HALF_TABLE, *generation_folders(uri)):
                if path.is_dir():
                    yield "table", path, "not the one that is published"

    def _files(self) -> Iterator[_Found]:
        """Databases that were put aside, and halves of files."""
        workspace, cache = self.recipe.workspace, self.recipe.workspace / "cache"
        # What is whole there is bounded by itself. What was used and said may be in the broken file alone.
        for folder in [cache] if self.unattended else [cache, workspace / "usage", workspace / "serve"]:
            for path in sorted(folder.glob("*.corrupt-*")):
                yield "cache" if folder == cache else folder.name, path, "was broken and put aside"
        beside = [*cache.glob(".*"), *(workspace / "registry").glob(".champion.json.*"),
                  *(workspace / "serve" / "endpoints").glob(".*")]  # fmt: skip
        for path in [*sorted(beside), *sorted((workspace / "runs").rglob(".*"))]:
            if _HALF_WRITTEN.fullmatch(path.name) and _is_old_file(path):
                yield "half-made", path, "left by a write that was killed"

    def _needs(self) -> _Needs:
        recipe, workspace = self.recipe, self.recipe.workspace
        states = read_runs(workspace)  # newest first
        kept = _kept_runs(recipe, states, keep=self.keep, older_than=self.older_than)
        recipes, are_all = self._recipes(kept)
        used = {_index_of(one, workspace=workspace) for one in (recipe, *recipes)}
        names = {uri.name for uri in used}  # as those of a matrix have it, wherever the workspace was then
        indexes = index_folders(recipe)
        unused = {uri for uri in indexes if are_all and uri.parent == workspace / "matrix" and uri.name not in names}
        chunks, are_all_chunks = _chunks(recipe, {*indexes, *used} - unused)
        spared = set() if are_all and are_all_chunks else {_CHUNK}
        if not are_all or is_serving(workspace) or any(one.serve.backend == "vllm" for one in (recipe, *recipes)):
            spared.add(BASE)
        made = {step["artefact"] for state in kept for step in state["steps"] if step.get("artefact")}
        for one in _champions(workspace):
            made.update(artefact for artefact in (one.release, one.scorecard, one.gate) if artefact)
        return _Needs(workspace, made | chunks, _left_behind(states), spared, unused)

    def _recipes(self, kept: list[dict[str, Any]]) -> tuple[list[Recipe], bool]:
        """Recipes of kept runs, and whether these are all: one may be unreadable, after an upgrade for example."""
        for state in kept:
            # Without a step it was killed before it touched an index, perhaps before its recipe was frozen.
            if state["steps"] and state["run"] not in self._frozen:
                self._frozen[state["run"]] = None
                with suppress(CervellaError):
                    self._frozen[state["run"]] = load_frozen(self.recipe.workspace / "runs" / state["run"])
        found = [self._frozen[state["run"]] for state in kept if state["steps"]]
        return [one for one in found if one is not None], None not in found


@dataclass(frozen=True)
class _Needs:
    """What is needed at one moment.

    Attributes:
        workspace: of all this.
        artefacts: ids.
        left: fingerprints of steps that the next run of a recipe goes on from, or finds sealed.
        spared: steps of which no artefact goes: of an index, or for a server, that nobody can tell.
        unused: indexes of combinations of a matrix that no kept run has used.
    """

    workspace: Path
    artefacts: set[str]
    left: set[str]
    spared: set[str]
    unused: set[Path]

    def let_go(self, kind: str, path: Path) -> bool:
        """Whether nothing needs it, and nobody is at work on it."""
        if path.name.endswith(FORGOTTEN):
            return True
        if any(map(is_held, locks_of(kind, path, workspace=self.workspace))):
            return False
        if kind == "index":
            return path in self.unused
        if kind == "table":
            return path.parent not in self.unused and (path.name == _HALF_TABLE or path in old_tables(path.parent))
        if kind == "scratch":
            return path.name not in self.left
        if path.parent.parent != self.workspace / "store":
            return True
        step, fingerprint = path.parent.name, _fingerprint(path)
        wanted = fingerprint in self.left or f"{step}/{fingerprint}" in self.artefacts
        if kind == "artefact":
            return not wanted and step not in self.spared
        # Whole, and only to be put in its place: the step's next holder does so.
        whole = any((folder / MANIFEST).exists() for folder in (path, path / "old"))
        return not (whole and wanted) or path.with_name(fingerprint).exists()


def locks_of(kind: str, path: Path, *, workspace: Path) -> list[Path]:
    """Lock files that whoever works on something holds, to be held while it is moved away."""
    if kind in ("table", "index"):
        return [(path if kind == "index" else path.parent) / ".lock"]
    locks = workspace / "locks"
    if path.parent.parent == workspace / "store":
        return [locks / f"{path.parent.name}.{_fingerprint(path)[:16]}"]
    if path.parent == workspace / "scratch":  # nobody says of which step
        return [lock for lock in _entries(locks) if lock.name.endswith(f".{_fingerprint(path)[:16]}")]
    return []


def _fingerprint(path: Path) -> str:
    """Of a sealed artefact, or of a hidden folder beside it."""
    return path.name.removeprefix(".").partition(".")[0]


def _index_of(recipe: Recipe, *, workspace: Path) -> Path:
    """The index of a kept run; where the workspace has moved since, or is mounted elsewhere, where it is now."""
    uri = index_uri(recipe.index, workspace=workspace)
    if not uri.is_relative_to(workspace) and uri.is_relative_to(recipe.workspace):
        return workspace / uri.relative_to(recipe.workspace)
    return uri


def _chunks(recipe: Recipe, indexes: set[Path]) -> tuple[set[str], bool]:
    """Ids of the chunks that a rollback of one of `indexes` may need, and whether these are all that can be known."""
    found, are_all = set[str](), True
    for uri in sorted(indexes):
        if not uri.is_relative_to(recipe.workspace) and not uri.is_dir():  # elsewhere, or on a disk that is not here
            are_all = False
        try:
            params = recipe.index.model_copy(update={"uri": uri})
            found |= history_artefacts(params, workspace=recipe.workspace)
        except DamagedFile:
            are_all = False
    return found, are_all


def _left_behind(states: list[dict[str, Any]]) -> set[str]:
    """Fingerprints of the steps that the newest runs of each recipe, up to the last that ended well, did not finish."""
    ended, left = set[tuple[str, str, str]](), set[str]()
    for state in states:  # newest first
        if state["status"] == "done":
            ended.add(_of(state))
        elif _of(state) not in ended:
            steps = [step for step in state["steps"] if step["status"] not in ("done", "skipped")]
            left.update(str(step["fingerprint"]) for step in steps if step.get("fingerprint"))
    return left


def _of(state: dict[str, Any]) -> tuple[str, str, str]:
    """Recipe, phase and combination of a matrix, which is a recipe of its own."""
    return state["recipe"], state["phase"], str((state.get("matrix") or {}).get("combination", ""))


def _champions(workspace: Path) -> list[Champion]:
    """Those that can be gone back to. Raises TerminalError when the file of champions is damaged: nobody knows."""
    histories = read_champions(workspace).values()
    return [one for history in histories for one in (*history[-_CHAMPIONS - 1 :], *line_of(history)[-_CHAMPIONS - 1 :])]


def _kept_runs(
    recipe: Recipe, states: list[dict[str, Any]], *, keep: int, older_than: timedelta | None
) -> list[dict[str, Any]]:  # fmt: skip
    """What is said of the runs whose artefacts are kept."""
    by_recipe: dict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
    released: dict[tuple[str, str], dict[str, Any]] = {}
    champions, kept = {one.run for one in _champions(recipe.workspace)}, []
    for state in states:  # newest first
        if state["status"] == "damaged":  # nobody knows what it made
            continue
        by_recipe[_of(state)].append(state)
        if told := state.get("mlflow"):
            released.setdefault((str(told.get("model")), str(told.get("version"))), state)
        if state["run"] in champions:
            kept.append(state)
    kept += released.values()
    now = datetime.now(UTC)
    for those in by_recipe.values():
        # A run that failed early names few artefacts: those that ended are counted, and all between them are kept.
        ended = 0
        for state in those:
            young = older_than is not None and now - datetime.fromisoformat(str(state["started"])) < older_than
            if not ended or (young if older_than is not None else ended < keep):
                kept.append(state)
            ended += state["status"] == "done"
    return kept


def _entries(folder: Path) -> list[Path]:
    """What is in a folder, without what was set aside."""
    return [path for path in sorted(folder.iterdir()) if not path.name.endswith(FORGOTTEN)] if folder.is_dir() else []


def _is_old_file(path: Path) -> bool:
    """Whether it is a file of its own, and so old that nobody is writing it. One that is gone is none."""
    with suppress(OSError):
        told = os.lstat(path)
        return stat.S_ISREG(told.st_mode) and datetime.now(UTC) - _changed(told) > _BEING_WRITTEN
    return False


def _size(path: Path) -> int:
    """Bytes that removing it frees: a file with other links frees none, nor does one that is gone already."""
    return sum(told.st_size for told in _told(path) if not stat.S_ISDIR(told.st_mode) and told.st_nlink == 1)


def _touched(path: Path) -> datetime:
    """When anything in it was last changed. Of what is gone: now."""
    return max(map(_changed, _told(path)), default=datetime.now(UTC))


def _changed(told: os.stat_result) -> datetime:
    return datetime.fromtimestamp(told.st_mtime, UTC)


def _told(path: Path) -> Iterator[os.stat_result]:
    """What the file system says of a file, or of a folder and all that is in it; links are not followed."""
    with suppress(OSError):
        yield (own := os.lstat(path))
        if not stat.S_ISDIR(own.st_mode):
            return
    for at, folders, names in os.walk(path):
        for name in (*folders, *names):
            with suppress(OSError):  # gone meanwhile
                yield os.lstat(os.path.join(at, name))


def _in_words(age: timedelta) -> str:
    return "a day" if age.days == 1 else f"{age.days} days"
