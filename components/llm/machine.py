"""The machine at hand: processors that this process may really use, and where its user keeps what can be had again."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

__all__ = ["share_processors", "usable_cpus", "user_cache"]

_CGROUP = Path("/sys/fs/cgroup")


def share_processors() -> None:
    """Let OpenMP's threads sleep while they wait, as many as there are processors; before it is loaded, or in vain.

    By default they spin. On a machine that does something else as well, threads that spin keep each other from their
    work: an answer that takes 1 s then takes 30 s (measured on two processors with one busy).
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("OMP_NUM_THREADS", str(usable_cpus()))


def usable_cpus(cgroup: Path = _CGROUP) -> int:
    """Processors by affinity, by the quota of the cgroup (version 2, else 1) and by OMP_NUM_THREADS, at least 1.

    A container with two processors' quota on a machine of 64 shows 64 to `os.cpu_count()`; 64 threads on two
    processors are many times slower than two.
    """
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _read(cgroup / "cpu.max") or (
        _read(cgroup / "cpu/cpu.cfs_quota_us") + _read(cgroup / "cpu/cpu.cfs_period_us")
    )
    if len(quota) == 2 and quota[0].isdigit() and quota[1].isdigit() and int(quota[1]) > 0:
        count = min(count, max(1, -(-int(quota[0]) // int(quota[1]))))
    told = os.environ.get("OMP_NUM_THREADS", "")  # a worker of a Ray cluster has one processor, and is told so by this
    return min(count, int(told)) if told.isdigit() and int(told) > 0 else count


def user_cache(environment: Mapping[str, str] = os.environ) -> Path:
    """The user's cache folder: `$XDG_CACHE_HOME` where it is absolute, else `~/.cache`."""
    named = environment.get("XDG_CACHE_HOME", "")
    return Path(named) if os.path.isabs(named) else Path.home() / ".cache"


def _read(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []
