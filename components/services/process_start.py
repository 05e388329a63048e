"""Which process a pid means: a pid alone says nothing, since it may belong to somebody else by now, or elsewhere.

Not covered: a process of another machine, or of another container on this one, looks as if it had ended.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

__all__ = ["processor_seconds", "ps", "started_at"]


def started_at(pid: int) -> str | None:
    """When the process began, in the machine's own words (Linux: ticks since boot); None: there is none."""
    if sys.platform == "linux":
        try:
            words = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        except OSError:
            return None
        return None if words[0] == "Z" else words[19]
    told = ps("-o", "lstart=", "-p", str(pid)).strip()
    return told or None


def processor_seconds(pid: int) -> float | None:
    """Seconds of a processor that the process has used; None: it is gone, or this system does not say."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None


def ps(*arguments: str) -> str:
    """What `ps` says."""
    return subprocess.run(["/bin/ps", *arguments], capture_output=True, text=True, check=False).stdout  # noqa: S603
