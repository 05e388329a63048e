"""A trainer as a child process: started, followed, and ended with us, whichever way we end.

The child is in the caller's own process group, so that a terminal's Ctrl-C reaches it too. When this process is killed,
the child is (inside/child.py asks Linux for it, elsewhere it looks by itself). That is tied to the thread that starts
it: start and wait in one thread, as `run_trainer` does; in the main one, where Python tells of Ctrl-C.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

from components.train.job import INSIDE, LOG, MODEL, PROGRESS
from components.train.running.causes import ENDED, STARTED
from components.train.running.progress import Follow, Progress, Speedometer

__all__ = ["GRACE", "OF_THE_HUB", "QUIET", "SECRET", "Progress", "child_environment", "handed_on", "run_trainer"]

GRACE = 120.0
"""Seconds that a training has, after Ctrl-C, to end its step and save a checkpoint; a second Ctrl-C ends it at once."""
_GRACE_OF_OTHERS = 20.0  # whoever else ends us (Prefect's cancel) waits half a minute before it kills
_POLL = 0.25
QUIET = {
    "AXOLOTL_DO_NOT_TRACK": "1", "DO_NOT_TRACK": "1", "MLFLOW_DISABLE_TELEMETRY": "true", "WANDB_MODE": "disabled",
    "UNSLOTH_DISABLE_STATISTICS": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "TOKENIZERS_PARALLELISM": "false",
    "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8", "OMP_WAIT_POLICY": "passive",
}  # fmt: skip
SECRET = re.compile(r"KEY|SECRET|PASS|TOKEN|CREDENTIAL|WEBHOOK", re.IGNORECASE)
"""Names of variables that may hold a secret."""
OF_THE_HUB = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
_LEFT_OUT = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "WORLD_SIZE", "RANK", "LOCAL_RANK")


def child_environment(folder: Path, *, python: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Environment variables of a trainer: ours without our packages, no telemetry, no hub where the base is here.

    What trainers cache of the examples stays in the folder of the job. Keys and passwords of ours are not handed on to
    hundreds of packages; the hub's token is, where the base comes from there.
    """
    here = (folder / MODEL).exists()
    found = handed_on(hub=not here)
    found["PATH"] = f"{python.parent}{os.pathsep}{found.get('PATH', os.defpath)}"
    found["HF_DATASETS_CACHE"] = str(folder.absolute() / "cache")
    if here:
        found |= {"HF_HUB_OFFLINE": "1"}
    return found | dict(more or {})


def handed_on(*, hub: bool) -> dict[str, str]:
    """Our variables that a program of hundreds of packages gets: no keys and passwords, and nothing that reports home.

    `hub`: it may need the hub's token, since it takes its model from there.
    """
    kept = {
        name: value for name, value in os.environ.items()
        if name not in _LEFT_OUT and (not SECRET.search(name) or (name in OF_THE_HUB and hub))
    }  # fmt: skip
    return kept | QUIET


def run_trainer(
    folder: Path,
    *,
    python: Path,
    entry: str,
    tell: Callable[[Progress], None],
    environment: Mapping[str, str] | None = None,
) -> int:
    """Train what lies in the folder of a job; it goes on where an earlier sitting was stopped.

    Args:
        folder: of the job.
        python: of the trainer's environment.
        entry: script in the job's `inside/`.
        tell: called with each progress, in this thread.
        environment: variables for the trainer beside ours.

    Returns:
        Exit code of the trainer. It says little: trainers end with 0 without an adapter. `judge` tells.

    Raises:
        KeyboardInterrupt: after Ctrl-C, once the trainer has saved a checkpoint, or `GRACE` seconds have passed.
    """
    follow, speed = Follow(folder / PROGRESS), Speedometer()

    def read() -> None:
        for event in follow.new():
            tell(speed.take(event))

    tell(Progress(0, 0, None, None, None, None, "starting"))
    command = [str(python), f"{INSIDE}/child.py", str(os.getpid()), entry]
    with (folder / LOG).open("ab") as log:
        log.write(f"{STARTED}{datetime.now().astimezone().isoformat(timespec='seconds')}\n".encode())
        log.flush()
        child = subprocess.Popen(  # noqa: S603
            command,
            cwd=folder,
            env=child_environment(folder, python=python, more=environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        while not _ended(child):
            read()
        read()
    except BaseException as error:
        _stop(child, read, interrupted=isinstance(error, KeyboardInterrupt))
        raise
    finally:
        with (folder / LOG).open("ab") as log:
            log.write(f"\n{ENDED}{child.poll()}\n".encode())
    if child.returncode in (130, -2):
        raise KeyboardInterrupt
    return child.returncode


def _ended(child: subprocess.Popen[bytes]) -> bool:
    try:
        child.wait(timeout=_POLL)
    except subprocess.TimeoutExpired:
        return False
    return True


def _stop(child: subprocess.Popen[bytes], read: Callable[[], None], *, interrupted: bool) -> None:
    """Let the trainer save a checkpoint and end; end it where that takes too long, or at a second Ctrl-C."""
    try:
        child.send_signal(2 if interrupted else 15)  # a terminal sent the same already: twice within a second is once
        end = time.monotonic() + (GRACE if interrupted else _GRACE_OF_OTHERS)
        while not _ended(child) and time.monotonic() < end:
            if interrupted:
                read()
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
