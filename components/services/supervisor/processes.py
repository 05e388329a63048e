"""Processes that a keeper started, told by a mark in their environment, which all that they start inherits.

A pid alone says nothing: it may belong to somebody else by now. So a process is looked at and ended by one handle
(Linux: a pidfd). Not covered: a process that takes the mark out of its environment; nothing here does.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

from components.services.process_start import ps, started_at

__all__ = ["MARK", "end_marked", "mark_of", "marked", "started_at"]

MARK = "CERVELLA_KEEPER"
_POLL_SECONDS = 0.1


def mark_of(workspace: Path, keeper: str = "", service: str = "") -> str:
    """The mark of what a service started; without `service`, or `keeper`, what all such marks begin with."""
    place = hashlib.sha256(os.fsencode(os.path.realpath(workspace))).hexdigest()[:16]
    return f"{place}." + (f"{keeper}." if keeper else "") + (f"{service}." if service else "")


def marked(mark: str) -> list[int]:
    """Pids of the processes of this user whose mark begins with `mark`, this one left out."""
    if sys.platform == "linux":
        pids = [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]
        return sorted(pid for pid in pids if pid != os.getpid() and _has_mark(pid, mark))
    rows = [row.split(None, 1) for row in ps("-axEww", "-o", "pid=,command=").splitlines()]
    return sorted(int(row[0]) for row in rows if len(row) == 2 and f" {MARK}={mark}" in row[1])


def end_marked(mark: str, *, grace_seconds: float, but: int | None = None) -> int:
    """End all processes whose mark begins with `mark`: SIGTERM, SIGKILL after the grace; returns how many there were.

    `but`: pid of one that is left alone.
    """
    seen: set[int] = set()
    deadline = time.monotonic() + grace_seconds
    while here := [pid for pid in marked(mark) if pid != but]:
        late = time.monotonic() >= deadline
        for pid in here if late else set(here) - seen:
            _send(pid, mark, signal.SIGKILL if late else signal.SIGTERM)
        seen.update(here)
        if time.monotonic() > deadline + 10:  # the kernel does not let go of it: a disk that hangs
            break
        time.sleep(_POLL_SECONDS)
    return len(seen)


def _has_mark(pid: int, mark: str) -> bool:
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:  # it has ended, or is somebody else's
        return False
    return b"\0" + f"{MARK}={mark}".encode() in b"\0" + environment


def _send(pid: int, mark: str, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        if sys.platform != "linux":
            os.kill(pid, number)
            return
        handle = os.pidfd_open(pid)
        try:
            if _has_mark(pid, mark):  # looked at again: from here on the handle can only mean this process
                signal.pidfd_send_signal(handle, number)
        finally:
            os.close(handle)
