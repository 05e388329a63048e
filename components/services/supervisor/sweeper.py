"""Ends what a keeper started when the keeper is gone, also by kill -9: `python -m ... sweeper PARENT MARK WORKSPACE`.

The keeper starts it and keeps it alive. Killed together with the keeper, it leaves the services to the next `up` or
`down`, which begin with the same sweep.
"""

from __future__ import annotations

import os
import sys
import time

from components.services.supervisor.processes import end_marked

_LOOK_SECONDS = 0.2
_GRACE_SECONDS = 3.0


def main(parent: int, mark: str) -> None:
    """Wait until the process `parent` is not our parent any more, then end all processes with the mark."""
    while os.getppid() == parent:
        time.sleep(_LOOK_SECONDS)
    end_marked(mark, grace_seconds=_GRACE_SECONDS)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
