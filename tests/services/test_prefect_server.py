"""A real Prefect server on loopback: it starts, serves, is shared, and never outlives those who use it."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from components.errors import TerminalError
from components.services import prefect_server
from components.store import FileLock, is_held
from tests.processes import clean_environment
from tests.waiting import soon

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

# Runs a flow of `tasks` tasks when told "run", leaves when told "leave"; says what it does, a line at a time.
RUN = """
import json, os, sys
from pathlib import Path
from components.services import apply_environment, prefect_environment, prefect_server, wait_until_stored

workspace, tasks = Path(sys.argv[1]), int(sys.argv[2])
apply_environment(prefect_environment(workspace))
with prefect_server(workspace=workspace, progress=lambda text: print(text, file=sys.stderr, flush=True)) as server:
    apply_environment({"PREFECT_API_URL": server.api_url})
    print(json.dumps({"url": server.api_url, "pid": server.pid, "owned": server.owned}), flush=True)
    for line in sys.stdin:
        if line.strip() == "leave":
            break
        from prefect import flow, get_run_logger, task

        @task
        def one(number: int) -> int:
            get_run_logger().info("number %s", number)
            return number

        @flow
        def many() -> None:
            for number in range(tasks):
                one(number)

        state = many(return_state=True)
        run_id = state.state_details.flow_run_id
        wait_until_stored(server.api_url, run_id, expected_task_runs=tasks)
        print(run_id, flush=True)
print("left", flush=True)
"""


class Process:
    """The program above, talked to."""

    def __init__(self, *, root: Path, workspace: Path, tasks: int = 3) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error::RuntimeWarning", "-c", RUN, str(workspace), str(tasks)],
            cwd=root,
            env=clean_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def say(self, word: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()

    def hear(self) -> str:
        assert self.process.stdout and self.process.stderr
        line = self.process.stdout.readline().strip()
        assert line, self.process.stderr.read()
        return line

    def server(self) -> dict[str, object]:
        state: dict[str, object] = json.loads(self.hear())
        return state

    def end(self) -> tuple[int, str]:
        """Wait for its end; its exit code and what it wrote to the terminal."""
        _, errors = self.process.communicate(timeout=60)
        return self.process.returncode, errors


@contextmanager
def processes(count: int = 1, **arguments: object) -> Iterator[list[Process]]:
    started: list[Process] = []
    try:
        for _ in range(count):
            started.append(Process(**arguments))  # type: ignore[arg-type]
        yield started
    finally:
        for each in started:
            if each.process.poll() is None:
                each.process.kill()
            each.process.communicate()


def is_alive(pid: object) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def is_open(url: object) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", urlsplit(str(url)).port or 0)) == 0


def count(workspace: Path, table: str, where: str = "1 = 1") -> int:
    connection = sqlite3.connect(workspace / "prefect" / "prefect.db")
    try:
        number: int = connection.execute(f"select count(*) from {table} where {where}").fetchone()[0]  # noqa: S608
        return number
    finally:
        connection.close()


@pytest.fixture(autouse=True)
def no_server_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, served: Callable[[Path], Path]) -> Path:
    """One for all; a test that spoils it spoils the next one, as in life."""
    return served(tmp_path_factory.mktemp("work") / "space of mine")


def test_the_whole_history_is_stored_before_the_server_ends(root: Path, workspace: Path) -> None:
    with processes(root=root, workspace=workspace, tasks=70) as [run]:
        server = run.server()
        assert server["owned"] is True
        assert is_alive(server["pid"]) and is_open(server["url"])
        run.say("run")
        run_id = run.hear()
        # Read past the server: this is what is left when it is killed now.
        assert count(workspace, "task_run", f"flow_run_id = '{run_id}' and state_type = 'COMPLETED'") == 70
        assert count(workspace, "events", "event = 'prefect.task-run.Completed'") == 70
        assert count(workspace, "log", f"flow_run_id = '{run_id}' and message like 'number %'") == 70
        run.say("leave")
        assert run.hear() == "left"
        assert not is_alive(server["pid"]) and not is_open(server["url"])
        code, terminal = run.end()
    assert code == 0
    ui = str(server["url"]).removesuffix("/api")
    assert terminal == f"Starting the Prefect server ...\nPrefect is at {ui}\n"
    assert (workspace / "prefect" / "server.log").read_text() == ""


def test_two_runs_share_one_server_and_the_first_may_leave_first(root: Path, workspace: Path) -> None:
    with processes(2, root=root, workspace=workspace) as runs:
        servers = [run.server() for run in runs]
        assert servers[0]["pid"] == servers[1]["pid"] and servers[0]["url"] == servers[1]["url"]
        assert sorted(bool(server["owned"]) for server in servers) == [False, True]
        owner, guest = (runs[0], runs[1]) if servers[0]["owned"] else (runs[1], runs[0])
        owner.say("leave")
        assert owner.hear() == "left"
        assert owner.end()[0] == 0
        guest.say("run")
        assert count(workspace, "task_run", f"flow_run_id = '{guest.hear()}' and state_type = 'COMPLETED'") == 3
        guest.say("leave")
        assert guest.hear() == "left"
        assert guest.end()[0] == 0
    assert not is_alive(servers[0]["pid"]) and not is_open(servers[0]["url"])


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_no_server_is_left_by_a_run_that_is_ended(root: Path, workspace: Path, how: signal.Signals) -> None:
    with processes(root=root, workspace=workspace) as [run]:
        server = run.server()
        assert is_alive(server["pid"])
        os.killpg(run.process.pid, how)  # as a terminal does it: to the whole group
        code, _ = run.end()
    assert code == -how
    assert soon(lambda: not is_alive(server["pid"]))
    assert not is_open(server["url"])


def test_no_server_is_left_by_a_run_that_is_killed_while_it_starts(root: Path, workspace: Path) -> None:
    state = workspace / "prefect" / "server.json"
    with processes(root=root, workspace=workspace) as [run]:
        assert soon(lambda: is_held(workspace / "prefect" / "server.lock"))
        run.process.kill()
        assert run.end()[0] == -signal.SIGKILL
    assert soon(lambda: not is_held(workspace / "prefect" / "server.lock"))
    assert not state.exists() or not is_alive(json.loads(state.read_text())["pid"])


def test_a_server_that_is_killed_is_replaced(workspace: Path) -> None:
    with prefect_server(workspace=workspace) as first:
        os.kill(first.pid or 0, signal.SIGKILL)
        assert soon(lambda: not is_held(workspace / "prefect" / "server.lock"))
        with prefect_server(workspace=workspace) as second:
            assert second.owned and second.pid != first.pid
            assert is_open(second.api_url)
    assert not is_alive(second.pid)


def test_only_prefects_own_pages_may_change_anything(workspace: Path) -> None:
    with prefect_server(workspace=workspace) as server:
        request = urllib.request.Request(
            f"{server.api_url}/flows/", data=b'{"name": "x"}', headers={"Content-Type": "application/json"}
        )
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request, timeout=30)
        caught.value.close()
        assert caught.value.code == 403
        request = urllib.request.Request(f"{server.api_url}/health", headers={"Origin": "http://elsewhere.example"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert answer.headers.get("Access-Control-Allow-Origin") is None
        with urllib.request.urlopen(f"{server.ui_url}/", timeout=30) as page:
            assert b"<html" in page.read()


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "prefect" / "prefect.db").mkdir(parents=True)
    with pytest.raises(TerminalError) as caught, prefect_server(workspace=tmp_path):
        pass
    assert "The Prefect server ended while it started." in str(caught.value)
    assert "unable to open database file" in str(caught.value)
    assert not is_held(tmp_path / "prefect" / "server.lock")


def test_a_frozen_server_that_nobody_watches_is_replaced_by_the_next_run(
    root: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with processes(root=root, workspace=workspace) as [run]:
        frozen = run.server()
        os.kill(int(str(frozen["pid"])), signal.SIGSTOP)
        run.process.kill()  # its run cannot tell it to end any more, and it cannot see that it is alone
        run.end()
    assert is_held(workspace / "prefect" / "server.lock")
    # By its name the package has the function, not the module.
    monkeypatch.setattr(sys.modules["components.services.prefect_server"], "HUNG_SECONDS", 2.0)
    said: list[str] = []
    with prefect_server(workspace=workspace, progress=said.append) as server:
        assert server.owned and server.pid != frozen["pid"] and is_open(server.api_url)
        assert not is_alive(frozen["pid"])
    assert "does not answer; it is ended" in said[0]


def test_a_server_that_does_not_answer_in_time_is_ended(tmp_path: Path) -> None:
    with pytest.raises(TerminalError, match=r"pid \d+\) does not answer after 0.5 s"):
        with prefect_server(workspace=tmp_path, timeout_seconds=0.5):
            pass
    assert not is_held(tmp_path / "prefect" / "server.lock")


def test_another_run_that_does_not_get_its_server_started(tmp_path: Path) -> None:
    (tmp_path / "prefect").mkdir()
    start = FileLock(tmp_path / "prefect" / "start.lock")
    assert start.try_exclusive()
    said: list[str] = []
    with pytest.raises(TerminalError, match=r"another run does not get its server started \(waited 0.5 s\)"):
        with prefect_server(workspace=tmp_path, timeout_seconds=0.5, progress=said.append):
            pass
    start.close()
    assert said == ["Waiting for the Prefect server that another run is starting ..."]
