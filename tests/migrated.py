"""A Prefect database in which all migrations are done, for workspaces of tests that are not about a first start.

Migrating takes more than half of what a first start takes. The database is made once a session, by Prefect's own
command, so it holds no row but the number of its last migration: no block, no key, nothing of a server.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from components.services import prefect_environment
from components.services.database import DATABASE
from components.store import hold

__all__ = ["migrated"]


def migrated(shared: Path) -> Path:
    """The database in the folder `shared`, which the workers of a session have in common; made by the first of them."""
    made = shared / "migrated"
    with hold(shared / "migrated.lock", what="migrating", timeout_seconds=300):
        if not made.is_dir():
            making = shared / "migrating"
            shutil.rmtree(making, ignore_errors=True)
            (making / "prefect").mkdir(parents=True)
            clean = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
            subprocess.run(
                [sys.executable, "-m", "prefect", "server", "database", "upgrade", "--yes"],
                env=clean | prefect_environment(making), check=True, capture_output=True,
            )  # fmt: skip
            assert [path.name for path in (making / "prefect").glob(f"{DATABASE}*")] == [DATABASE]  # no log beside it
            os.replace(making / "prefect", made)
    return made / DATABASE
