"""What an installation meets: whether there is a GPU, how much disk is free, how much an environment takes."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from components.errors import TerminalError
from components.llm.machine import user_cache

__all__ = ["folder_bytes", "free_bytes", "has_nvidia_gpu", "same_disk", "supported", "uv_cache"]


def supported() -> None:
    """Raise a TerminalError on a machine that the locks are not made for."""
    here = (sys.platform, platform.machine())
    if here != ("linux", "x86_64"):
        raise TerminalError(
            f"the locks of trainers are for Linux on x86_64, and this is {here[0]} on {here[1]}. "
            "`cervella train pack` writes a bundle that trains on another machine"
        )


def has_nvidia_gpu() -> bool:
    """Whether the driver of an NVIDIA GPU is at work here and shows one."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return any(Path("/proc/driver/nvidia/gpus").glob("*"))
    try:
        done = subprocess.run([tool, "-L"], capture_output=True, text=True, timeout=30, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and "GPU" in done.stdout


def uv_cache(environment: Mapping[str, str] = os.environ) -> Path:
    """Where uv keeps what it has downloaded. An environment on the same disk shares its files (hard links)."""
    if named := environment.get("UV_CACHE_DIR"):
        return Path(named)
    return user_cache(environment) / "uv"


def _existing(path: Path) -> Path:
    here = path.absolute()
    while not here.exists():
        here = here.parent
    return here


def same_disk(one: Path, other: Path) -> bool:
    """Whether both are, or will be, on one file system."""
    return _existing(one).stat().st_dev == _existing(other).stat().st_dev


def free_bytes(path: Path) -> int:
    """Bytes that this user may still write where `path` is, or will be."""
    return shutil.disk_usage(_existing(path)).free


def folder_bytes(folder: Path) -> int:
    """Bytes of all files in a folder; a file with several names counts once."""
    seen: dict[tuple[int, int], int] = {}
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                told = os.lstat(os.path.join(place, name))
            except FileNotFoundError:
                continue
            seen[told.st_dev, told.st_ino] = told.st_size
    return sum(seen.values())
