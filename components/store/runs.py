"""Runs: one folder each, with the frozen recipe, where its values came from, and what became of its steps.

State after a hard crash: `run.json` says `running` with the pid of a process that is gone; `Run.status` then
reads `crashed`. Every change of `run.json` is a whole new file.
"""

from __future__ import annotations

import json
import os
import secrets
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from components.errors import InputError
from components.store.files import write_atomic

__all__ = ["Run", "list_runs"]

_guard = threading.Lock()  # of read-change-write on run.json: tasks may run in threads of one process


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class Run:
    """A run of a recipe: `<workspace>/runs/<id>/`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def create(cls, workspace: Path, *, recipe: str, phase: str) -> Run:
        """Begin a run: a new folder and a `run.json` that says `running`."""
        now = datetime.now(UTC)
        run = cls(workspace / "runs" / f"{now:%Y%m%d-%H%M%S}-{recipe}-{secrets.token_hex(2)}")
        run.folder.mkdir(parents=True)
        run._write(
            {
                "run": run.id,
                "recipe": recipe,
                "phase": phase,
                "status": "running",
                "pid": os.getpid(),
                "started": now.isoformat(timespec="seconds"),
                "steps": [],
            }
        )
        return run

    @property
    def id(self) -> str:
        """Name of the folder."""
        return self.folder.name

    @property
    def workspace(self) -> Path:
        """The workspace that the run is in."""
        return self.folder.parent.parent

    def read(self) -> dict[str, Any]:
        """What `run.json` says, with status `crashed` when the process that ran it is gone.

        Raises:
            InputError: when there is no such run.
        """
        try:
            state: dict[str, Any] = json.loads((self.folder / "run.json").read_bytes())
        except FileNotFoundError:
            raise InputError(f"no run {self.id} in {self.folder.parent}; `cervella runs` lists them") from None
        except ValueError as error:
            raise InputError(f"{self.folder / 'run.json'} cannot be read: {error}") from None
        if state.get("status") == "running" and not _alive(int(state.get("pid", 0))):
            state["status"] = "crashed"
        return state

    def _write(self, state: dict[str, Any]) -> None:
        write_atomic(self.folder / "run.json", json.dumps(state, indent=1, ensure_ascii=False).encode())

    def update(self, **values: Any) -> None:
        """Set values of `run.json`."""
        with _guard:
            self._write(json.loads((self.folder / "run.json").read_bytes()) | values)

    def record_step(self, name: str, **values: Any) -> None:
        """Set values (status, seconds, artefact, reason) of one step; steps keep the order in which they began.

        A step that is running is told anew: a second try keeps nothing of the first.
        """
        with _guard:
            state = json.loads((self.folder / "run.json").read_bytes())
            for step in state["steps"]:
                if step["name"] == name:
                    if values.get("status") == "running":
                        step.clear()
                    step.update({"name": name, **values})
                    break
            else:
                state["steps"].append({"name": name, **values})
            self._write(state)


def list_runs(workspace: Path) -> list[Run]:
    """All runs of a workspace, newest first."""
    folder = workspace / "runs"
    if not folder.is_dir():
        return []
    return [Run(path) for path in sorted(folder.iterdir(), reverse=True) if (path / "run.json").is_file()]
