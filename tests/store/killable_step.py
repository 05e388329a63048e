"""Child of the kill tests: does one step and kills itself at a named commit point.

Usage: killable_step.py WORKSPACE POINT SIGNAL [TICKS]. Each time the body runs, a line goes to WORKSPACE/ran.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from components.store import StepSpec, Store

SPEC = StepSpec("test.write", 1, {"text": "ciao"})
POINTS = ("opened", "body", "written", "flushed", "manifest", "renamed")


def run(workspace: Path, die_at: str, number: int) -> str:
    def at(point: str) -> None:
        if point == die_at:
            os.kill(os.getpid(), number)

    with Store(workspace, at=at).step(SPEC) as step:
        if not step.sealed:
            with (workspace / "ran").open("a") as file:
                file.write("ran\n")
            kept = step.scratch / "kept"
            step.note(scratch_seen=kept.exists())
            kept.write_text("kept")
            step.write_text("a.txt", "ciao")
            at("body")
            step.write_json("b.json", {"x": 1})
    return step.artefact.digest


if __name__ == "__main__":
    print(run(Path(sys.argv[1]), sys.argv[2], getattr(signal, sys.argv[3])))
