"""Checkpoints carry a digest of their files, so that one that is half written or changed is never loaded."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from typing import Any

SEAL = "digest.json"


def seal(checkpoint: str) -> dict[str, str]:
    """Write the digests of a checkpoint's files beside them, once it is complete; returns them."""
    path, digests = os.path.join(checkpoint, SEAL), _digests(checkpoint)
    with open(path + ".tmp", "w", encoding="utf-8") as file:
        json.dump(digests, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + ".tmp", path)
    return digests


def is_whole(checkpoint: str) -> bool:
    """Whether a checkpoint holds exactly the files that were sealed."""
    try:
        with open(os.path.join(checkpoint, SEAL), encoding="utf-8") as file:
            sealed: Any = json.load(file)
    except (OSError, ValueError):
        return False
    return bool(sealed) and sealed == _digests(checkpoint)


def remove_broken(out: str = "out") -> None:
    """Remove every checkpoint in `out` that is not as it was sealed: trainers would resume from it, and unpickle it."""
    if not os.path.isdir(out):
        return
    for name in sorted(os.listdir(out)):
        path = os.path.join(out, name)
        if name.startswith("checkpoint-") and not is_whole(path):
            print(f"{path} is not as it was written (a kill, or a change): removed", flush=True)
            shutil.rmtree(path)


def _digests(checkpoint: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for folder, _, names in os.walk(checkpoint):
        for name in names:
            path = os.path.join(folder, name)
            if name not in (SEAL, SEAL + ".tmp"):
                found[os.path.relpath(path, checkpoint)] = _digest(path)
    return found


def _digest(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
