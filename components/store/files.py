"""Files that are whole or not there (written beside, then renamed), and folders that go (renamed, then deleted).

State after a hard crash: a file is the old or the new one, perhaps with `.NAME.<random>` beside it; a folder is there
or is `.NAME.forgotten`, which nobody reads and the next `gc` or `forget` deletes.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

__all__ = ["FORGOTTEN", "delete_aside", "remove_folder", "set_aside", "sync_folder", "write_atomic"]

FORGOTTEN = ".forgotten"
"""How the names of folders end that were set aside to be deleted."""


def sync_folder(path: Path) -> None:
    """Flush a folder's entries to disk (a rename is only safe after this)."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomic(path: Path, data: bytes) -> None:
    """Write `data` to `path` so that a reader, or a crash, sees the old file or the new one, never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    sync_folder(path.parent)


def set_aside(folder: Path) -> Path:
    """Rename a folder to `.NAME.forgotten` beside it, unless it is one already; where it is then.

    Beside it: elsewhere may be another disk, and a full one has no room for a new folder.
    """
    if folder.name.endswith(FORGOTTEN):
        return folder
    aside = folder.with_name(f".{folder.name.removeprefix('.')}{FORGOTTEN}")
    if aside.exists():  # of a removal that was killed
        delete_aside(aside)
    os.replace(folder, aside)
    return aside


def delete_aside(aside: Path) -> None:
    """Delete a folder that was set aside, if it is there; somebody else may be deleting it too.

    Raises OSError for what may not be deleted, after all else is gone.
    """
    faults: list[BaseException] = []
    shutil.rmtree(aside, onerror=lambda _call, _path, told: faults.append(told[1]))
    for fault in faults:
        if not isinstance(fault, FileNotFoundError):
            raise fault


def remove_folder(folder: Path) -> None:
    """Remove a folder so that a crash leaves it whole or set aside. Raises OSError as `delete_aside`."""
    with contextlib.suppress(FileNotFoundError):
        delete_aside(set_aside(folder))
