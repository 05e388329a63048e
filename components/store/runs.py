"""Runs: one folder each, with the frozen recipe, where its values came from, and what became of its steps.

State after a hard crash: `run.json` says `running`, and nobody holds the file `lock` beside it, which the kernel lets
go of with the process: `Run.read` then says `died`. A number of a process that is used again changes nothing.
Every change of `run.json` is a whole new file with a checksum; `.run.json.<random>` may be left beside it by a kill.
A folder without `run.json` is of a run that was killed before it began; it is not listed.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from components.errors import InputError, TerminalError
from components.store.files import write_atomic
from components.store.locks import FileLock, is_held
from components.store.spec import sha256_hex

__all__ = ["Run", "list_runs", "read_runs"]

_guard = threading.Lock()  # of read-change-write on run.json: tasks may run in threads of one process
_held: dict[Path, FileLock] = {}  # of the runs that this process has begun and not ended
KEEP = "keep"
"""Lock of who removes things from a workspace: no run begins while it is held."""
_WAIT_SECONDS = 300.0
"""How long a run waits for it: gc holds it for moments, forget while it searches the workspace."""
_LOOK_SECONDS = 0.2
_TEXTS = ("run", "recipe", "phase", "status")


class Run:
    """A run of a recipe: `<workspace>/runs/<id>/`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def create(cls, workspace: Path, *, recipe: str, phase: str, wait_seconds: float = _WAIT_SECONDS) -> Run:
        """Begin a run: a new folder and a `run.json` that says `running`, while this process lives.

        A process that is forked from this one without another program keeps the run alive as well.

        Args:
            workspace: where its folder is made, below `runs`.
            recipe: name of the recipe.
            phase: of the recipe.
            wait_seconds: how long to wait while things are being removed from the workspace (gc, forget).

        Raises:
            TerminalError: they still were after that.
        """
        now = datetime.now(UTC)
        run = cls(_new_folder(workspace / "runs", f"{now:%Y%m%d-%H%M%S}-{recipe}"))
        lock = FileLock(run.folder / "lock")
        lock.try_exclusive()
        _held[run.folder.absolute()] = lock
        run._write(
            {
                "run": run.id,
                "recipe": recipe,
                "phase": phase,
                "status": "running",
                "pid": os.getpid(),
                "started": now.isoformat(timespec="microseconds"),
                "steps": [],
            }
        )
        # Asked after the run has its lock: whoever removes things locks first and then looks for runs.
        try:
            run._wait_for_removal(wait_seconds)
        except BaseException as error:  # an interruption by a person as well
            run.update(status="failed", error=str(error) or f"{type(error).__name__} while it waited to begin")
            raise
        return run

    def _wait_for_removal(self, seconds: float) -> None:
        """Wait until nobody removes things from the workspace. Raises TerminalError when somebody still does."""
        keep, end, told = self.workspace / "locks" / KEEP, time.monotonic() + seconds, False
        while is_held(keep):
            if time.monotonic() >= end:
                raise TerminalError(f"gc or forget is at work in {self.workspace}; run again when it is done")
            if not told:
                logging.getLogger("cervella").info("gc or forget is at work in %s; the run begins when it is done "
                                                   "(waiting for up to %.0f s)", self.workspace, seconds)  # fmt: skip
            told = True
            time.sleep(_LOOK_SECONDS)

    @property
    def id(self) -> str:
        """Name of the folder."""
        return self.folder.name

    @property
    def workspace(self) -> Path:
        """The workspace that the run is in."""
        return self.folder.parent.parent

    def read(self) -> dict[str, Any]:
        """What `run.json` says, with status `died` when it was running and its process is gone.

        Raises:
            InputError: there is no such run, or its `run.json` is damaged.
        """
        state = self._read()
        if state["status"] == "running" and not is_held(self.folder / "lock"):
            # It may have ended between the two looks.
            state = self._read()
            if state["status"] == "running":
                state["status"] = "died"
        return state

    def update(self, **values: Any) -> None:
        """Set values of `run.json`. A `status` other than `running` ends the run."""
        with _guard:
            self._write(self._read() | values)
        if values.get("status", "running") != "running" and (lock := _held.pop(self.folder.absolute(), None)):
            lock.close()

    def record_step(self, name: str, **values: Any) -> None:
        """Set values (status, seconds, artefact, reason) of one step; steps keep the order in which they began.

        A step that is running is told anew: a second try keeps nothing of the first.
        """
        with _guard:
            state = self._read()
            for step in state["steps"]:
                if step["name"] == name:
                    if values.get("status") == "running":
                        step.clear()
                    step.update({"name": name, **values})
                    break
            else:
                state["steps"].append({"name": name, **values})
            self._write(state)

    def _read(self) -> dict[str, Any]:
        path = self.folder / "run.json"
        try:
            state = json.loads(path.read_bytes())
        except FileNotFoundError:
            raise InputError(f"no run {self.id} in {self.folder.parent}; `cervella runs` lists them") from None
        except (OSError, ValueError, RecursionError) as error:
            raise self._damaged(f"cannot be read: {error}") from None
        if not _is_state(state):
            raise self._damaged("is not the record of a run")
        told = state.pop("sum", None)
        if told is not None and told != _sum(state):
            raise self._damaged("was changed: its checksum does not match")
        return dict(state)

    def _write(self, state: dict[str, Any]) -> None:
        text = _in_lines(state | {"sum": _sum(state)})
        write_atomic(self.folder / "run.json", text.encode("utf-8", "surrogatepass"))

    def _damaged(self, how: str) -> InputError:
        return InputError(
            f"{self.folder / 'run.json'} {how}. What this run did is only lost as a record, its artefacts are in the "
            f"store: run the recipe again, and remove {self.folder}"
        )


def _new_folder(runs: Path, begin: str) -> Path:
    """One that was not there, named after the time and something drawn: short runs of one second may draw alike."""
    while True:
        folder = runs / f"{begin}-{secrets.token_hex(2)}"
        with suppress(FileExistsError):
            folder.mkdir(parents=True)
            return folder


def _in_lines(state: Mapping[str, Any]) -> str:
    """JSON with a line for each value, and for each step: `json` with an indent is Python, and ten times slower."""
    values = {name: json.dumps(value, ensure_ascii=False) for name, value in state.items()}
    steps = [json.dumps(step, ensure_ascii=False) for step in state["steps"]]
    values["steps"] = "[\n  " + ",\n  ".join(steps) + "\n ]" if steps else "[]"
    return "{\n" + ",\n".join(f" {json.dumps(name)}: {value}" for name, value in values.items()) + "\n}\n"


def _is_state(state: Any) -> bool:
    """Whether it has the shape that readers rely on."""
    return (
        isinstance(state, dict)
        and all(isinstance(state.get(name), str) for name in _TEXTS)
        and isinstance(state.get("steps"), list)
        and all(
            isinstance(step, dict) and isinstance(step.get("name"), str) and isinstance(step.get("status"), str)
            for step in state["steps"]
        )
    )


def _sum(state: dict[str, Any]) -> str:
    """Checksum of a record: what a person or a failing disk changes in it is seen."""
    return sha256_hex(json.dumps(state, sort_keys=True).encode())


def list_runs(workspace: Path) -> list[Run]:
    """All runs of a workspace, newest first, those with a damaged `run.json` included."""
    folder = workspace / "runs"
    if not folder.is_dir():
        return []
    found = [path for path in sorted(folder.iterdir(), reverse=True) if not path.name.startswith(".")]  # of a removal
    return [Run(path) for path in found if os.path.lexists(path / "run.json")]


def read_runs(workspace: Path) -> list[dict[str, Any]]:
    """What `Run.read` says of each run, newest first.

    For a damaged one: its id, status `damaged`, no steps, and the fault in `error`.
    """
    states = []
    for run in list_runs(workspace):
        try:
            states.append(run.read())
        except InputError as error:
            states.append({"run": run.id, "recipe": "?", "phase": "?", "status": "damaged", "steps": [],
                           "error": str(error)})  # fmt: skip
    return sorted(states, key=_began, reverse=True)


def _began(state: dict[str, Any]) -> str:
    """When a run began: ids tell the second alone, and those of one second in no order."""
    day, time = state["run"][:8], state["run"][9:15]
    return str(state.get("started") or f"{day[:4]}-{day[4:6]}-{day[6:]}T{time[:2]}:{time[2:4]}:{time[4:]}")
