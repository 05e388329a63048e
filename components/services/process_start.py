"""Which process a pid means: a pid alone says nothing, since it may belong to somebody else by now, or elsewhere.

Not covered: a process of another machine, or of another container on this one, looks as if it had ended.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

__all__ = ["is_stopped", "processor_seconds", "ps", "started_at"]


def started_at(pid: int) -> str | None:
    """When the process began, in the machine's own words (Linux: ticks since boot); None: there is none."""
    if sys.platform == "linux":
        words = _words(pid)
        return words[19] if words and words[0] != "Z" else None
    told = ps("-o", "lstart=", "-p", str(pid)).strip()
    return told or None


def processor_seconds(pid: int) -> float | None:
    """Seconds of a processor that the process has used; None: it is gone, or this system does not say."""
    words = _words(pid)
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK") if words else None


def is_stopped(pid: int) -> bool:
    """Whether the process was stopped by a signal and waits for SIGCONT; False where this system does not say."""
    return _words(pid)[:1] == ["T"]


def ps(*arguments: str) -> str:
    """What `ps` says."""
    return subprocess.run(["/bin/ps", *arguments], capture_output=True, text=True, check=False).stdout  # noqa: S603


def _words(pid: int) -> list[str]:
    """What Linux says of the process, from its state on (proc(5), fields 3 to 52); nothing when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return []
