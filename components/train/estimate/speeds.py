"""How fast trainings are, as they measured it: `<workspace>/cache/training-speeds.json`.

State after a hard crash: the file is the one before, or whole. A damaged one counts as none: it is written anew by the
next training. Speeds of a GPU count wherever it stands (a training on Colab's T4 tells how fast the next one will be);
those of a processor only on the machine that measured them.
"""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from components.llm.machine import usable_cpus
from components.store import sha256_hex, write_atomic
from components.train.params import HardwareName, TrainerName, TrainParams

__all__ = [
    "Speed", "base_name", "gpu_here", "machine_here", "measured_speed", "remember_speed", "settings_of", "speeds_file",
]  # fmt: skip


@dataclass(frozen=True)
class Speed:
    """A measured speed.

    Attributes:
        trainer: program that trained.
        model: base model, as `base_name` says it.
        hardware: as the recipe names it.
        machine: which one it was, see `machine_here`.
        tokens_per_second: that went through the model, without what only fills batches.
        steps: optimizer steps that it was measured over.
        batch_tokens: tokens of a batch, on average.
        longest: tokens of the longest row that it has seen.
        peak_gib: most memory that it held at one time (of the GPU, where there is one); None: not known.
        settings: what else decides speed and memory: batch size, precision, quantization, checkpointing.
        date: of the measurement, YYYY-MM-DD.
    """

    trainer: TrainerName
    model: str
    hardware: HardwareName
    machine: str
    tokens_per_second: float
    steps: int
    batch_tokens: float
    longest: int
    peak_gib: float | None
    settings: str
    date: str


def speeds_file(workspace: Path) -> Path:
    """Where a workspace keeps the speeds of its trainings."""
    return workspace / "cache" / "training-speeds.json"


def base_name(params: TrainParams) -> str:
    """The base model by name; a folder by its own name."""
    return params.base.model or f"folder/{params.base.folder.name if params.base.folder else ''}"


def settings_of(params: TrainParams) -> str:
    """What decides speed and memory besides trainer, model and machine."""
    return (
        f"batch {params.batch_size}, {params.precision}, {params.base.quantization}, "
        f"checkpointing {'on' if params.gradient_checkpointing else 'off'}, packing {'on' if params.packing else 'off'}"
    )


def measured_speed(file: Path, params: TrainParams) -> Speed | None:
    """The newest speed that counts for the training, one of this machine before others; None: nothing was measured."""
    here = machine_here(params.hardware)
    found = [
        speed for speed in _read(file)
        if (speed.trainer, speed.model, speed.hardware, speed.settings)
        == (params.trainer, base_name(params), params.hardware, settings_of(params))
        and (speed.machine == here or params.hardware != "cpu")
    ]  # fmt: skip
    return max(found, key=lambda speed: (speed.machine == here, speed.date), default=None)


def remember_speed(file: Path, speed: Speed) -> None:
    """Keep a speed, in the place of an older one of the same training on the same machine."""
    if not speed.tokens_per_second > 0:
        return
    key = _key(speed)
    kept = [other for other in _read(file) if _key(other) != key]
    text = json.dumps([asdict(one) for one in (*kept, speed)], indent=1, sort_keys=True)
    write_atomic(file, text.encode())


def _key(speed: Speed) -> tuple[str, ...]:
    return speed.trainer, speed.model, speed.hardware, speed.machine, speed.settings


def _read(file: Path) -> list[Speed]:
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return []
    return [speed for entry in (found if isinstance(found, list) else ()) if (speed := _speed(entry))]


def _speed(entry: Any) -> Speed | None:
    try:
        speed = Speed(**entry)
        whole = isinstance(speed.tokens_per_second, int | float) and speed.tokens_per_second > 0
        whole = whole and isinstance(speed.batch_tokens, int | float) and isinstance(speed.longest, int)
        return speed if whole and isinstance(speed.date, str) else None
    except TypeError:
        return None


def machine_here(hardware: HardwareName) -> str:
    """This machine, as far as trainings on such hardware go: its GPU, or a digest of its name and processors."""
    gpu = gpu_here() if hardware != "cpu" else None
    return gpu or f"cpu-{sha256_hex(f'{platform.node()} {platform.machine()} {usable_cpus()}'.encode())[:12]}"


@cache
def gpu_here() -> str | None:
    """Name of the first GPU of this machine, which is the one that trains; None: it has none that torch could use."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    command = [program, "--query-gpu=name", "--format=csv,noheader"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    return next((line.strip() for line in said.stdout.splitlines() if line.strip()), None)
