"""Becomes a command that the kernel ends when the program that started it is gone: `python tied.py PARENT COMMAND...`.

Linux only; elsewhere the command is ended by its parent's own cleaning up, which a SIGKILL skips.
"""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Ask the kernel for it, see that the parent is still there, and become the command."""
    if sys.platform == "linux":
        import ctypes
        import signal

        ctypes.CDLL(None).prctl(1, int(signal.SIGKILL))  # PR_SET_PDEATHSIG, which execve keeps
    if os.getppid() != int(sys.argv[1]):
        os._exit(137)
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 - the command of our own installer, no shell


if __name__ == "__main__":
    main()
