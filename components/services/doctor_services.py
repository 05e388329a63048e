"""The services of `cervella up`: up, answering, on which ports; and are the deployments as prefect.yaml says?

Nothing is started or ended. Not seen: a service that answers and does its work badly; its log says more.
"""

from __future__ import annotations

import json
import os
import shlex
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from components.services.doctor import Check
from components.services.process_start import is_stopped
from components.services.supervisor.ports import MLFLOW_PORT, PREFECT_PORT, is_free, who_has
from components.services.supervisor.processes import mark_of, marked, started_at
from components.services.watch import fault_of, opener_to
from components.store import is_held
from components.store.services import KEEPER_LOCK, SERVICES, services_folder, services_of

__all__ = ["check_deployments", "check_services"]

_LONG_START = 180.0  # seconds
_SILENT = 120.0  # seconds; a worker tells the server of itself every 30
_PORTS = {"Prefect": PREFECT_PORT, "MLflow": MLFLOW_PORT}


def check_services(workspace: Path, *, near: Path | None = None) -> Iterator[Check]:
    """What keeps the workspace, and each of its services.

    Args:
        workspace: its folder.
        near: another workspace, such as the one of commands without a recipe; told when that one is kept instead.
    """
    up, down = f"cervella up{_option(workspace)}", f"cervella down{_option(workspace)}"
    if not is_held(services_folder(workspace) / KEEPER_LOCK):
        yield from _nobody(workspace, near, up=up, down=down)
        return
    fault = _keeper_fault(workspace)
    if fault:
        yield Check("services", "problem", fault, f"{down}, then {up}")
        return
    told = _settled(workspace)
    if not told:
        yield Check("services", "problem", "a keeper is there, and says nothing of its services", f"{down}, then {up}")
        return
    fine = []
    for name, about in told.items():
        found = _fault(name, about)
        if found is None:
            fine.append(f"{name} at {about['url']}{_moved(about)}" if about.get("url") else name)
        elif about.get("state") == "starting" and time.time() - float(about.get("since", 0)) < _LONG_START:
            yield Check("services", "ok", f"{name} is being started")
        else:
            mend = f"read {about['log']}; the keeper goes on trying" if about.get("log") else f"{down}, then {up}"
            yield Check("services", "problem", f"{name}: {found}", mend)
    if fine:
        yield Check("services", "ok", f"up: {', '.join(fine)}")
    ours = told.get("prefect", {}).get("url")
    named = os.environ.get("PREFECT_API_URL", "").rstrip("/")
    if ours and named and named != f"{ours}/api":
        where = (
            f"PREFECT_API_URL is set: what is run from this terminal does not go to {ours}, the server of the workspace"
        )
        yield Check("services", "warning", where, "unset PREFECT_API_URL")


def _nobody(workspace: Path, near: Path | None, *, up: str, down: str) -> Iterator[Check]:
    left = marked(mark_of(workspace)) if workspace.is_dir() else []
    if left:
        pids = ", ".join(map(str, left[:8]))
        yield Check("services", "warning", f"their keeper is gone, and processes of it still run: {pids}", down)
    elif gone := _left_over(workspace):
        told = f"what `cervella up` started is gone without a `down` ({gone}): a crash, or the machine was switched off"
        yield Check("services", "warning", told, f"{up}, if they shall be there")
    elif near is not None and near.resolve() != workspace.resolve() and is_held(services_folder(near) / KEEPER_LOCK):
        told = f"none is up for {workspace}; those of {near} are, whose pages show that workspace alone"
        yield Check("services", "ok", told)
    else:
        yield Check("services", "ok", f"none is up; {up} starts them")
    for title, port in _PORTS.items():
        if not is_free(port):
            yield Check("ports", "ok", f"{port} is taken ({who_has(port)}): {title} would get the next free one")


def _left_over(workspace: Path) -> str:
    """Services that a keeper which is gone did not end, by what it wrote last."""
    with suppress(OSError, ValueError, RecursionError, AttributeError, TypeError):
        told = json.loads((services_folder(workspace) / SERVICES).read_text(encoding="utf-8"))
        return ", ".join(name for name, about in told["services"].items() if about.get("state") != "ended")
    return ""


def _keeper_fault(workspace: Path) -> str | None:
    """What is wrong with the process that holds the keeper's lock; one of another machine is not looked at."""
    lock = services_folder(workspace) / KEEPER_LOCK
    try:
        about = json.loads(lock.read_text(encoding="utf-8"))
        pid, started = int(about["pid"]), about["started"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return f"a process holds {lock}, and is no keeper"
    if started_at(pid) != started:
        return None if about.get("host") else f"{lock} is held by a child of a keeper that is gone"
    if is_stopped(pid):
        return f"the keeper (process {pid}) is stopped and looks after nothing (kill -CONT {pid} wakes it)"
    return None


def _settled(workspace: Path) -> dict[str, dict[str, Any]]:
    """What the keeper says of its services, once it has noticed what died in the last moment."""
    for _ in range(10):
        told: dict[str, dict[str, Any]] = services_of(workspace).get("services", {})
        if told and not any(about.get("state") == "up" and _is_gone(about) for about in told.values()):
            break
        time.sleep(0.3)
    return told


def _is_gone(about: Mapping[str, Any]) -> bool:
    return not about.get("pid") or started_at(int(about["pid"])) != about.get("started")


def _fault(name: str, about: Mapping[str, Any]) -> str | None:
    state = about.get("state")
    if state != "up":
        return f"is {state}" + (f" ({about['fault']})" if about.get("fault") else "")
    if _is_gone(about):
        return f"process {about.get('pid')} has ended, and the keeper does not notice"
    if name == "prefect":
        return fault_of(f"{about['url']}/api")
    return _silent(f"{about['url']}/health") if about.get("url") else None


def _silent(url: str) -> str | None:
    try:
        with opener_to(url).open(url, timeout=5) as answer:
            answer.read(100)
    except (OSError, ValueError) as error:
        return f"{url} does not answer ({getattr(error, 'reason', error)})"
    return None


def _moved(about: Mapping[str, Any]) -> str:
    wanted = about.get("wanted_port")
    port = int(str(about["url"]).rpartition(":")[2])
    return f" ({wanted} was taken)" if wanted and wanted != port else ""


def check_deployments(workspace: Path, *, prefect_file: Path) -> Iterator[Check]:
    """Work pools, their limits and workers, deployments and schedules on the workspace's server, against the file.

    Says nothing unless `cervella up` has a server there. Imports Prefect then.
    """
    about = services_of(workspace).get("services", {}).get("prefect", {})
    if about.get("state") != "up" or fault_of(f"{about['url']}/api"):
        return
    api_url, option = f"{about['url']}/api", _option(workspace)
    from components.services.environment import apply_environment, prefect_environment

    apply_environment({**prefect_environment(workspace), "PREFECT_API_URL": api_url})
    from components.services.deployments import plan_deploy
    from components.services.deployments.server import connected

    plan = plan_deploy(api_url=api_url, prefect_file=prefect_file)
    if plan.changes:
        told = "; ".join(f"{change.kind} {change.name} ({change.what})" for change in plan.changes[:3])
        more = f" and {len(plan.changes) - 3} more" if len(plan.changes) > 3 else ""
        mend = f"cervella deploy{option} --dry-run shows all; cervella deploy{option} brings it"
        yield Check("deployments", "warning", f"not as {prefect_file.name} says: {told}{more}", mend)
    else:
        count = len(plan.file.deployments)
        yield Check("deployments", "ok", f"{count}, and their work pools and schedules, as {prefect_file.name} says")
    fine = []
    with connected(api_url) as remote:
        for pool in plan.file.work_pools:
            found = remote.ask("GET", f"/work_pools/{pool.name}", missing_is_none=True)
            if found is None:
                continue  # told above
            if found.get("is_paused"):
                mend = f"resume it on its page in the UI: {about['url']}/work-pools/work-pool/{pool.name}"
                yield Check("work pools", "warning", f"{pool.name} is paused: its runs wait", mend)
                continue
            workers = remote.ask("POST", f"/work_pools/{pool.name}/workers/filter", {})
            ages = [_age(one["last_heartbeat_time"]) for one in workers if one.get("last_heartbeat_time")]
            if not ages or min(ages) > _SILENT:
                heard = f"for {min(ages) / 60:.0f} minutes" if ages else "yet"
                told = f"no worker of {pool.name} has been heard of {heard}: its runs wait"
                yield Check(
                    "work pools", "problem", told, f"cervella up{option}; its log: services/logs in the workspace"
                )
                continue
            limit = found.get("concurrency_limit")
            fine.append(
                f"{pool.name} ({f'at most {limit} at once' if limit else 'no limit'}, heard of {min(ages):.0f} s ago)"
            )
    if fine:
        yield Check("work pools", "ok", ", ".join(fine))


def _age(text: str) -> float:
    return max(0.0, (datetime.now(UTC) - datetime.fromisoformat(text.replace("Z", "+00:00"))).total_seconds())


def _option(workspace: Path) -> str:
    """` -w FOLDER`, unless it is the one that commands take where nobody names one."""
    if workspace.resolve() == Path(".cervella").resolve():
        return ""
    return f" -w {shlex.quote(str(workspace))}"
