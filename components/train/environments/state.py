"""All trainers, or backends, at a glance: what is installed, what is broken, what it takes, what older ones left."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from components.store import is_held
from components.train.environments import find
from components.train.environments.expect import expected
from components.train.environments.find import BACKENDS, NAMES, EnvironmentName
from components.train.environments.machine import folder_bytes, has_nvidia_gpu

__all__ = ["State", "older_environments", "states"]


@dataclass(frozen=True)
class State:
    """One trainer or backend on this machine.

    Attributes:
        name: of the program.
        version: that this project's lock asks for.
        state: installed, missing, being installed now, or broken.
        why: it cannot be used; None when it can.
        folder: of its environment, also where there is none yet.
        torch: version with its build; None when it is not known.
        cuda: whether it is for NVIDIA GPUs: as installed, or as it would be.
        bytes: on disk, or to expect.
        seconds: that installing took, or will take.
    """

    name: EnvironmentName
    version: str
    state: Literal["installed", "missing", "installing", "broken"]
    why: str | None
    folder: Path
    torch: str | None
    cuda: bool
    bytes: int
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """JSON values only."""
        return {
            "name": self.name, "version": self.version, "state": self.state, "why": self.why,
            "folder": str(self.folder), "python": str(self.folder / "bin" / "python"), "torch": self.torch,
            "cuda": self.cuda, "bytes": self.bytes, "seconds": self.seconds,
        }  # fmt: skip


def states(names: Sequence[EnvironmentName] = NAMES) -> list[State]:
    """Every trainer, or those named. Starts no program of theirs; a broken one is measured, which takes a moment."""
    return [_state(name, gpu=has_nvidia_gpu()) for name in names]


def _state(name: EnvironmentName, *, gpu: bool) -> State:
    folder = find.environment_folder(name)
    fault, told = find.fault_of(name, folder), find.read_environment(folder) or {}
    cuda = bool(told.get("cuda", gpu and name not in BACKENDS))
    awaited = expected(name, cuda=cuda)
    there = folder.is_dir()
    unusable: Literal["installing", "broken", "missing"] = "broken" if there else "missing"
    if is_held(find.install_lock(name)):
        unusable = "installing"
    size = int(told.get("bytes", 0)) or (folder_bytes(folder) if there else awaited.bytes)
    return State(
        name=name, version=find.trainer_version(name), state="installed" if fault is None else unusable, why=fault,
        folder=folder, torch=told.get("torch"), cuda=cuda, bytes=size,
        seconds=float(told.get("seconds", awaited.seconds)),
    )  # fmt: skip


def older_environments() -> list[tuple[Path, int]]:
    """Environments of other locks than this version's, with the bytes that removing them may free."""
    every = (*NAMES, *BACKENDS)
    used = {find.environment_folder(name) for name in every}
    own = re.compile(rf"(?:{'|'.join(every)})-[0-9a-f]{{12}}$")
    folder = find.trainers_folder()
    others = [path for path in sorted(folder.iterdir()) if own.match(path.name)] if folder.is_dir() else []
    return [(path, folder_bytes(path)) for path in others if path.is_dir() and path not in used]
