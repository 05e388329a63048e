"""What the scripts of a bundle have in common: where things lie, words for a person, this machine's facts."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
JOB, OUT = ROOT / "job", ROOT / "job" / "out"
ADAPTER = "adapter_model.safetensors"
TOLD = (
    "effective.json",
    "progress.jsonl",
    "masks-train.jsonl",
    "masks-validation.jsonl",
    "trainer.log",
    "started.json",
)
"""Of the job's folder: what tells how the training went. It goes into the result, and to --keep."""
NOT_PASSED_ON = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "WORLD_SIZE", "RANK", "LOCAL_RANK")
_PACKAGES = """
import importlib.metadata, json, platform
found = {one.metadata["Name"]: one.version for one in importlib.metadata.distributions() if one.metadata["Name"]}
print(json.dumps({"python": platform.python_version(), "packages": dict(sorted(found.items()))}))
"""


class Stop(Exception):  # noqa: N818  # it ends the script; the text is for a person
    """It cannot be done."""


def say(text: str) -> None:
    """A line, seen at once."""
    print(text, flush=True)


def digest(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            sha.update(block)
    return sha.hexdigest()


def look_for_gpu() -> dict[str, str] | None:
    """Name, memory and driver of the first NVIDIA GPU; None where there is none."""
    command = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    parts = [part.strip() for part in told.splitlines()[0].split(",")] if told.strip() else []
    return dict(zip(("name", "memory", "driver"), parts, strict=True)) if len(parts) == 3 else None


def packages_of(python: Path) -> dict[str, Any]:
    """Version and packages of a Python."""
    try:
        told = subprocess.run([str(python), "-c", _PACKAGES], capture_output=True, text=True, check=True)  # noqa: S603
        return dict(json.loads(told.stdout))
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise Stop(f"{python} cannot be started as a Python ({error})") from None
