"""What was trained on a text that is to be forgotten: no byte of it says so, its inputs do.

A model that was trained on an example may say it again, and the tokens of examples decode to their text. So every
artefact of a training goes whose inputs lead to one that goes, and with it the copies of its files in this workspace's
MLflow.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from components.errors import TerminalError
from components.store import Artefact, Store, file_digest

__all__ = ["copies_of", "trained_on"]

_STEPS = ("train.prepare", "train.run", "train.losses", "train.export")
"""In the order in which one hangs on the other."""


def trained_on(workspace: Path, folders: Collection[Path]) -> list[Artefact]:
    """Artefacts of trainings that hang on one of `folders` (of artefacts), those that hang on others first."""
    store, digests = Store(workspace), set()
    for folder in folders:
        if folder.parent.parent == workspace / "store":
            try:
                digests.add(store.open(f"{folder.parent.name}/{folder.name}").digest)
            except TerminalError:  # it is broken: nothing can hang on it
                continue
    found: list[Artefact] = []
    for step in _STEPS:
        home = workspace / "store" / step
        for path in sorted(home.iterdir()) if home.is_dir() else []:
            if path.name.startswith("."):
                continue
            try:
                artefact = store.open(f"{step}/{path.name}")
            except TerminalError:
                continue
            if digests.intersection(map(str, artefact.manifest["inputs"].values())):
                digests.add(artefact.digest)
                found.append(artefact)
    return found[::-1]


def copies_of(workspace: Path, artefacts: Collection[Artefact]) -> list[Path]:
    """Files in the workspace's MLflow that are files of these artefacts."""
    outputs = {
        (entry["bytes"], str(entry["sha256"])) for one in artefacts for entry in one.manifest["outputs"].values()
    }
    sizes = {size for size, _ in outputs}
    folder = workspace / "mlflow"
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.stat().st_size in sizes]
    return [path for path in files if (path.stat().st_size, file_digest(path)) in outputs]
