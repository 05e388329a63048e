"""Installs a trainer's locked packages beside a bundle: the part of `train.py` that can be done ahead, as for an image.

It needs Linux on x86_64, Python 3.10 or newer, and uv or pip. uv (the machine's, or one that pip brings) finds the
Python that the lock is for and the build of torch that fits the GPU's driver.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "environment"
READY = FOLDER / "ready.json"
SETTINGS = ("PYTHONPATH", "PYTHONHOME", "UV_CONSTRAINT", "UV_BUILD_CONSTRAINT", "UV_OVERRIDE", "UV_PRERELEASE",
            "UV_SYSTEM_PYTHON", "UV_PYTHON", "VIRTUAL_ENV",
            "PIP_CONSTRAINT", "PIP_TARGET", "PIP_REQUIREMENT")  # fmt: skip
"""Of the machine, that would change what is installed (Colab sets some)."""


def main() -> int:
    """Install what is missing. Exit 0: `environment/bin/python` has the trainer."""
    wanted = json.loads((ROOT / "manifest.json").read_text(encoding="utf-8"))["trainer"]
    python = FOLDER / "bin" / "python"
    ready = {key: wanted[key] for key in ("lock", "torch", "python")}
    try:
        if json.loads(READY.read_text(encoding="utf-8")) == ready and python.exists():
            return 0
    except (OSError, ValueError):
        pass
    shutil.rmtree(FOLDER, ignore_errors=True)
    print(f"Installing {wanted['name']} {wanted['version']} and torch {wanted['torch']} into {FOLDER}: several GB, "
          "some minutes, once", flush=True)  # fmt: skip
    try:
        install(wanted, python)
    except (OSError, subprocess.SubprocessError) as error:
        command = " ".join(map(str, getattr(error, "cmd", None) or [error]))
        print(
            f"The installation failed: {command}\nWithout uv and pip: install one of them. Else start again", flush=True
        )
        return 1
    READY.write_text(json.dumps(ready), encoding="utf-8")  # last: it says that all is there
    return 0


def install(wanted: dict[str, Any], python: Path) -> None:
    """Install torch by its version, since builds for CPU and CUDA differ, then all others by their hashes."""
    uv, lock = find_uv(), str(ROOT / "requirements.lock")
    run(uv, "venv", "--quiet", "--no-project", "--python", wanted["python"], str(FOLDER))
    add = [uv, "pip", "install", "--quiet", "--no-config", "--python", str(python)]
    torch = [*add, "--constraint", lock, f"torch=={wanted['torch']}"]
    try:
        run(*torch, "--torch-backend", "auto")  # the build that fits the driver
    except subprocess.CalledProcessError:
        run(*torch)  # as the package index has it
    run(*add, "--no-deps", "--require-hashes", "--build-constraints", lock, "-r", lock)
    for module in wanted["stubs"]:  # imported by the trainer, and not used for text
        next(FOLDER.glob("lib/python3.*/site-packages")).joinpath(f"{module}.py").touch()


def find_uv() -> str:
    """The installer uv: the machine's, or one that pip puts beside this file."""
    own = ROOT / "tools" / "bin" / "uv"
    if not own.exists() and not shutil.which("uv"):
        run(sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "-q", "--require-hashes",
            "--target", str(ROOT / "tools"), "-r", str(ROOT / "requirements-uv.lock"))  # fmt: skip
    return str(own) if own.exists() else str(shutil.which("uv"))


def run(*command: str) -> None:
    """Start a program without the settings that would change what it does; raises when it fails."""
    clean = {key: value for key, value in os.environ.items() if key not in SETTINGS}
    subprocess.run(command, check=True, env=clean, stdin=subprocess.DEVNULL)  # noqa: S603


if __name__ == "__main__":
    sys.exit(main())
