"""Tells of runs that died without a word: `python -m components.services.notify.sweep WORKSPACE`.

The keeper of `cervella up` starts it when it sees one: it would cost the keeper 40 MB for good to do it itself.
"""

from __future__ import annotations

import sys
from pathlib import Path

from components.errors import CervellaError
from components.services.notify.runs import tell_run
from components.services.notify.unseen import unseen

__all__ = ["main"]


def main(workspace: Path) -> int:
    """Tell of all of them; returns how many there were."""
    runs = list(unseen(workspace, seen=set()))
    for run in reversed(runs):
        try:
            tell_run(run)
        except CervellaError as error:
            print(f"{run.id}: {error}", file=sys.stderr)
    return len(runs)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
