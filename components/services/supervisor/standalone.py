"""A worker of its own, without a keeper: it works for the Prefect server of another machine, until it is ended.

Its files are in `<workspace>/workers/HOST-POOL/`, so that workers of several machines may share a workspace's folder.
State after a hard crash: the sweeper ends what the worker has started; the server marks its runs as crashed when it has
not heard of them for long; the next start of it begins anew.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from components.errors import InputError, TerminalError
from components.services.environment import make_home
from components.services.supervisor.board import Board
from components.services.supervisor.kept import ROOT, Child, Worker
from components.services.supervisor.prefect_api import AUTH, folders_of, last_heartbeat, pool_of, version_of
from components.services.supervisor.processes import end_marked, mark_of, started_at
from components.services.watch import fault_of
from components.store import FileLock
from components.store.services import KEEPER_LOCK, services_folder

__all__ = ["work"]

_RETRIES = "8"  # of Prefect's client, with growing waits, together some minutes: a tunnel may break and come back


def work(
    *, api_url: str, pool: str, workspace: Path, limit: int | None, say: Callable[[str], None]
) -> None:  # fmt: skip
    """Work on the runs of a work pool of the server at `api_url`, until SIGTERM, SIGINT or SIGHUP.

    A worker that dies, freezes, or is not heard of by the server is started again. A server that goes away is waited
    for. At the end its runs get eight seconds, then they are ended; the server shows them as crashed.

    Args:
        api_url: as in `http://127.0.0.1:4200/api`; PREFECT_API_AUTH_STRING is used where it asks for a password.
        pool: name of the work pool, which must be there.
        workspace: where the worker's own files are; runs write where their recipe says.
        limit: how many runs at once; None: as many as the pool allows.
        say: called with a sentence for each event.

    Raises:
        InputError: there is no such pool, or not of type process.
        TerminalError: the server cannot be used, none of the pool's deployments can run here, or this machine has a
            worker for the pool in this workspace.
    """
    api_url = api_url.rstrip("/")
    own_limit = _check(api_url, pool, limit, say)
    place = workspace.resolve() / "workers" / re.sub(r"[^\w.-]", "_", f"{socket.gethostname()}-{pool}")
    folder = services_folder(place)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise TerminalError(f"{error.filename or folder}: {error.strerror or error}") from error
    make_home(place / "prefect")
    lock = FileLock(folder / KEEPER_LOCK)
    try:
        if not lock.try_exclusive():
            raise TerminalError(
                f"a worker of this machine works on the pool {pool!r} already, with its files in {place}"
            )
        end_marked(mark_of(place), grace_seconds=2)  # of one that was killed
        _work(api_url, pool, place, own_limit, say)
    finally:
        lock.close()


def _work(
    api_url: str, pool: str, place: Path, limit: int | None, say: Callable[[str], None]
) -> None:  # fmt: skip
    board, ending = _Spoken(place, say), threading.Event()
    pid = os.getpid()
    keeper = f"{pid}-{started_at(pid)}".replace(" ", "_")
    with _ended_by_signals(ending):
        module = "components.services.supervisor.sweeper"
        sweeper = subprocess.Popen(  # noqa: S603 (our own interpreter and module)
            [sys.executable, "-m", module, str(pid), mark_of(place, keeper), str(place)],
            cwd=ROOT, stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        try:
            _Elsewhere(pool, board, ending, api_url=api_url, place=place, keeper=keeper, limit=limit).run()
        finally:
            end_marked(mark_of(place, keeper), grace_seconds=0)
            sweeper.terminate()
            sweeper.wait()


class _Spoken(Board):
    """A board whose events are also said to whoever started it."""

    def __init__(self, place: Path, say: Callable[[str], None]) -> None:
        super().__init__(place)
        self.say = say

    def note(self, text: str) -> None:
        super().note(text)
        self.say(text)


class _Elsewhere(Worker):
    """A worker for a server that somebody else keeps."""

    def __init__(
        self, pool: str, board: Board, ending: threading.Event, *, api_url: str, place: Path, keeper: str,
        limit: int | None,
    ) -> None:  # fmt: skip
        super().__init__(pool, board, ending, workspace=place, keeper=keeper)
        self.known_as = f"worker@{socket.gethostname()}"
        self.url = api_url.removesuffix("/api")
        self.limit = limit
        self.heard: float | None = None  # what the server last said of it, by the server's clock
        self.changed: float | None = None  # when that changed, by ours
        board.tell(self.name, url=api_url)

    def begin(self) -> None:
        """Wait for the server, start the worker."""
        api_url, told = f"{self.url}/api", False
        while fault := fault_of(api_url):
            if not told:
                self.board.note(f"waits for the server ({fault})")
            told = True
            if self.ending.wait(2):
                return
        self.heard, self.changed = self._heard(), None
        password = os.environ.get(AUTH)
        more = {"PREFECT_API_URL": api_url, "PREFECT_CLIENT_MAX_RETRIES": _RETRIES}
        self.start_worker(self.limit, more=more | ({AUTH: password} if password else {}))

    def gone(self) -> str | None:
        """Asked of the process."""
        return None if self.process is None else Child.gone(self)

    def fault(self) -> str | None:
        """Whether what the server heard of it changes: the clocks of two machines differ. As in `Worker` otherwise."""
        heard, now = self._heard(), time.monotonic()
        if heard is None:  # the server does not answer, or nothing was heard yet
            return None if self.board.ask(self.name).get("state") == "up" else "the server has not heard of it yet"
        if heard != self.heard:
            self.heard, self.changed = heard, now
        if self.changed is None:
            return "the server has not heard of it yet"
        silent = now - self.changed
        return f"the server has not heard of it for {silent:.0f} s" if silent > self._SILENT_SECONDS else None

    def _heard(self) -> float | None:
        try:
            return last_heartbeat(f"{self.url}/api", pool=self.pool, worker=self.known_as)
        except (OSError, ValueError, KeyError, TypeError):
            self.changed = None if self.changed is None else time.monotonic()  # it says nothing of the worker
            return None


def _check(api_url: str, pool: str, limit: int | None, say: Callable[[str], None]) -> int | None:
    """Whether such a worker makes sense here; returns how many runs it may take at once."""
    try:
        if fault := fault_of(api_url):
            raise TerminalError(
                f"the Prefect server {api_url} cannot be used: {fault}. It ends in /api; a server on another machine "
                "listens there on 127.0.0.1 alone, so bring it here first: ssh -N -L 4200:127.0.0.1:4200 THAT-MACHINE"
            )
        found, theirs, folders = pool_of(api_url, pool), version_of(api_url), folders_of(api_url, pool)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in (401, 403):
            raise TerminalError(f"{api_url} asks for a password: put user:password of the server into {AUTH}") from None
        raise TerminalError(f"{api_url} answers {error.code} {error.reason}") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TerminalError(f"{api_url} does not answer as Prefect's API does ({error})") from None
    if found is None:
        raise InputError(f"{api_url} has no work pool {pool!r}: `cervella deploy` makes those of prefect.yaml")
    if found.get("type") != "process":
        raise InputError(
            f"the work pool {pool!r} is of type {found.get('type')}, and this worker runs processes; for another type: "
            f"prefect worker start --pool {pool} --type {found.get('type')}"
        )
    if theirs != version("prefect"):
        say(f"The server is Prefect {theirs}, and here is {version('prefect')}; the same version is safest.")
    missing = {name: where for name, where in sorted(folders.items()) if not Path(where).is_dir()}
    if missing and len(missing) == len(folders):
        raise TerminalError(
            f"nothing of the pool {pool!r} can run here: {_list(missing)} is not on this machine. Have the checkout at "
            "the very same path here (or a link to it), with its .venv"
        )
    if missing:
        say(f"Not on this machine: {_list(missing)}. Runs of that will fail here.")
    return limit or found.get("concurrency_limit")


def _list(folders: dict[str, str]) -> str:
    return ", ".join(f"{where} (of {name})" for name, where in folders.items())


@contextmanager
def _ended_by_signals(ending: threading.Event) -> Iterator[None]:
    """For the block, signals that end a program set `ending`; for the main thread."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = {number: signal.signal(number, lambda *_: ending.set()) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
