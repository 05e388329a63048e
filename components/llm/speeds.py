"""How fast models are on this machine, as real runs measured it: `<workspace>/cache/speeds.json`.

State after a hard crash: the file is the one before, or whole. A damaged one counts as none: it is written anew by the
next run. Speeds of another machine (a workspace on a disk that moves) are kept apart.
"""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from components.llm.machine import usable_cpus
from components.store import sha256_hex, write_atomic

__all__ = ["Speed", "measured_speed", "remember_speed", "speeds_file"]

Unit = Literal["characters", "answers", "runs"]


@dataclass(frozen=True)
class Speed:
    """So much work (characters embedded, answers given, the rest of runs) in so many seconds."""

    work: float
    seconds: float

    def seconds_for(self, work: float) -> float:
        """How long so much work takes at this speed."""
        return self.seconds * work / self.work


def speeds_file(workspace: Path) -> Path:
    """Where a workspace keeps its speeds."""
    return workspace / "cache" / "speeds.json"


def measured_speed(file: Path, *, model: str, unit: Unit) -> Speed | None:
    """The model's speed on this machine; None: nothing was measured yet."""
    try:
        entry = _read(file)[_key(model, unit)]
        speed = Speed(float(entry["work"]), float(entry["seconds"]))
    except (KeyError, TypeError, ValueError):
        return None
    return speed if speed.work > 0 and speed.seconds > 0 else None


def remember_speed(file: Path, *, model: str, unit: Unit, work: float, seconds: float) -> None:
    """Count what a run measured. Older runs count for half, so that the newest have the most weight."""
    if work <= 0 or seconds <= 0:
        return
    before = measured_speed(file, model=model, unit=unit) or Speed(0.0, 0.0)
    entry = {"work": before.work / 2 + work, "seconds": round(before.seconds / 2 + seconds, 4)}
    text = json.dumps(_read(file) | {_key(model, unit): entry}, indent=1, sort_keys=True)
    write_atomic(file, text.encode())


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _key(model: str, unit: Unit) -> str:
    machine = sha256_hex(f"{platform.node()} {platform.machine()} {usable_cpus()}".encode())[:12]
    return f"{machine} {unit} {model}"
