"""Has runs told of that died without a word: the keeper looks for them, a process of its own sends.

What is NOT covered: while no keeper is there nobody looks; the next one finds runs of the last seven days.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

from components.services.notify.unseen import unseen
from components.services.supervisor.board import Board
from components.services.supervisor.kept import ROOT, child_environment
from components.services.supervisor.logs import open_log
from components.services.supervisor.processes import mark_of

__all__ = ["Teller"]

_LOOK_SECONDS = 5.0
_SEND_SECONDS = 120
_TRIES = 3  # of one that cannot be told, such as for a damaged recipe
_AGAIN_SECONDS = 70.0  # by then who was killed while it sent counts no more, see `notify.journal`


class Teller:
    """Kept by a thread: `run` returns when `ending` is set."""

    def __init__(self, board: Board, ending: threading.Event, *, workspace: Path, keeper: str) -> None:
        self.board, self.ending, self.workspace = board, ending, workspace
        self.mark = mark_of(workspace, keeper, "teller")
        self.seen: set[str] = set()
        self.tries: dict[str, int] = {}
        self.due: dict[str, float] = {}

    def run(self) -> None:
        """Look every five seconds. What goes wrong is noted, and it looks again."""
        while not self.ending.wait(_LOOK_SECONDS):
            try:
                self.look()
            except Exception as error:
                self.board.note(f"teller: {type(error).__name__}: {error}")

    def look(self, *, now: float | None = None) -> None:
        """Have those told that are not told yet; returns when that is done. `now`: of `time.monotonic`."""
        now = time.monotonic() if now is None else now
        found = [run.id for run in unseen(self.workspace, seen=self.seen) if self.due.get(run.id, now) <= now]
        for name in found:
            self.due[name] = now + _AGAIN_SECONDS
            self.tries[name] = self.tries.get(name, 0) + 1
            if self.tries[name] == 1:
                self.board.note(f"run {name} ended without a word; whoever wants to hear of it is told")
            elif self.tries[name] > _TRIES:
                self.seen.add(name)
                self.tries.pop(name)
                self.due.pop(name)
        if found:
            with open_log(self.board.logs / "teller.log") as log:
                subprocess.run(  # noqa: S603 (our own interpreter and module)
                    [sys.executable, "-m", "components.services.notify.sweep", str(self.workspace)], cwd=ROOT,
                    env=child_environment(self.workspace, mark=self.mark), stdin=subprocess.DEVNULL, stdout=log,
                    stderr=log, timeout=_SEND_SECONDS, check=False,
                )  # fmt: skip
