"""The services that a keeper keeps: the Prefect server of the workspace, MLflow, and the workers of two work pools."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from components.errors import TerminalError
from components.services.database import chosen_variable
from components.services.environment import prefect_environment
from components.services.prefect_server import find_or_start
from components.services.supervisor.board import Board
from components.services.supervisor.logs import end_of, open_log
from components.services.supervisor.ports import free_port, holders
from components.services.supervisor.prefect_api import last_heartbeat, make_pool
from components.services.supervisor.processes import MARK, end_marked, mark_of, marked, started_at
from components.services.supervisor.service import Service
from components.services.watch import HUNG_SECONDS, Silence, end_frozen, fault_of, opener_to, server_state
from components.store import is_held

__all__ = ["PATIENCE", "POOLS", "Child", "Mlflow", "PrefectServer", "Worker", "child_environment", "worker_name"]

POOLS: Mapping[str, tuple[int | None, str]] = {
    "cervella": (None, "Runs that may be beside each other."),
    "training": (1, "Trainings, one at a time. The others wait."),
}
"""Work pool -> how many of its runs may be at work at once, and what it is for; as prefect.yaml has them.

A limit of a pool counts runs and needs no lease. The workers need the pools before anything is deployed.
"""
PATIENCE = "5"
"""How often Prefect's client asks again, in a worker and its runs: together a minute. The keeper starts a server that
died again within that time; and one on a file answers 503 while several runs write, until they take turns."""
ROOT = Path(__file__).resolve().parents[3]
_GRACE_SECONDS = 6.0
_GRACE_OF_RUNS = 8.0
_REPORT_SECONDS = 1.5


def child_environment(
    workspace: Path, *, mark: str, own: tuple[str, ...] = ("PREFECT_",), more: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Environment of what a keeper starts.

    Args:
        workspace: whose Prefect it is.
        mark: see `processes`.
        own: how names begin that are left out: settings of the user's own programs.
        more: what is set beside.
    """
    secret = chosen_variable(workspace / "prefect")  # for the server alone
    found = {name: value for name, value in os.environ.items() if not name.startswith(own) and name != secret}
    found |= {"DO_NOT_TRACK": "1", "MLFLOW_DISABLE_TELEMETRY": "true", "OMP_WAIT_POLICY": "passive"}
    found |= {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "PYTHONUNBUFFERED": "1"}
    found |= prefect_environment(workspace, console_level="INFO") | {"PREFECT_CLIENT_MAX_RETRIES": PATIENCE}
    return found | dict(more or {}) | {MARK: mark}


class PrefectServer(Service):
    """The server that runs of this workspace use; the keeper's `users.lock` keeps it alive. Not a child: see there."""

    patience = HUNG_SECONDS
    ask_seconds = 5.0

    def __init__(self, board: Board, ending: threading.Event, *, workspace: Path, port: int) -> None:
        super().__init__("prefect", board, ending)
        self.folder = workspace / "prefect"
        self.silence = Silence(self.folder)
        self.port = port
        board.tell(self.name, wanted_port=port, log=str(self.folder / "server.log"))

    def begin(self) -> None:
        """Find the server of a run, or start one."""
        server = find_or_start(folder=self.folder, timeout_seconds=120, say=self._say, port=self.port)
        self.port = int(server.ui_url.rpartition(":")[2])
        pid = server.pid or 0
        self.board.tell(self.name, url=server.ui_url, pid=pid, started=started_at(pid))

    def gone(self) -> str | None:
        """Asked of its lock."""
        return None if is_held(self.folder / "server.lock") else "has ended"

    def fault(self) -> str | None:
        """Asked over HTTP."""
        return fault_of(str(server_state(self.folder).get("api_url")))

    def counts(self, seconds: float) -> float:
        """A server that works is busy, not frozen."""
        before = self.silence.seconds
        return self.silence.add(seconds, answers=False) - before

    def end(self) -> None:
        """A frozen one is killed; one that answers ends by itself when nobody holds `users.lock` any more."""
        if not self.ending.is_set() and self.fault():
            end_frozen(self.folder)

    def _say(self, text: str) -> None:
        self.board.note(f"{self.name}: {text}")


class Child(Service):
    """A service in a process of its own, marked, with a log."""

    def __init__(self, name: str, board: Board, ending: threading.Event, *, workspace: Path, keeper: str) -> None:
        super().__init__(name, board, ending)
        self.workspace = workspace
        self.mark = mark_of(workspace, keeper, name)
        self.log = board.logs / f"{name}.log"
        self.process: subprocess.Popen[bytes] | None = None
        board.tell(name, log=str(self.log))

    def spawn(self, command: list[str], *, more: Mapping[str, str], own: tuple[str, ...] = ("PREFECT_",)) -> None:
        """Start the process.

        In a session of its own: Ctrl-C and a closed terminal reach the whole group of `cervella worker`, and Prefect's
        worker would kill its runs at once, which then stay `RUNNING` on the server. We end it, by its mark.
        """
        with open_log(self.log) as log:
            self.process = subprocess.Popen(  # noqa: S603 (our own interpreter and modules)
                [sys.executable, *command], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=child_environment(self.workspace, mark=self.mark, own=own, more=more), start_new_session=True,
            )  # fmt: skip
        self.board.tell(self.name, pid=self.process.pid, started=started_at(self.process.pid))

    def gone(self) -> str | None:
        """Asked of the process."""
        code = self.process.poll() if self.process else None
        return None if code is None else f"has ended ({code}): {end_of(self.log, 1).splitlines()[-1]}"

    def end(self) -> None:
        """SIGTERM, and after six seconds SIGKILL, to it and to all that it has started."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(_GRACE_SECONDS)
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        end_marked(self.mark, grace_seconds=2)
        self.process = None


class Mlflow(Child):
    """MLflow's server on the record of the workspace."""

    def __init__(
        self, board: Board, ending: threading.Event, *, workspace: Path, keeper: str, port: int
    ) -> None:  # fmt: skip
        super().__init__("mlflow", board, ending, workspace=workspace, keeper=keeper)
        self.port = port
        self.owned = False
        board.tell(self.name, wanted_port=port)

    def begin(self) -> None:
        """Start it on the wanted port, or the next free one."""
        self.port, self.owned = free_port(self.port), False
        self.board.tell(self.name, url=f"http://127.0.0.1:{self.port}")
        self.spawn(
            ["-m", "components.services.supervisor.mlflow_process", str(self.workspace), str(self.port)],
            own=("PREFECT_", "MLFLOW_"),
            # Jobs would start more processes, for features that are not used here.
            more={"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        )

    def fault(self) -> str | None:
        """Asked over HTTP; at first also whether it is ours, since another one may have taken the port meanwhile."""
        url = f"http://127.0.0.1:{self.port}/health"
        try:
            with opener_to(url).open(url, timeout=5) as answer:
                answer.read(100)
        except urllib.error.HTTPError as error:
            error.close()
            return f"{url} answers {error.code}"
        except (OSError, ValueError) as error:
            return f"{url} does not answer ({getattr(error, 'reason', error)})"
        if not self.owned and sys.platform == "linux":
            self.owned = bool(set(holders(self.port)) & set(marked(self.mark)))
            return None if self.owned else f"another process has taken port {self.port}"
        return None


class Worker(Child):
    """A Prefect worker: fetches the runs of a work pool from the server, and runs each in a process."""

    patience = 60.0
    ask_seconds = 15.0
    _SILENT_SECONDS = 120.0  # it tells the server of itself every 30 s

    def __init__(self, pool: str, board: Board, ending: threading.Event, *, workspace: Path, keeper: str) -> None:
        super().__init__(f"worker-{pool}", board, ending, workspace=workspace, keeper=keeper)
        self.pool = pool
        self.known_as = worker_name()
        self.url = ""
        self.began = 0.0

    def begin(self) -> None:
        """Wait for the server, make the work pool, start the worker."""
        while (server := self.board.ask("prefect")).get("state") != "up":
            if self.ending.wait(0.2):
                return
        self.url, (limit, description) = str(server["url"]), POOLS[self.pool]
        try:
            make_pool(f"{self.url}/api", self.pool, concurrency_limit=limit, description=description)
        except (OSError, ValueError) as error:
            raise TerminalError(f"the work pool {self.pool} could not be made ({error})") from error
        self.start_worker(limit, more={"PREFECT_API_URL": f"{self.url}/api"})

    def start_worker(self, limit: int | None, *, more: Mapping[str, str]) -> None:
        """Start Prefect's worker, for at most `limit` runs at once."""
        self.began = time.time()
        self.spawn(
            ["-m", "prefect", "worker", "start", "--pool", self.pool, "--type", "process", "--name", self.known_as,
             *(["--limit", str(limit)] if limit else [])],
            more=more,
        )  # fmt: skip

    def gone(self) -> str | None:
        """Asked of the process; one that talks to an address where the server is no longer counts as gone."""
        server = self.board.ask("prefect")
        if server.get("state") == "up" and server["url"] != self.url:
            return f"the Prefect server has moved to {server['url']}"
        return super().gone()

    def fault(self) -> str | None:
        """What the server last heard of it. A server that does not answer says nothing of the worker."""
        try:
            heard = last_heartbeat(f"{self.url}/api", pool=self.pool, worker=self.known_as)
        except (OSError, ValueError, KeyError, TypeError) as error:
            return None if self.board.ask(self.name).get("state") == "up" else f"the server cannot be asked ({error})"
        if heard is None or heard < self.began - 1:
            return "the server has not heard of it yet"
        silent = time.time() - heard
        return f"the server has not heard of it for {silent:.0f} s" if silent > self._SILENT_SECONDS else None

    def end(self) -> None:
        """First its runs, which the worker then reports as crashed; then the worker, which has nothing to lose."""
        if self.process and self.process.poll() is None:
            if end_marked(self.mark, grace_seconds=_GRACE_OF_RUNS, but=self.process.pid):
                time.sleep(_REPORT_SECONDS)
            self.process.kill()
        super().end()


def worker_name() -> str:
    """Name of the workers of this machine, the same after each start."""
    return f"cervella@{socket.gethostname()}"
