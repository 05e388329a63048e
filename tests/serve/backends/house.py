"""An environment with a double of vLLM, as the installer leaves one, and what a test needs to know of the double."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.serve.backends.weights import Adapter, Base
from components.train.environments import find

__all__ = ["House", "alive", "make_house", "until"]

_TORCH = "9.8.7+cpu"


def until(holds: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait for it; the test fails when it does not come."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """Whether there is such a process, one that has ended and was not asked for aside."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@dataclass(frozen=True)
class House:
    """A folder in which vLLM is a double."""

    folder: Path

    @property
    def commands(self) -> Path:
        return self.folder / "double"

    def say(self, command: str, value: object = "") -> None:
        (self.commands / command).write_text(str(value))

    def unsay(self, command: str) -> None:
        (self.commands / command).unlink()

    def begun(self) -> bool:
        """Whether a word of an answer in pieces was sent, since that was unsaid."""
        return (self.commands / "begun").exists()

    def starts(self) -> list[dict[str, Any]]:
        file = self.commands / "starts.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def variables(self) -> dict[str, str]:
        """With which it is found."""
        return {"CERVELLA_TRAINERS": str(self.folder / "trainers"), "VLLM_DOUBLE": str(self.commands)}

    def base(self, longest: int = 512) -> Base:
        model = self.folder / "model"
        model.mkdir(exist_ok=True)
        (model / "config.json").write_text(json.dumps({"max_position_embeddings": longest}))
        return Base("small", str(model), None, "a" * 64, "smollm2", here=True, longest=longest)

    def adapter(self, name: str, *, rank: int = 8) -> Adapter:
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        (folder / "adapter_config.json").write_text(json.dumps({"r": rank}))
        return Adapter(f"adapter-{name}", folder, name, rank)

    def processes(self) -> list[int]:
        """All that the double has started, and itself, as far as it lives."""
        pids = [one[name] for one in self.starts() for name in ("pid", "helper", "engine", "tracker")]
        return [pid for pid in pids if alive(pid)]

    def left(self) -> list[object]:
        """What of it is still there: processes, shared memory, folders."""
        memory = [name for one in self.starts() if (name := Path("/dev/shm") / one["memory"]).exists()]
        folders = [folder for one in self.starts() if (folder := Path(one["tmp"])).exists()]
        return [*self.processes(), *memory, *folders]


def make_house(folder: Path) -> House:
    """Make it; `variables` must be set before it is found."""
    house = House(folder)
    house.commands.mkdir(parents=True)
    place = folder / "trainers" / f"vllm-{find.lock_digest('vllm')[:12]}"
    site = place / "lib" / f"python3.{sys.version_info[1]}" / "site-packages"
    package = site / "vllm" / "entrypoints" / "openai"
    package.mkdir(parents=True)
    for one in (package, package.parent, package.parent.parent):
        (one / "__init__.py").touch()
    shutil.copyfile(Path(__file__).with_name("double.py"), package / "api_server.py")
    info = site / f"torch-{_TORCH}.dist-info"
    info.mkdir()
    (info / "RECORD").write_text("torch/__init__.py,sha256=aa,1\n")
    base = Path(sys.base_prefix) / "bin"
    python = base / f"python3.{sys.version_info[1]}"
    (place / "bin").mkdir()
    (place / "bin" / "python").symlink_to(python)
    (place / "pyvenv.cfg").write_text(f"home = {base}\ninclude-system-site-packages = false\n")
    told = {
        "name": "vllm", "lock": find.lock_digest("vllm"), "trainer_version": find.trainer_version("vllm"),
        "torch": _TORCH, "torch_digest": find.record_digest(place), "cuda": False, "packages": [f"torch-{_TORCH}"],
        "python": ".".join(map(str, sys.version_info[:3])), "seconds": 1.0, "bytes": 1,
    }  # fmt: skip
    (place / find.MARK).write_text(json.dumps(told))
    assert os.access(python, os.X_OK) and find.fault_of("vllm", place) is None
    return house
