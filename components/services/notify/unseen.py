"""Which runs ended without a word: light to import, since the keeper of `cervella up` looks all the time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from components.errors import CervellaError
from components.store import list_runs
from components.store.runs import Run

__all__ = ["TOLD", "unseen"]

TOLD = "told"
"""File in a run's folder: its end was seen to."""
_LOOK_BACK_SECONDS = 7 * 24 * 3600
_GRACE_SECONDS = 60.0  # a run tells of its own end; only where it did not by then, another does


def unseen(workspace: Path, *, seen: set[str], now: float | None = None) -> Iterator[Run]:
    """Runs whose end is to be told and was not: at once where the process died, a minute later where it ended.

    Args:
        workspace: whose runs.
        seen: ids of runs that need not be looked at again; added to.
        now: seconds since 1970.
    """
    now = time.time() if now is None else now
    for run in list_runs(workspace):
        if run.id in seen:
            continue
        try:
            state: dict[str, Any] = run.read()
            age = now - (run.folder / "run.json").stat().st_mtime
        except (CervellaError, OSError):
            seen.add(run.id)
            continue
        if state["status"] == "running":
            continue
        wanted = "tell" in state and state["status"] != "interrupted" and age < _LOOK_BACK_SECONDS
        if not wanted or (run.folder / TOLD).exists():
            seen.add(run.id)
        elif state["status"] == "died" or age > _GRACE_SECONDS:
            yield run
