"""What a server has of a file's deployments, and how that differs from what the file says.

A deployment is known as ours by a label: its value is the folder of the prefect.yaml that it came from. Only such a one
can be gone; those of others, and of other folders, are not looked at. What is NOT found when it is gone from the file:
one that lost the tag `cervella` by hand, and one whose folder was moved since.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.errors import TerminalError
from components.services.deployments.automation import TAG, automation_changes
from components.services.deployments.changes import Change, compared
from components.services.deployments.model import Deployment, PrefectFile, Schedule, WorkPool
from components.services.deployments.server import Remote

__all__ = ["LABEL", "STEP", "There", "find_changes", "job_variables", "look", "pool_body", "tags_of"]

LABEL = "cervella.folder"
STEP = "prefect.deployments.steps.set_working_directory"


@dataclass(frozen=True)
class There:
    """What the server has of ours: full name (flow/deployment) -> its JSON."""

    wanted: Mapping[str, dict[str, Any]]
    gone: Mapping[str, dict[str, Any]]


def look(remote: Remote, file: PrefectFile, folder: Path) -> There:
    """Ask the server for the deployments that the file names, and those that only this folder had."""
    names = sorted({one.name for one in file.deployments})
    found = remote.all("/deployments/filter", {"deployments": {"name": {"any_": names}}}) if names else []
    found += remote.all("/deployments/filter", {"deployments": {"tags": {"all_": [TAG]}}})
    flows = sorted({one["flow_id"] for one in found})
    named = {one["id"]: one["name"] for one in remote.all("/flows/filter", {"flows": {"id": {"any_": flows}}})}
    by_name = {f"{named.get(one['flow_id'], '?')}/{one['name']}": one for one in found}
    wanted = {one.full_name for one in file.deployments}
    return There(
        wanted={name: one for name, one in by_name.items() if name in wanted},
        gone={
            name: one
            for name, one in sorted(by_name.items())
            if name not in wanted and (one.get("labels") or {}).get(LABEL) == str(folder)
        },
    )


def find_changes(remote: Remote, file: PrefectFile, folder: Path) -> list[Change]:
    """Everything that differs, in the order in which it is brought; raises TerminalError for a pool of another type."""
    there = look(remote, file, folder)
    changes = [change for pool in file.work_pools for change in _pool_changes(remote, pool)]
    for one in file.deployments:
        found = there.wanted.get(one.full_name)
        facts = None if found is None else _found_facts(found, one)
        changes += compared("deployment", one.full_name, found=facts, wanted=_wanted_facts(one, folder))
        slugs = {schedule["slug"]: schedule for schedule in (found or {}).get("schedules", []) if schedule.get("slug")}
        for schedule in one.schedules:
            changes += _schedule_changes(one, schedule, slugs.pop(schedule.slug, None))
        changes += [Change("schedule", f"{one.full_name} {slug}", "gone") for slug in slugs]
    changes += [Change("deployment", name, "gone") for name in there.gone]
    return changes + automation_changes(remote)


def _pool_changes(remote: Remote, pool: WorkPool) -> list[Change]:
    found = remote.ask("GET", f"/work_pools/{pool.name}", missing_is_none=True)
    if found and found["type"] != pool.type:
        raise TerminalError(
            f"{remote.api_url} has a work pool {pool.name!r} of type {found['type']}; expected {pool.type}. Give the "
            "pool of prefect.yaml another name, or remove that one"
        )
    wanted = pool_body(pool)
    return compared("work pool", pool.name, found={key: found[key] for key in wanted} if found else None, wanted=wanted)


def pool_body(pool: WorkPool) -> dict[str, Any]:
    """What the file says of a work pool beside name and type; what it does not say stays as it is."""
    values = {"description": pool.description, "concurrency_limit": pool.concurrency_limit}
    return {key: value for key, value in values.items() if value is not None}


def _schedule_changes(one: Deployment, schedule: Schedule, found: dict[str, Any] | None) -> list[Change]:
    wanted = {
        "cron": schedule.cron, "timezone": schedule.timezone, "parameters": schedule.parameters,
        "active": schedule.active,
    }  # fmt: skip
    facts = None
    if found:
        timing = found["schedule"]
        facts = {
            "cron": timing.get("cron"), "timezone": timing.get("timezone"), "parameters": found.get("parameters") or {},
            "active": found["active"] if schedule.active is not None else None,
        }  # fmt: skip
    return compared("schedule", f"{one.full_name} {schedule.slug}", found=facts, wanted=wanted)


def _wanted_facts(one: Deployment, folder: Path) -> dict[str, Any]:
    limit = one.limit
    return {
        "entrypoint": one.entrypoint,
        "folder": str(folder),
        "deployed from": str(folder),
        "description": one.description,
        "work pool": one.work_pool,
        "job variables": job_variables(one),
        "parameters": one.parameters,
        "tags": tags_of(one),
        "limit": limit.limit if limit else None,
        "collision strategy": limit.collision_strategy if limit else None,
        "grace period": limit.grace_period_seconds if limit else None,
        "form": one.form.properties,
        "required": sorted(one.form.schema.get("required") or []),
    }


def _found_facts(found: dict[str, Any], one: Deployment) -> dict[str, Any]:
    steps = found.get("pull_steps") or []
    schema = found.get("parameter_openapi_schema") or {}
    limit, options = found.get("global_concurrency_limit") or {}, found.get("concurrency_options") or {}
    said = bool(one.limit and one.limit.grace_period_seconds)
    return {
        "entrypoint": found.get("entrypoint"),
        "folder": steps[0].get(STEP, {}).get("directory") if len(steps) == 1 else None,
        "deployed from": (found.get("labels") or {}).get(LABEL),
        "description": found.get("description"),
        "work pool": found.get("work_pool_name"),
        "job variables": found.get("job_variables") or {},
        "parameters": found.get("parameters") or {},
        "tags": sorted(found.get("tags") or []),
        "limit": limit.get("limit"),
        "collision strategy": options.get("collision_strategy") if limit or one.limit else None,
        "grace period": options.get("grace_period_seconds") if said else None,
        "form": schema.get("properties") or {},
        "required": sorted(schema.get("required") or []),
    }


def tags_of(one: Deployment) -> list[str]:
    """The tags of the file, and ours; runs of the deployment get them."""
    return sorted({TAG, *one.tags})


def job_variables(one: Deployment) -> dict[str, Any]:
    """Those of the file. A run has to look for recipes where the form found them."""
    recipes = os.environ.get("CERVELLA_RECIPES")
    if not recipes:
        return dict(one.job_variables)
    env = {**one.job_variables.get("env", {}), "CERVELLA_RECIPES": str(Path(recipes).resolve())}
    return {**one.job_variables, "env": env}
