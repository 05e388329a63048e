"""`cervella` as it is at night in a test, where two weeks pass in minutes.

Versions that readers may still be reading are kept for no time instead of 30 minutes, and the way back is 4
publications instead of 50. Arguments of `main`, and of this as a program: those of cervella.
"""

from __future__ import annotations

import importlib
import sys
from datetime import timedelta


def prepare() -> None:
    """Import what commands need that start no server; Prefect reads its settings when it is imported, so not that."""
    for name in ("flows.cli", "flows.commands.keep", "flows.commands.index", "lancedb.query", "lancedb.expr",
                 "lancedb.index", "components.index.lance"):  # fmt: skip
        importlib.import_module(name)


def main(*arguments: str) -> None:
    """Do the command; ends the process."""
    from components.index import cleanup, published
    from flows import cli

    published._KEPT = 4
    cleanup.KEEP = timedelta(0)
    cleanup.MARGIN = 0.5
    sys.argv = ["cervella", *arguments]
    cli.main()


if __name__ == "__main__":
    main(*sys.argv[1:])
