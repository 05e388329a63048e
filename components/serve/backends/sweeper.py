"""Ends what a server started once the process that keeps it is gone, also by kill -9: `python -m ... PARENT MARK`.

A server is told by its mark, see `components.services.supervisor.processes`. Killed together with its parent, the
sweeper leaves processes and folder to `sweep` of the next start.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from components.services.process_start import started_at
from components.services.supervisor.processes import end_marked, mark_of, marked

__all__ = ["end_server", "make_folder", "mark_of_serving", "sweep", "sweeper_command"]

_FOLDER, _MARK = "cervella-serve-", "mark"
_OF = re.compile(r"serve\.[0-9a-f]{16}\.(\d+)-([^.]*)\.")
_GRACE_SECONDS = 3.0
_LOOK_SECONDS = 0.2


def mark_of_serving(workspace: Path, *, server: str) -> str:
    """The mark of what this process has a server of the workspace start; `cervella down` does not end it."""
    pid = os.getpid()
    return f"serve.{mark_of(workspace)}{pid}-{started_at(pid)}.{server}.".replace(" ", "_")


def make_folder(mark: str) -> Path:
    """A private folder for what a server writes while it is up; it lies where its sockets' paths stay short."""
    long = len(tempfile.gettempdir()) > 50  # the path of a socket may have 107 bytes, its name here has 36
    folder = Path(tempfile.mkdtemp(prefix=_FOLDER, dir="/tmp" if long else None))  # noqa: S108
    (folder / _MARK).write_text(mark, encoding="utf-8")
    return folder


def sweeper_command(mark: str) -> list[str]:
    """What starts a sweeper of this process."""
    return [sys.executable, "-m", "components.serve.backends.sweeper", str(os.getpid()), mark]


def end_server(mark: str, *, grace_seconds: float) -> int:
    """End all that a server started; returns how many processes there were.

    Python's tracker of resources comes last: it ignores SIGTERM, and once the others are gone it removes the shared
    memory that those which were killed have left.
    """
    tracker = next((pid for pid in marked(mark) if _is_tracker(pid)), None)
    left = end_marked(mark, grace_seconds=grace_seconds, but=tracker)
    deadline = time.monotonic() + _GRACE_SECONDS
    while tracker and time.monotonic() < deadline and tracker in marked(mark):
        time.sleep(_LOOK_SECONDS)
    return left + end_marked(mark, grace_seconds=0)


def _is_tracker(pid: int) -> bool:
    try:
        return b"multiprocessing.resource_tracker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def sweep(workspace: Path) -> int:
    """End what servers of processes that are gone have left; returns how many processes that were."""
    left, begins = 0, f"serve.{mark_of(workspace)}"
    for mark in {mark for mark in _folders().values() if mark.startswith(begins)}:
        of = _OF.match(mark)
        if of and str(started_at(int(of[1]))).replace(" ", "_") != of[2]:
            left += end_server(mark, grace_seconds=_GRACE_SECONDS)
            _remove(mark)
    return left


def _folders() -> dict[Path, str]:
    """Folders of this user's servers, with their marks."""
    found = {}
    for place in {tempfile.gettempdir(), "/tmp"}:  # noqa: S108
        for file in Path(place).glob(f"{_FOLDER}*/{_MARK}"):
            with suppress(OSError):
                if file.stat().st_uid == os.getuid():
                    found[file.parent] = file.read_text(encoding="utf-8", errors="replace")
    return found


def _remove(mark: str) -> None:
    for folder, of in _folders().items():
        if of == mark:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    while os.getppid() == int(sys.argv[1]):
        time.sleep(_LOOK_SECONDS)
    end_server(sys.argv[2], grace_seconds=_GRACE_SECONDS)
    _remove(sys.argv[2])
