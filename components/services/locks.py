"""File locks that the kernel lets go of when their holder ends, however it ends (flock; Linux and macOS)."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from components.errors import TerminalError

__all__ = ["FileLock", "is_held"]


class FileLock:
    """An advisory lock on `path`, which is created and never removed. Not inherited by programs that are started.

    Raises TerminalError where the file system has no locks (some network mounts).
    A `fork` without `exec` shares the lock: it is then held until both are gone.
    """

    def __init__(self, path: Path) -> None:
        """Open `path` without locking it. Raises OSError if it can be neither opened nor created."""
        self._path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def try_shared(self) -> bool:
        """Hold it together with others. False if someone holds it alone."""
        return self._try(fcntl.LOCK_SH)

    def try_exclusive(self) -> bool:
        """Hold it alone. False if anyone else holds it; a shared hold of one's own is lost by trying."""
        return self._try(fcntl.LOCK_EX)

    def close(self) -> None:
        """Let go."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _try(self, how: int) -> bool:
        try:
            fcntl.flock(self._fd, how | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            raise TerminalError(
                f"{self._path}: the file system of this folder has no file locks ({error.strerror}). "
                "Put the workspace on a local disk, with -o workspace=FOLDER."
            ) from error
        return True


def is_held(path: Path) -> bool:
    """Tell whether anyone holds `path` alone. Holds it together with others for an instant, to find out."""
    if not path.exists():
        return False
    lock = FileLock(path)
    try:
        return not lock.try_shared()
    finally:
        lock.close()
