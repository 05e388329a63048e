"""Names and tags of flow runs, by which people find them in the Prefect UI."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.runtime import flow_run

from components.sncp.redact import mask_secrets

__all__ = ["OURS", "asked_name", "run_name", "tag_this_run", "tags_of", "work_pool"]

OURS = "cervella"
"""Tag of every run: the automation that marks silent runs as crashed looks for it."""
_SHOWN = 100


def run_name() -> str:
    """The run's id, as `cervella runs` lists it."""
    return Path(str(flow_run.parameters["run_dir"])).name


def asked_name() -> str:
    """What was asked for: the recipe, whether only its plan, and what was changed for this time."""
    asked = flow_run.parameters
    changed = ", ".join(map(str, asked.get("overrides") or []))
    name = f"plan of {asked['recipe']}" if asked.get("dry_run") else str(asked["recipe"])
    name += f" with {mask_secrets(changed)}" if changed else ""
    return name if len(name) <= _SHOWN else f"{name[:_SHOWN]} ..."


def tags_of(*, phase: str, recipe: str) -> list[str]:
    """Tags of a run of a recipe."""
    return [OURS, f"phase:{phase}", f"recipe:{recipe}"]


def tag_this_run(tags: list[str]) -> None:
    """Add tags to the flow run that this is called in; nothing when there is none."""
    if flow_run.id:
        with get_client(sync_client=True) as client:
            client.update_flow_run(UUID(str(flow_run.id)), tags=[*dict.fromkeys([*flow_run.tags, *tags])])


def work_pool() -> str | None:
    """The work pool that a worker took this flow run from; None when no worker runs it."""
    if not flow_run.id:
        return None
    with get_client(sync_client=True) as client:
        return client.read_flow_run(UUID(str(flow_run.id))).work_pool_name
