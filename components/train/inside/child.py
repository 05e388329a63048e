"""Runs a script of this folder so that it ends when the process that started it ends, however that comes about.

    python inside/child.py PARENT SCRIPT [ARGUMENT...]

PARENT: its process id; 0: nobody's. The working directory is the folder of the job. Before the script runs,
checkpoints that a kill left half written are removed.
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import signal
import sys
import threading
import time

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Run the script that the arguments name."""
    parent, script = int(sys.argv[1]), sys.argv[2]
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)  # until training begins there is nothing to save
    if parent:
        _end_with(parent)
    here = os.path.dirname(os.path.abspath(__file__))
    if here not in sys.path:
        sys.path.insert(0, here)
    _choose_device()
    importlib.import_module("checkpoints").remove_broken()
    sys.argv = sys.argv[2:]
    runpy.run_path(os.path.join(here, script), run_name="__main__")


def _choose_device() -> None:
    """One GPU: transformers would take all, and with them larger batches than asked. None for a job for the CPU."""
    with open("job.json", encoding="utf-8") as file:
        hardware = json.load(file)["params"]["hardware"]
    named = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
    os.environ["CUDA_VISIBLE_DEVICES"] = "" if hardware == "cpu" else named


def _leave(number: int, frame: object) -> None:
    os._exit(128 + number)


def _end_with(parent: int) -> None:
    """Linux ends this process with its parent; elsewhere a thread looks whether the parent is still there."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    if os.getppid() != parent:  # it ended before we asked
        os._exit(1)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


if __name__ == "__main__":
    main()
