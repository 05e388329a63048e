"""Start the keeper of a workspace and wait until all of its services answer; end it, and all that it started."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.errors import TerminalError
from components.services.database import make_ready
from components.services.environment import make_home
from components.services.supervisor.kept import POOLS, ROOT
from components.services.supervisor.logs import end_of
from components.services.supervisor.processes import end_marked, mark_of, started_at
from components.store import is_held, machine_fault
from components.store.services import KEEPER_LOCK, services_folder, services_of

__all__ = ["Down", "Up", "bring_down", "bring_up"]

_POLL_SECONDS = 0.2
_END_SECONDS = 25.0
_TRIES = 3
SERVICES = ("prefect", "mlflow", *(f"worker-{pool}" for pool in POOLS))
"""Names of all that a keeper can keep."""


@dataclass(frozen=True)
class Up:
    """All services of a workspace answer. `begun`: a keeper was started for it; else there was one.

    `services`: name -> state, url, pid, started, since, wanted_port, log, as in `services.json`.
    """

    begun: bool
    services: dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Down:
    """What was ended. `server_stays`: a run still uses the Prefect server, which ends with it."""

    keeper: bool
    left_behind: int
    server_stays: bool


def bring_up(
    workspace: Path, *, prefect_port: int, mlflow_port: int, say: Callable[[str], None], timeout_seconds: float = 240,
    pools: Sequence[str] = tuple(POOLS),
) -> Up:  # fmt: skip
    """Have a keeper for the workspace, and wait until all that it keeps answers.

    Args:
        workspace: its folder; made when it is missing.
        prefect_port: of 127.0.0.1; the next free one when it is taken. A keeper that is there stays where it is.
        mlflow_port: likewise.
        say: called with a sentence when there is something to wait for.
        timeout_seconds: for all together; a first start makes two databases.
        pools: work pools that get a worker here. A keeper that is there keeps the workers that it has.

    Raises:
        InputError: the address of Prefect's database, where one was chosen, is none.
        TerminalError: Prefect's database cannot be used; another machine keeps the workspace; the workspace cannot be
            written; or one of them does not answer in time, or has failed to start three times, with the end of its
            log. What does answer stays up, and the keeper goes on trying.
    """
    workspace = workspace.resolve()
    try:
        services_folder(workspace).mkdir(parents=True, exist_ok=True, mode=0o700)
        make_home(workspace / "prefect")
        begun = _start(workspace, prefect_port, mlflow_port, pools, say)
    except OSError as error:
        told = machine_fault(error, workspace)
        raise told or TerminalError(f"{error.filename or workspace}: {error.strerror or error}") from error
    if begun:
        say(f"Starting Prefect, MLflow and {_workers(len(pools))} ...")
    deadline = time.monotonic() + timeout_seconds
    told_names: set[str] = set()
    expected = ("prefect", "mlflow", *(f"worker-{pool}" for pool in pools)) if begun else ()
    while True:
        services = services_of(workspace).get("services", {})
        wanted = expected or tuple(services) or SERVICES
        waiting = [name for name in wanted if not _is_up(services.get(name, {}))]
        for name in [name for name in wanted if name not in waiting and name not in told_names]:
            told_names.add(name)
            if begun:
                say(f"{name} is up")
        if not waiting:
            return Up(begun, {name: services[name] for name in wanted})
        if not is_held(services_folder(workspace) / KEEPER_LOCK):
            raise TerminalError(f"The keeper has ended while it started. {end_of(_log(workspace, 'keeper'))}")
        failing = [name for name in waiting if services.get(name, {}).get("failed_starts", 0) >= _TRIES]
        if failing or time.monotonic() > deadline:
            raise _not_up(workspace, failing or waiting, services)
        time.sleep(_POLL_SECONDS)


def bring_down(workspace: Path, *, say: Callable[[str], None]) -> Down:
    """End the keeper of the workspace and all that it, or one that was killed, has started; nothing else.

    Raises:
        TerminalError: the keeper cannot be ended, or it is not known which process it is.
    """
    workspace = workspace.resolve()
    lock = services_folder(workspace) / KEEPER_LOCK
    kept = is_held(lock)
    if kept:
        say("Ending the workers, MLflow and Prefect ...")
        pid = _holder(lock)
        _signal(pid, signal.SIGTERM)
        if not _ended(lock, _END_SECONDS):
            say("The keeper does not end by itself; it is killed.")
            _signal(pid, signal.SIGKILL)
            if not _ended(lock, _END_SECONDS):
                raise TerminalError(
                    f"Process {pid} holds {lock} and cannot be ended. {end_of(_log(workspace, 'keeper'))}"
                )
    left = end_marked(mark_of(workspace), grace_seconds=3)
    server = workspace / "prefect" / "server.lock"
    deadline = time.monotonic() + 2  # without users it ends within this time, also after a keeper that was killed
    while kept and is_held(server) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    return Down(kept, left, is_held(server))


def _start(
    workspace: Path, prefect_port: int, mlflow_port: int, pools: Sequence[str], say: Callable[[str], None]
) -> bool:  # fmt: skip
    from components.services.supervisor.keeper import ALREADY_KEPT

    lock = services_folder(workspace) / KEEPER_LOCK
    if is_held(lock):
        _holder(lock)  # which must be of this machine
        return False
    if not is_held(workspace / "prefect" / "server.lock"):  # else its database is in use, and good
        make_ready(workspace / "prefect", say)
    out = _log(workspace, "keeper-errors")
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("wb") as log:
        done = subprocess.run(  # noqa: S603 (our own interpreter and module)
            [sys.executable, "-m", "components.services.supervisor.keeper", str(workspace), str(prefect_port),
             str(mlflow_port), *pools],
            cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False,
        )  # fmt: skip
    if done.returncode not in (0, ALREADY_KEPT):
        raise TerminalError(f"The keeper did not start (exit {done.returncode}). {end_of(out)}")
    return done.returncode == 0


def _is_up(about: dict[str, Any]) -> bool:
    """Whether the keeper says so, and the process is still there: it may have been killed in this very moment."""
    return about.get("state") == "up" and started_at(int(about["pid"])) == about["started"]


def _not_up(workspace: Path, waiting: list[str], services: dict[str, dict[str, Any]]) -> TerminalError:
    name = waiting[0]  # the others may wait for this one
    about = services.get(name, {})
    why = f" ({about['fault']})" if about.get("fault") else ""
    log = Path(about["log"]) if about.get("log") else _log(workspace, "keeper")
    return TerminalError(
        f"{', '.join(waiting)} did not come up{why}. What did stays up, and the keeper goes on trying; "
        f"`cervella up` waits again, `cervella down` ends all. {end_of(log)}"
    )


def _log(workspace: Path, name: str) -> Path:
    return services_folder(workspace) / "logs" / f"{name}.log"


def _holder(lock: Path) -> int:
    """Pid of the process that holds the lock, as it wrote into it; only if that is the very process, by its start."""
    where = ""
    for _ in range(10):  # one that has just begun has not written yet
        with suppress(OSError, ValueError, KeyError, TypeError):
            about = json.loads(lock.read_text(encoding="utf-8"))
            pid, started, host = int(about["pid"]), about["started"], about.get("host")
            if pid > 1 and started is not None and started_at(pid) == started:
                return pid
            where = f" ({host} writes that it is its process {pid})" if host else ""
        time.sleep(_POLL_SECONDS)
    raise TerminalError(
        f"{lock} is held, and it is not known by whom{where}. Where several machines share the workspace, it is kept "
        f"by the one that called `cervella up`; else end that process yourself (lsof {lock})."
    )


def _workers(count: int) -> str:
    return {0: "no worker", 1: "one worker", 2: "two workers"}.get(count, f"{count} workers")


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _ended(lock: Path, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while is_held(lock):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True
