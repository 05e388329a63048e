"""A command in a process of its own that ends when whoever started it does: `python -m flows.child run ...`.

Its stdin is a pipe on which nothing is ever written: it ends with the last process that holds the other end, however
that one ended. Then the command is interrupted as by SIGTERM, so what is under way is recorded, and once more after 15
seconds, as by Ctrl-C; what is still there after 30 is killed. State after a hard crash: that of the command.
"""

from __future__ import annotations

import os
import signal
import threading
import time

_GRACE_SECONDS = 30.0
_AGAIN_SECONDS = 15.0


def main() -> None:
    """The command of the arguments, as `cervella` runs it."""
    tie = os.dup(0)  # its own programs must not read from it
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    threading.Thread(target=_watch, args=(tie,), name="tied", daemon=True).start()

    from flows import cli

    cli.main()


def _watch(tie: int) -> None:
    while os.read(tie, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_AGAIN_SECONDS)
    # What a signal raises is lost where Python is in a finaliser or a callback at that moment.
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(_GRACE_SECONDS - _AGAIN_SECONDS)
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
