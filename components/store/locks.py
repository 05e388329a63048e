"""File locks that the kernel lets go of when their holder ends, however it ends (flock; Linux and macOS).

State after a hard crash: the lock file stays, unlocked; in a file that `hold` locked is still the dead holder's name,
which the next holder overwrites. `tidy_locks` removes lock files that nobody holds: whoever had opened one and gets
its lock afterwards sees that the file is gone, and opens the new one. File systems without locks (some network
mounts) are told, not worked around.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from components.errors import TerminalError

__all__ = ["FileLock", "hold", "is_held", "tidy_locks"]


class FileLock:
    """An advisory lock on `path`, which is created when missing. Not inherited by programs that are started.

    Raises TerminalError where the file system has no locks (some network mounts).
    A `fork` without `exec` shares the lock: it is then held until both are gone.
    """

    def __init__(self, path: Path) -> None:
        """Open `path` without locking it. Raises OSError if it can be neither opened nor created."""
        self._path = path
        self._fd = _open(path)

    def try_shared(self) -> bool:
        """Hold it together with others. False if someone holds it alone."""
        return self._try(fcntl.LOCK_SH)

    def try_exclusive(self) -> bool:
        """Hold it alone. False if anyone else holds it; a shared hold of one's own is lost by trying."""
        return self._try(fcntl.LOCK_EX)

    def write(self, text: str) -> None:
        """Replace what the lock file says, for whoever looks who holds it. A full disk says nothing, and locks."""
        with suppress(OSError):
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, text.encode(), 0)

    def remove(self) -> None:
        """Remove the file; only for who holds it alone."""
        self._path.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _try(self, how: int) -> bool:
        while True:
            try:
                fcntl.flock(self._fd, how | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            except OSError as error:
                raise TerminalError(
                    f"{self._path}: the file system of this folder has no file locks ({error.strerror}). "
                    "Put the workspace on a local disk, with -o workspace=FOLDER."
                ) from error
            if self._is_current():
                return True
            self.close()
            self._fd = _open(self._path)

    def _is_current(self) -> bool:
        """Whether the file that is locked is still the one of that name: it may have been tidied away meanwhile."""
        try:
            return os.path.samestat(os.fstat(self._fd), os.stat(self._path))
        except FileNotFoundError:
            return False


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def is_held(path: Path) -> bool:
    """Tell whether anyone holds `path` alone. Holds it together with others for an instant, to find out.

    Needs no right to write, and makes nothing. False for a file that is not there, or that may not be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False


def tidy_locks(folder: Path) -> list[Path]:
    """Remove the lock files in `folder` that nobody holds (`<workspace>/locks`); returns those that were removed.

    For folders that hold nothing else. Safe beside runs that are at work.
    """
    removed = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if not path.is_file() or path.is_symlink():
            continue
        lock = FileLock(path)
        try:
            if lock.try_exclusive():
                lock.remove()
                removed.append(path)
        finally:
            lock.close()
    return removed


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
        TerminalError: naming the holder, when it did not let go in time; or the file system has no locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        deadline = time.monotonic() + timeout_seconds
        told = False
        while not lock.try_exclusive():
            if waiting and not told:
                waiting(_holder(path))
                told = True
            if time.monotonic() > deadline:
                raise TerminalError(
                    f"{_holder(path)} has held {path} for the {timeout_seconds:.0f} s that were waited; "
                    "try again when it is done, or end it"
                )
            time.sleep(0.1)
        since = datetime.now(UTC).isoformat(timespec="seconds")
        lock.write(json.dumps({"pid": os.getpid(), "what": what, "since": since}))
        yield
    finally:
        lock.close()
