"""What a keeper tells: `services.json`, always whole, and a line in `keeper.log` for each event."""

from __future__ import annotations

import json
import os
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from components.services.supervisor.logs import append_line, rotate
from components.services.supervisor.processes import started_at
from components.store import write_atomic
from components.store.services import SERVICES, services_folder

__all__ = ["LOGS", "Board"]

LOGS = "logs"


class Board:
    """The state of all services of a workspace. Any thread may tell and ask."""

    def __init__(self, workspace: Path) -> None:
        """Say that this process keeps the workspace, and that nothing is up yet."""
        self.folder = services_folder(workspace)
        self.logs = self.folder / LOGS
        self.logs.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._services: dict[str, dict[str, Any]] = {}
        pid = os.getpid()
        self._keeper = {"pid": pid, "started": started_at(pid), "since": time.time(), "workspace": str(workspace)}

    def note(self, text: str) -> None:
        """Add a line to the keeper's log."""
        with self._lock:
            rotate([self.logs / "keeper.log"])
            append_line(self.logs / "keeper.log", text)

    def tell(self, name: str, **values: Any) -> None:
        """Change what is known of a service. A full disk keeps it from readers, not from the keeper."""
        with self._lock:
            about = self._services.setdefault(name, {})
            before = dict(about)
            about.update(values)
            if about == before:
                return
            if about.get("state") != before.get("state"):
                about["since"] = time.time()
            told = {"keeper": self._keeper, "services": self._services}
            with suppress(OSError):
                write_atomic(self.folder / SERVICES, json.dumps(told, indent=1).encode())

    def ask(self, name: str) -> dict[str, Any]:
        """What is known of a service."""
        with self._lock:
            return dict(self._services.get(name, {}))
