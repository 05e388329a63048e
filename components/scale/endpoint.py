"""Where the endpoints of a workspace answer: `<workspace>/serve/endpoints/PID.json`, written by `cervella serve`.

State after a hard crash: a file tells of a process that is gone, which is seen by its pid and its start together; the
next endpoint removes it. It holds no key: who asks knows them from `serve.keys_env` of its recipe.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from components.services.process_start import started_at
from components.store import write_atomic

__all__ = ["Endpoint", "read_endpoints", "remove_endpoint", "write_endpoint"]


@dataclass(frozen=True)
class Endpoint:
    """An endpoint that is up.

    Attributes:
        pid: of its process.
        started_at: of that process, as `components.services.process_start` tells it.
        url: without a slash at its end.
        recipe: name of its recipe.
    """

    pid: int
    started_at: str
    url: str
    recipe: str

    def is_up(self) -> bool:
        """Whether its process is still there."""
        return started_at(self.pid) == self.started_at


def _folder(workspace: Path) -> Path:
    return workspace / "serve" / "endpoints"


def write_endpoint(workspace: Path, *, url: str, recipe: str) -> None:
    """Tell that this process answers at `url`; readable for its user alone. Raises OSError."""
    folder = _folder(workspace)
    for file in folder.glob("*.json"):
        found = _read(file)
        if found is None or not found.is_up():
            with suppress(OSError):
                file.unlink()
    told = Endpoint(os.getpid(), started_at(os.getpid()) or "", url, recipe)
    write_atomic(folder / f"{told.pid}.json", json.dumps(asdict(told), indent=1).encode())


def remove_endpoint(workspace: Path) -> None:
    """Take back what this process has told, if it has; what others tell stays."""
    with suppress(OSError):
        (_folder(workspace) / f"{os.getpid()}.json").unlink()


def read_endpoints(workspace: Path) -> list[Endpoint]:
    """The endpoints that are up for this workspace, the one that began last first; what cannot be read is none."""
    found: list[tuple[int, Endpoint]] = []
    for file in _folder(workspace).glob("*.json"):
        told = _read(file)
        with suppress(OSError):
            if told and told.is_up():
                found.append((file.stat().st_mtime_ns, told))
    return [told for _, told in sorted(found, key=lambda one: one[0], reverse=True)]


def _read(file: Path) -> Endpoint | None:
    try:
        told = json.loads(file.read_bytes())
        return Endpoint(int(told["pid"]), str(told["started_at"]), str(told["url"]), str(told["recipe"]))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
