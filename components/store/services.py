"""Where the services of a workspace answer, as the keeper that `cervella up` starts writes it down.

State after a hard crash: `services.json` tells of services that are gone. It counts only while a keeper holds its lock.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from components.store.locks import is_held

__all__ = ["KEEPER_LOCK", "SERVICES", "address_of", "services_folder", "services_of"]

KEEPER_LOCK = "keeper.lock"
SERVICES = "services.json"


def services_folder(workspace: Path) -> Path:
    """Folder of the keeper: its lock, `services.json` and the logs."""
    return workspace / "services"


def services_of(workspace: Path) -> dict[str, Any]:
    """What `services.json` says, as the keeper wrote it; empty when no keeper is there, or it has said nothing yet."""
    folder = services_folder(workspace)
    if not is_held(folder / KEEPER_LOCK):
        return {}
    try:
        found = json.loads((folder / SERVICES).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def address_of(workspace: Path, service: str) -> str | None:
    """Address of a service of this workspace (`prefect`, `mlflow`) that answers now, without a slash at its end."""
    about = services_of(workspace).get("services", {}).get(service, {})
    return str(about["url"]) if about.get("state") == "up" and about.get("url") else None
