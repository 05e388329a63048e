"""Services: the Prefect server that a run needs, on loopback."""

from __future__ import annotations

from components.services.environment import apply_environment, prefect_environment
from components.services.prefect_server import Server, prefect_server
from components.services.stored import wait_until_stored

__all__ = ["Server", "apply_environment", "prefect_environment", "prefect_server", "wait_until_stored"]
