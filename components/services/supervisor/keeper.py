"""The keeper: `python -m components.services.supervisor.keeper WORKSPACE PREFECT_PORT MLFLOW_PORT POOL...`.

It detaches from the terminal and lives until SIGTERM. It holds `keeper.lock`, which says that it is there and who it
is, and together with the runs `users.lock` of the Prefect server, which keeps that one alive. What dies or freezes is
started again; each event is a line in `services/logs/keeper.log`.

State after a hard crash: the kernel lets go of both locks; the Prefect server ends by itself unless a run uses it; the
sweeper ends the rest.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

from components.errors import CervellaError
from components.services.environment import make_home
from components.services.prefect_server import wait_for_the_end
from components.services.supervisor.board import Board
from components.services.supervisor.kept import Mlflow, PrefectServer, Worker
from components.services.supervisor.logs import rotate
from components.services.supervisor.processes import end_marked, mark_of, started_at
from components.services.supervisor.service import Service
from components.services.supervisor.teller import Teller
from components.store import FileLock
from components.store.services import KEEPER_LOCK, SERVICES, services_folder

__all__ = ["ALREADY_KEPT", "main"]

ALREADY_KEPT = 4
_LOOK_SECONDS = 1.0
_END_SECONDS = 12.0


def main(workspace: Path, prefect_port: int, mlflow_port: int, pools: Sequence[str]) -> int:
    """Keep the services of the workspace. Returns at once, with the keeper left running detached.

    `pools`: work pools that get a worker here.

    Returns ALREADY_KEPT if the workspace has a keeper. Raises OSError or CervellaError where it cannot be written.
    """
    folder = services_folder(workspace)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    make_home(workspace / "prefect")
    lock = FileLock(folder / KEEPER_LOCK)  # held until the last process that has it open is gone: the keeper
    tries = 10  # who only looks whether it is held holds it for an instant
    while not lock.try_exclusive():
        tries -= 1
        if not tries:
            return ALREADY_KEPT
        time.sleep(0.1)
    (folder / SERVICES).unlink(missing_ok=True)  # of a keeper that is gone
    if os.fork():
        return 0
    os.setsid()
    pid = os.getpid()
    lock.write(json.dumps({"pid": pid, "started": started_at(pid), "host": socket.gethostname()}))
    Keeper(workspace, prefect_port=prefect_port, mlflow_port=mlflow_port, pools=pools).keep()
    return 0


class Keeper:
    """All services of a workspace, each kept by a thread."""

    def __init__(self, workspace: Path, *, prefect_port: int, mlflow_port: int, pools: Sequence[str]) -> None:
        self.workspace = workspace
        self.ending = threading.Event()
        self.board = Board(workspace)
        pid = os.getpid()
        self.id = f"{pid}-{started_at(pid)}".replace(" ", "_")
        shared = {"workspace": workspace, "keeper": self.id}
        self.services: list[Service] = [
            PrefectServer(self.board, self.ending, workspace=workspace, port=prefect_port),
            Mlflow(self.board, self.ending, port=mlflow_port, **shared),  # type: ignore[arg-type]
            *(Worker(pool, self.board, self.ending, **shared) for pool in pools),  # type: ignore[arg-type]
        ]
        self.teller = Teller(self.board, self.ending, **shared)  # type: ignore[arg-type]

    def keep(self) -> None:
        """Keep them until SIGTERM, then end them."""
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, self._end)
        self.board.note(f"keeper: begins (process {os.getpid()})")
        if left := end_marked(mark_of(self.workspace), grace_seconds=2):
            self.board.note(f"keeper: ended {left} processes that a keeper before had left behind")
        users = FileLock(self.workspace / "prefect" / "users.lock")
        while not users.try_shared() and not self.ending.wait(0.1):
            pass  # a server that ends holds it alone for a moment
        threads = [threading.Thread(target=self._run, args=(one,), name=one.name) for one in self.services]
        threads.append(threading.Thread(target=self.teller.run, name="teller"))
        for thread in threads:
            thread.daemon = True
            thread.start()
        logs = [self.board.logs / f"{one.name}.log" for one in self.services]
        logs.append(self.workspace / "prefect" / "server.log")
        sweeper = self._sweeper()
        while not self.ending.wait(_LOOK_SECONDS):
            rotate(logs)
            if sweeper.poll() is not None:
                sweeper = self._sweeper()
        deadline = time.monotonic() + _END_SECONDS
        for thread in threads[1:]:  # the server's is not waited for: it may be waiting for the server to answer
            thread.join(max(0.0, deadline - time.monotonic()))
        end_marked(mark_of(self.workspace, self.id), grace_seconds=0)
        users.close()
        with suppress(CervellaError):
            wait_for_the_end(self.workspace / "prefect", stop_seconds=5)
        sweeper.terminate()
        sweeper.wait()
        self.board.note("keeper: ended")

    def _run(self, service: Service) -> None:
        while not self.ending.is_set():
            try:
                service.run()
            except Exception as error:  # one of ours: noted, and the service goes on being kept
                self.board.note(f"{service.name}: {type(error).__name__}: {error}")
                self.ending.wait(5)

    def _end(self, number: int, frame: FrameType | None) -> None:
        self.ending.set()

    def _sweeper(self) -> subprocess.Popen[bytes]:
        module = "components.services.supervisor.sweeper"
        return subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", module, str(os.getpid()), mark_of(self.workspace, self.id), str(self.workspace)],
            cwd=Path(__file__).resolve().parents[3], stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip


if __name__ == "__main__":
    try:
        sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]))
    except (CervellaError, OSError) as error:
        sys.exit(f"{error}")
