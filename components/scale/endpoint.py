"""Where the endpoint of a workspace answers: `<workspace>/serve/endpoint.json`, written by `cervella serve`.

State after a hard crash: the file tells of a process that is gone, which is seen by its pid and its start together,
and the next endpoint writes over it. Two endpoints of a workspace: the one that began last is told, until it ends.
It holds no key: who asks knows them from `serve.keys_env` of its recipe.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from components.services.process_start import started_at
from components.store import write_atomic

__all__ = ["Endpoint", "read_endpoint", "remove_endpoint", "write_endpoint"]


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


def _file(workspace: Path) -> Path:
    return workspace / "serve" / "endpoint.json"


def write_endpoint(workspace: Path, *, url: str, recipe: str) -> None:
    """Tell that this process answers at `url`; readable for its user alone. Raises OSError."""
    told = Endpoint(os.getpid(), started_at(os.getpid()) or "", url, recipe)
    write_atomic(_file(workspace), json.dumps(asdict(told), indent=1).encode())


def remove_endpoint(workspace: Path) -> None:
    """Take back what this process has told; what another one tells stays."""
    found = read_endpoint(workspace)
    if found and found.pid == os.getpid():
        with suppress(OSError):
            _file(workspace).unlink()


def read_endpoint(workspace: Path) -> Endpoint | None:
    """The endpoint that is up for this workspace; None: none is, or what is told of it cannot be read."""
    try:
        told = json.loads(_file(workspace).read_bytes())
        found = Endpoint(int(told["pid"]), str(told["started_at"]), str(told["url"]), str(told["recipe"]))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return found if found.is_up() else None
