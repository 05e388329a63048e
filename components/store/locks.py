"""One holder at a time, across processes; a dead holder's lock is free at once.

State after a hard crash: the lock file stays, unlocked (the kernel drops the lock with the process), with the
dead holder's name in it; the next holder overwrites it. Not covered: file systems without flock (some NFS).
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from components.errors import TerminalError

__all__ = ["hold"]


def _holder(path: Path) -> str:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return f"process {found['pid']} ({found['what']}, since {found['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


@contextmanager
def hold(
    path: Path, *, what: str, timeout_seconds: float = 60.0, waiting: Callable[[str], None] | None = None
) -> Iterator[None]:
    """Hold the lock file `path` for the body of the `with`.

    Args:
        path: the lock file; its folder is made when missing.
        what: said to others who wait, such as "reindex".
        timeout_seconds: how long to wait for another holder.
        waiting: called once with the holder's description when there is one.

    Raises:
        TerminalError: naming the holder, when it did not let go in time.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + timeout_seconds
        told = False
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if waiting and not told:
                    waiting(_holder(path))
                    told = True
                if time.monotonic() > deadline:
                    raise TerminalError(
                        f"{_holder(path)} has held {path} for the {timeout_seconds:.0f} s that were waited; "
                        "try again when it is done, or end it"
                    ) from None
                time.sleep(0.1)
        since = datetime.now(UTC).isoformat(timespec="seconds")
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps({"pid": os.getpid(), "what": what, "since": since}).encode(), 0)
        yield
    finally:
        os.close(descriptor)  # closing drops the lock
