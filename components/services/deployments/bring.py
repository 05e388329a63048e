"""Bringing a server to what the file says: work pools, deployments with their schedules, the automation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from components.services.deployments.automation import bring_automation
from components.services.deployments.changes import Change
from components.services.deployments.model import Deployment, PrefectFile, Schedule, WorkPool
from components.services.deployments.server import Remote
from components.services.deployments.state import LABEL, STEP, job_variables, look, pool_body, tags_of

__all__ = ["bring"]


def bring(
    remote: Remote, file: PrefectFile, folder: Path, *, changes: tuple[Change, ...], remove: bool
) -> None:  # fmt: skip
    """Do the changes; `remove`: also what is gone from the file."""
    changed = {(change.kind, change.name): change.what for change in changes}
    there = look(remote, file, folder)
    for pool in file.work_pools:
        _bring_pool(remote, pool, changed.get(("work pool", pool.name)))
    for one in file.deployments:
        # A schedule's name begins with that of its deployment, and is written together with it.
        of_it = [name for kind, name in changed if kind in ("deployment", "schedule")]
        if any(name == one.full_name or name.startswith(f"{one.full_name} ") for name in of_it):
            _bring_deployment(remote, one, folder, there.wanted.get(one.full_name), remove=remove)
    if remove:
        for found in there.gone.values():
            remote.ask("DELETE", f"/deployments/{found['id']}", missing_is_none=True)
    bring_automation(remote)


def _bring_pool(remote: Remote, pool: WorkPool, what: str | None) -> None:
    if what == "new":
        from prefect.workers.process import ProcessWorker

        # With its template, so that the UI can show and start what waits in it before any worker was there.
        template = ProcessWorker.get_default_base_job_template()
        body = {"name": pool.name, "type": pool.type, "base_job_template": template, **pool_body(pool)}
        remote.ask("POST", "/work_pools/", body)
    elif what == "changed":
        remote.ask("PATCH", f"/work_pools/{pool.name}", pool_body(pool))


def _bring_deployment(
    remote: Remote, one: Deployment, folder: Path, found: dict[str, Any] | None, *, remove: bool
) -> None:  # fmt: skip
    flow = remote.ask("POST", "/flows/", {"name": one.form.flow})
    limit = one.limit
    options: dict[str, Any] | None = None
    if limit:
        options = {"collision_strategy": limit.collision_strategy}
        options |= {"grace_period_seconds": limit.grace_period_seconds} if limit.grace_period_seconds else {}
    # Not `paused`: what is not sent stays as it is.
    remote.ask("POST", "/deployments/", {
        "name": one.name,
        "flow_id": flow["id"],
        "entrypoint": one.entrypoint,
        "description": one.description,
        "pull_steps": [{STEP: {"directory": str(folder)}}],
        "work_pool_name": one.work_pool,
        "job_variables": job_variables(one),
        "parameters": dict(one.parameters),
        "parameter_openapi_schema": dict(one.form.schema),
        "enforce_parameter_schema": True,
        "tags": tags_of(one),
        "labels": {LABEL: str(folder)},
        "concurrency_limit": limit.limit if limit else None,
        "concurrency_options": options,
        "schedules": _schedules(one, (found or {}).get("schedules", []), remove=remove),
    })  # fmt: skip


def _schedules(one: Deployment, there: list[dict[str, Any]], *, remove: bool) -> list[dict[str, Any]]:
    """Those of the file, and those on the server that stay: without a slug they are somebody's, made by hand."""
    active = {schedule.get("slug"): schedule["active"] for schedule in there}
    ours = {schedule.slug for schedule in one.schedules}
    stay = [entry for entry in there if entry.get("slug") is None or (not remove and entry["slug"] not in ours)]
    return [
        *(_schedule(schedule, active=active.get(schedule.slug, True)) for schedule in one.schedules),
        *({key: entry[key] for key in ("slug", "schedule", "parameters", "active")} for entry in stay),
    ]


def _schedule(schedule: Schedule, *, active: bool) -> dict[str, Any]:
    return {
        "slug": schedule.slug,
        "schedule": {"cron": schedule.cron, "timezone": schedule.timezone},
        "parameters": dict(schedule.parameters),
        "active": active if schedule.active is None else schedule.active,
    }
