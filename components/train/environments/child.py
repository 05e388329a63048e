"""Programs that an installation starts: their output goes to a log, and none outlives the installation."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from components.train.environments.variables import masked

__all__ = ["QUIET", "run_logged", "tail"]

_TIED = Path(__file__).with_name("tied.py")
QUIET = {
    "AXOLOTL_DO_NOT_TRACK": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "UNSLOTH_DISABLE_STATISTICS": "1",
    "WANDB_MODE": "disabled",
}
"""No library may call its makers, nor look for anything, when a trainer is only tried."""


def run_logged(
    command: Sequence[str],
    *,
    log: Path,
    tick: Callable[[], None],
    environment: Mapping[str, str],
    folder: Path | None = None,
) -> int:
    """Run a command, its output added to `log`. Returns its exit code.

    It gets a session of its own, and whatever ends this function ends all of it. Should this process be killed, the
    kernel ends the command (Linux).

    Args:
        command: the program's path, and its arguments.
        log: file that what it prints is added to.
        tick: called twice a second while it works.
        environment: all variables that it gets, but for `QUIET`.
        folder: that it works in; this process's own when none is given.
    """
    with log.open("ab") as output:
        output.write(f"\n$ {masked(' '.join(command))}\n".encode())
        output.flush()
        child = subprocess.Popen(  # noqa: S603
            [sys.executable, "-I", "-S", str(_TIED), str(os.getpid()), *command],
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True, cwd=folder,
            env={**environment, **QUIET},
        )  # fmt: skip
    try:
        while True:
            try:
                return child.wait(timeout=0.5)
            except subprocess.TimeoutExpired:
                tick()
    finally:
        if child.poll() is None:
            _end(child)


def _end(child: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(child.pid, number)  # a session of its own is a group of that number
            child.wait(timeout=5)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def tail(log: Path, lines: int = 12) -> str:
    """The end of a log, indented; no passwords of addresses."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "  (there is no log)"
    told = [line.rstrip() for line in text.splitlines() if line.strip()][-lines:]
    return "\n".join(f"  {masked(line)[:300]}" for line in told)
