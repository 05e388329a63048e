"""Two names that change places in one move of the file system, where it can do that."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

__all__ = ["exchange"]

_AT_FDCWD = -100  # relative to the working directory (Linux)
_RENAME_EXCHANGE = 2  # linux/fs.h
_RENAME_SWAP = 2  # sys/stdio.h of macOS


def exchange(one: Path, other: Path) -> bool:
    """Let two paths of one file system change places: a crash sees both as before or both as after.

    False when it was not done: the system, or this file system, cannot (renameat2 and renamex_np; not NFS), or one
    of them is not there. Both are then as they were.
    """
    first, second = os.fsencode(one), os.fsencode(other)
    try:
        library = ctypes.CDLL(None, use_errno=True)
        if sys.platform == "darwin":
            return bool(library.renamex_np(first, second, ctypes.c_uint(_RENAME_SWAP)) == 0)
        done = library.renameat2(_AT_FDCWD, first, _AT_FDCWD, second, ctypes.c_uint(_RENAME_EXCHANGE))
        return bool(done == 0)
    except (AttributeError, OSError, TypeError):  # a C library without it
        return False
