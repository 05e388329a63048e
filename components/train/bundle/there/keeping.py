"""Checkpoints that survive the machine: copied to another folder as they are written, and brought back from there."""

from __future__ import annotations

import importlib
import shutil
from pathlib import Path

from common import JOB, OUT, TOLD, say  # type: ignore[import-not-found]

_HALF = ".half"


def checkpoints(folder: Path) -> dict[int, Path]:
    """The checkpoints of a folder that are as the trainer wrote them, by their step."""
    is_whole = importlib.import_module("checkpoints").is_whole
    found = {path.name.removeprefix("checkpoint-"): path for path in folder.glob("checkpoint-*") if path.is_dir()}
    return {int(step): path for step, path in found.items() if step.isdigit() and is_whole(str(path))}


def keep_safe(keep: Path) -> None:
    """Make `keep` have the checkpoints that are here, each whole or not at all, and what tells of the training."""
    try:
        keep.mkdir(parents=True, exist_ok=True)
        here, there = checkpoints(OUT), checkpoints(keep)
        for step in here.keys() - there.keys():
            _copy_whole(here[step], keep)
        for name in TOLD:
            if (JOB / name).exists():
                shutil.copyfile(JOB / name, keep / name)
        for step in there.keys() - here.keys():  # the trainer removed it: it keeps the newest and the best
            shutil.rmtree(there[step])
    except OSError as error:
        say(f"note: checkpoints cannot be copied to {keep} ({error}); the training goes on")


def restore(keep: Path) -> None:
    """Bring checkpoints back from `keep`, where it has newer ones than this machine."""
    kept = checkpoints(keep) if keep.is_dir() else {}
    if max(kept, default=0) <= max(checkpoints(OUT), default=0):
        return
    OUT.mkdir(exist_ok=True)
    for path in kept.values():
        _copy_whole(path, OUT)
    for name in TOLD:
        if (keep / name).exists():
            shutil.copyfile(keep / name, JOB / name)
    say(f"Going on from {keep}, step {max(kept)}")


def _copy_whole(checkpoint: Path, to: Path) -> None:
    """Copy a checkpoint into a folder; what a cut leaves there is no checkpoint."""
    half = to / f"{_HALF}-{checkpoint.name}"
    for left in (half, to / checkpoint.name):
        shutil.rmtree(left, ignore_errors=True)
    shutil.copytree(checkpoint, half)
    half.rename(to / checkpoint.name)
