"""What processes of tests are started with, and which of them are still there."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["clean_environment", "processes_of"]


def clean_environment() -> dict[str, str]:
    """The environment of this process, without what another Prefect or MLflow may have put there."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MLFLOW"))}
    return clean | {"MLFLOW_DISABLE_TELEMETRY": "true", "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}


def processes_of(part: Path | str, *, environment: bool = True) -> list[str]:
    """Command lines of the processes that have this among their arguments or in their environment, but for this one.

    `part`: a folder, or any text. `environment`: no to look at arguments alone.
    """
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes()
            around = (entry / "environ").read_bytes() if environment else b""
        except OSError:  # it has just ended, or is somebody else's
            continue
        if words and os.fsencode(part) in words + around and int(entry.name) != os.getpid():
            found.append(words.replace(b"\0", b" ").decode(errors="replace"))
    return found
