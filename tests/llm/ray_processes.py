"""What a process has started, and where it listens: read in /proc."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["descendants", "listening", "running"]

_LISTENS = "0A"


def _stat(pid: int) -> list[str]:
    """Fields behind the name of the program: state, parent, ..., the time of its start (20th)."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()


def _all() -> Iterator[tuple[int, list[str]]]:
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            yield int(entry.name), _stat(int(entry.name))
        except OSError:  # it has just ended
            continue


def descendants(pid: int) -> set[tuple[int, str]]:
    """(pid, time of start) of what `pid` has started, and of what these have, those that wait to be reaped left out."""
    parents = {child: (int(stat[1]), stat) for child, stat in _all() if stat[0] != "Z"}
    found: set[int] = {pid}
    while more := {child for child, (parent, _) in parents.items() if parent in found} - found:
        found |= more
    return {(child, parents[child][1][19]) for child in found - {pid}}


def running(processes: set[tuple[int, str]]) -> set[int]:
    """Those that are the same and run still."""
    now = {(pid, stat[19]) for pid, stat in _all() if stat[0] != "Z"}
    return {pid for pid, _ in processes & now}


def listening(pids: set[int]) -> set[str]:
    """Addresses that these processes listen at, as hexadecimal numbers of the kernel."""
    sockets = {}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/self/net/{table}").read_text(encoding="ascii").splitlines()[1:]:
            words = line.split()
            if words[3] == _LISTENS:
                sockets[f"socket:[{words[9]}]"] = words[1].partition(":")[0]
    found = set()
    for pid in pids:
        for entry in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                found.add(sockets.get(os.readlink(entry), ""))
            except OSError:
                continue
    return found - {""}
