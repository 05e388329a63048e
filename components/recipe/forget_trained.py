"""What was trained on a text that is to be forgotten: no byte of it says so, its inputs do.

A model that was trained on an example may say it again, and the tokens of examples decode to their text. So every
artefact of a training goes whose inputs lead to one that goes, every release whose adapter it is, and with them the
copies of these files in this workspace's MLflow.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from components.errors import TerminalError
from components.registry.champion.release_step import ADAPTER, RELEASE
from components.store import Artefact, Store, file_digest

__all__ = ["copies_of", "trained_on"]

_STEPS = ("train.prepare", "train.run", "train.losses", "train.export")
"""In the order in which one hangs on the other."""
_RELEASES = "registry.release"


def trained_on(workspace: Path, folders: Collection[Path]) -> list[Artefact]:
    """Artefacts of trainings that hang on one of `folders` (of artefacts), those that hang on others first.

    The releases with such an adapter come before all of them.
    """
    store, digests = Store(workspace), set()
    weights: set[str] = set()
    for folder in folders:
        if folder.parent.parent == workspace / "store":
            try:
                gone = store.open(f"{folder.parent.name}/{folder.name}")
            except TerminalError:  # it is broken: nothing can hang on it
                continue
            digests |= {gone.digest, gone.outputs_digest}
            weights |= _weights(gone)
    found: list[Artefact] = []
    for step in _STEPS:
        for artefact in store.newest(step):
            if digests.intersection(map(str, artefact.manifest["inputs"].values())):
                digests |= {artefact.digest, artefact.outputs_digest}
                weights |= _weights(artefact)
                found.append(artefact)
    found += [one for one in store.newest(_RELEASES) if weights & {*_weights(one), one.read_json(RELEASE)["adapter"]}]
    return found[::-1]


def _weights(artefact: Artefact) -> set[str]:
    """SHA-256 of its files of weights."""
    outputs = artefact.manifest["outputs"].items()
    return {str(about["sha256"]) for name, about in outputs if name.endswith((".gguf", ".safetensors"))}


def copies_of(workspace: Path, artefacts: Collection[Artefact]) -> list[Path]:
    """Files in the workspace's MLflow that are files of these artefacts; of a release the adapter alone."""
    outputs = {
        (entry["bytes"], str(entry["sha256"])) for one in artefacts for name, entry in one.manifest["outputs"].items()
        if one.step != _RELEASES or name == ADAPTER
    }  # fmt: skip
    sizes = {size for size, _ in outputs}
    folder = workspace / "mlflow"
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.stat().st_size in sizes]
    return [path for path in files if (path.stat().st_size, file_digest(path)) in outputs]
