"""A Prefect server for as long as somebody runs something, on loopback, one for each workspace.

Who serves, in this order: the server named by `api_url` or PREFECT_API_URL; the one that serves this workspace already
(another run started it); else one that is started here.

The protocol, all in `<workspace>/prefect/`, by locks that the kernel releases when their holder ends, even by kill -9:
- `users.lock`: every run holds it, together with the others. The server tries every 0.2 s to hold it alone; when that
  succeeds nobody uses it, and it ends. So the first of two runs may end first, and the last one ends the server.
- `server.lock`: the server holds it for its life. Whether there is a server is asked of this lock, never of a pid.
- `start.lock`: held while a server is looked for or started, so that two runs at once start one.
- `server.json`: pid, address and start of the server; means nothing unless `server.lock` is held.

Why one server and not two: two on one SQLite file would schedule everything twice and migrate under each other, and a
database for each run would tear the history apart.

What a crash leaves behind: a killed run stays "Running" in Prefect's history, and its server is gone a moment later;
a killed server leaves a stale `server.json` and a write-ahead log that SQLite replays. Both are repaired by the next
run without being asked, and so is a database that was damaged (see `database`). A server that is frozen, by SIGSTOP or
a bug, is killed by the runs that wait for it (see `watch`), or by the next one. Prefect's database is a view for
people; the store is the record.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from components.errors import TerminalError
from components.services.database import chosen_variable, database_url, make_ready
from components.services.environment import make_home, prefect_environment
from components.services.stored import send_queued
from components.services.watch import HUNG_SECONDS, end_frozen, fault_of, is_elsewhere, server_state, watched
from components.store import FileLock, is_held, machine_fault

__all__ = ["Server", "find_or_start", "prefect_server", "wait_for_the_end"]

_POLL_SECONDS = 0.1
_STOP_SECONDS = 15.0


@dataclass(frozen=True)
class Server:
    """A Prefect server that answers. `owned`: it was started by this call. `pid`: None for one that is not ours."""

    api_url: str
    ui_url: str
    owned: bool
    pid: int | None


@contextmanager
def prefect_server(
    *,
    workspace: Path,
    timeout_seconds: float = 120,
    api_url: str | None = None,
    port: int | None = None,
    progress: Callable[[str], None] | None = None,
) -> Iterator[Server]:
    """Have a Prefect server that answers, inside the block.

    Does not import Prefect and does not change this process's environment: put `PREFECT_API_URL` there yourself, with
    `apply_environment`, before Prefect is imported.

    Args:
        workspace: the server's files are in `<workspace>/prefect`; created if need be.
        timeout_seconds: how long a server may take to answer; a first start makes the database, which takes longest.
        api_url: the server to use instead, as in `http://127.0.0.1:4200/api`. None: PREFECT_API_URL, if that is set.
        port: where one that is started shall listen, this one or the next free one. None: any.
        progress: called with a sentence for the terminal when there is something to wait for.

    Raises:
        TerminalError: the named server does not answer; or none could be started, with the end of its log.
    """
    say = progress or (lambda _: None)
    named = api_url or os.environ.get("PREFECT_API_URL")
    if named:
        yield _named_server(named.rstrip("/"), said_by="api_url" if api_url else "PREFECT_API_URL")
        return
    folder = workspace.resolve() / "prefect"
    make_home(folder)
    users = FileLock(folder / "users.lock")
    try:
        _wait_for(users.try_shared, timeout_seconds, f"{folder}: the server of an earlier run does not end")
        server = find_or_start(folder=folder, timeout_seconds=timeout_seconds, say=say, port=port)
        try:
            with watched(folder, server.api_url, say=say):
                yield server
        finally:
            send_queued()
    finally:
        users.close()
        wait_for_the_end(folder)


def _named_server(api_url: str, *, said_by: str) -> Server:
    fault = fault_of(api_url, patience_seconds=HUNG_SECONDS)
    if fault:
        raise TerminalError(
            f"{said_by} names the Prefect server {api_url}, and it cannot be used: {fault}. Start it, correct the "
            "address (it ends in /api), or unset PREFECT_API_URL: then a server is started for the time of the run."
        )
    return Server(api_url=api_url, ui_url=api_url.removesuffix("/api"), owned=False, pid=None)


def find_or_start(
    *, folder: Path, timeout_seconds: float, say: Callable[[str], None], port: int | None = None
) -> Server:
    """Find the server of `folder` (`<workspace>/prefect`), or start one; for who holds `users.lock` with others.

    Args:
        folder: its files.
        timeout_seconds: how long it may take to answer.
        say: called with a sentence when there is something to wait for.
        port: of 127.0.0.1, where one that is started shall listen: this one or the next free one. None: any.

    Raises:
        TerminalError: there is none, with the end of its log.
    """
    start = FileLock(folder / "start.lock")
    try:
        if not start.try_exclusive():
            say("Waiting for the Prefect server that another run is starting ...")
            _wait_for(start.try_exclusive, timeout_seconds, f"{folder}: another run does not get its server started")
        owned = not is_held(folder / "server.lock")
        check_here(folder)
        if not owned and _answer(folder, seconds=HUNG_SECONDS):
            say("The Prefect server of this workspace does not answer; it is ended, and another one started ...")
            end_frozen(folder)
            _wait_for(lambda: not is_held(folder / "server.lock"), timeout_seconds, f"{folder}: the server stays")
            owned = True
        if owned:
            say("Starting the Prefect server ...")
            make_ready(folder, say)
            _start(folder, port)
            if fault := _answer(folder, seconds=timeout_seconds):
                if not is_held(folder / "server.lock"):
                    raise _not_started(folder, "The Prefect server ended while it started.")
                raise TerminalError(
                    f"The Prefect server (pid {server_state(folder).get('pid')}) does not answer after "
                    f"{timeout_seconds:g} s: {fault}. If it is still there, end it; then try again. "
                    f"{_end_of_log(folder)}"
                )
        state = server_state(folder)
    finally:
        start.close()
    url = str(state["api_url"])
    say(f"Prefect is at {url.removesuffix('/api')}")
    return Server(api_url=url, ui_url=url.removesuffix("/api"), owned=owned, pid=int(str(state["pid"])))


def _answer(folder: Path, *, seconds: float) -> str | None:
    """Wait until the server of `folder` answers. None: it does; else what is wrong with it, or that it has ended."""
    deadline = time.monotonic() + seconds
    while True:
        state = server_state(folder)
        fault = fault_of(str(state["api_url"])) if state else "it has not said where it listens"
        if not fault:
            return None
        if not is_held(folder / "server.lock") or time.monotonic() > deadline:
            return fault
        time.sleep(_POLL_SECONDS)


def check_here(folder: Path) -> None:
    """Raise TerminalError when the server of `folder` runs on another machine, which shares the folder with this one.

    Its address means nothing here, and its pid is another process.
    """
    state = server_state(folder)
    if not state or not is_elsewhere(state) or not is_held(folder / "server.lock"):
        return
    if server_state(folder) != state or not is_elsewhere(state):  # it has ended, or moved, in this very moment
        return
    url = str(state["api_url"])
    port = url.removesuffix("/api").rpartition(":")[2]
    raise TerminalError(
        f"The Prefect server of this workspace runs on another machine, {state.get('host')} (process {state['pid']} "
        "there), and a workspace has one. Use it through a tunnel: "
        f"ssh -N -L {port}:127.0.0.1:{port} {state.get('host')}, then PREFECT_API_URL={url} for what you run here."
    )


def _not_started(folder: Path, what: str) -> TerminalError:
    """Why there is no server: the machine's fault, when its log says so, else the end of the log."""
    log = _end_of_log(folder)
    return machine_fault(RuntimeError(log), folder) or TerminalError(f"{what}\n{log}")


def _start(folder: Path, port: int | None) -> None:
    (folder / "server.json").unlink(missing_ok=True)  # of a server that is gone
    # The user's own Prefect settings are for the user's own server. An address with a password goes nowhere but there.
    variable, url = chosen_variable(folder), database_url(folder)
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith("PREFECT_") and name != variable
    }  # fmt: skip
    database = {"PREFECT_SERVER_DATABASE_CONNECTION_URL": url}
    log_file = folder / "server.log"
    log_file.unlink(missing_ok=True)
    with log_file.open("ab") as log:  # appended to, so that a keeper may cut a long one under the server
        started = subprocess.run(  # noqa: S603 (our own interpreter and module)
            [sys.executable, "-m", "components.services.prefect_process", str(folder), str(port or 0)],
            env=inherited | prefect_environment(folder.parent, console_level="WARNING") | database,
            cwd=Path(__file__).resolve().parents[2],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            check=False,
        )
    if started.returncode:
        raise _not_started(folder, f"The Prefect server did not start (exit {started.returncode}).")


def wait_for_the_end(folder: Path, *, stop_seconds: float = _STOP_SECONDS) -> None:
    """Wait until the server is gone, unless others still use it. Kills one that does not end in `stop_seconds`."""
    deadline = time.monotonic() + stop_seconds
    while is_held(folder / "server.lock"):
        users = FileLock(folder / "users.lock")
        try:
            # Order matters: free means that the server has not noticed yet, shared that somebody else uses it.
            if not users.try_exclusive() and users.try_shared():
                return
        finally:
            users.close()
        if time.monotonic() > deadline:
            end_frozen(folder)
            deadline += stop_seconds
        time.sleep(_POLL_SECONDS)


def _wait_for(condition: Callable[[], bool], timeout_seconds: float, fault: str) -> None:
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TerminalError(f"{fault} (waited {timeout_seconds:g} s).")
        time.sleep(_POLL_SECONDS)


def _end_of_log(folder: Path, lines: int = 12) -> str:
    path = folder / "server.log"
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    text = "\n".join(text.splitlines()[-lines:])
    if chosen_variable(folder):
        from components.services.postgres import without_password

        text = without_password(text, database_url(folder))
    return f"The end of {path}:\n{text}"
