"""up and down: real servers in the background, which heal after kill -9, and of which nothing stays after down."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from components.services import prefect_environment
from components.services.supervisor.processes import end_marked, mark_of, started_at
from components.store import FileLock, is_held
from tests.flows.conftest import Done, Program, Workspace
from tests.processes import processes_of
from tests.waiting import soon

SERVICES = ("prefect", "mlflow", "worker-cervella", "worker-training")


def two_ports() -> tuple[int, int]:
    """Ports that nobody has now."""
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


class Services:
    """The services of one workspace."""

    def __init__(self, program: Program, workspace: Path) -> None:
        self.program, self.workspace = program, workspace
        prefect, mlflow = two_ports()
        self.options = ("-w", workspace, "--prefect-port", prefect, "--mlflow-port", mlflow, "--no-deploy", "--json")

    def up(self, *more: object) -> dict[str, Any]:
        done = self.program("up", *self.options, *more)
        assert done.code == 0, done.err
        found: dict[str, Any] = done.json
        return found

    def down(self) -> Done:
        return self.program("down", "-w", self.workspace, "--json")

    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.workspace / "services" / "services.json").read_text())
        return found

    def log(self) -> str:
        return (self.workspace / "services" / "logs" / "keeper.log").read_text()

    def left(self) -> list[str]:
        """Processes that have the workspace among their arguments or in their environment."""
        return processes_of(self.workspace)


@pytest.fixture(scope="module")
def services(program: Program, new_workspace: Callable[..., Workspace]) -> Iterator[tuple[Services, Workspace]]:
    """One workspace for all that need it up; whatever a test did, nothing of it stays."""
    workspace = new_workspace(first=False)
    here = Services(program, workspace.path)
    try:
        yield here, workspace
    finally:
        ended = here.down()
        end_marked(mark_of(workspace.path), grace_seconds=0)
    assert ended.code == 0 and ended.json["ended"], ended.err
    assert soon(lambda: not here.left(), seconds=120), here.left()
    for lock in ("services/keeper.lock", "prefect/server.lock"):
        assert not is_held(workspace.path / lock)
    assert here.down().json == {"ended": False, "left_behind": 0, "server_stays": False}


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_up_again_changes_nothing(services: tuple[Services, Workspace]) -> None:
    here, _ = services
    first = here.up()
    for url in (f"{first['prefect']['url']}/api/health", f"{first['mlflow']['url']}/health", first["mlflow"]["url"]):
        assert answers(url)
    os.kill(here.state()["keeper"]["pid"], signal.SIGHUP)  # the terminal was closed
    second = here.up("--mlflow-port", two_ports()[0])
    assert not second["begun"]
    assert [second[name] for name in SERVICES] == [first[name] for name in SERVICES]
    database = here.workspace / "prefect" / "prefect.db"
    with closing(sqlite3.connect(database)) as connection:
        pools = dict(connection.execute("select name, concurrency_limit from work_pool").fetchall())
    assert pools["training"] == 1 and pools["cervella"] is None


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_what_is_killed_comes_back_at_its_place(services: tuple[Services, Workspace]) -> None:
    here, _ = services
    before = here.up()
    for name in SERVICES:
        os.kill(before[name]["pid"], signal.SIGKILL)
        after = here.up()
        assert after[name]["pid"] != before[name]["pid"] and not after["begun"], name
        assert after[name].get("url") == before[name].get("url"), name
        for other in set(SERVICES) - {name}:
            assert after[other]["pid"] == before[other]["pid"], (name, other)
        assert f"  {name}: has ended" in here.log()
        before = after


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_killed_keeper_takes_its_services_along_and_up_heals(services: tuple[Services, Workspace]) -> None:
    here, _ = services
    before = here.up()
    os.kill(here.state()["keeper"]["pid"], signal.SIGKILL)
    pids = [before[name]["pid"] for name in SERVICES]
    assert soon(lambda: not any(started_at(pid) for pid in pids), seconds=120)
    assert soon(lambda: not here.left(), seconds=120), here.left()
    after = here.up()
    assert after["begun"]
    assert [after[name]["url"] for name in SERVICES[:2]] == [before[name]["url"] for name in SERVICES[:2]]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_keeper_and_sweeper_killed_at_once_leave_what_up_ends(services: tuple[Services, Workspace]) -> None:
    here, _ = services
    before = here.up()
    keeper = here.state()["keeper"]["pid"]
    sweeper = next(
        int(entry.name) for entry in Path("/proc").glob("[0-9]*")
        if f"supervisor.sweeper\0{keeper}\0".encode() in (entry / "cmdline").read_bytes()
    )  # fmt: skip
    for pid in (sweeper, keeper):
        os.kill(pid, signal.SIGKILL)
    assert started_at(before["mlflow"]["pid"]) == before["mlflow"]["started"]
    after = here.up()
    assert after["begun"] and after["mlflow"]["url"] == before["mlflow"]["url"]
    assert started_at(before["mlflow"]["pid"]) is None
    assert "that a keeper before had left behind" in here.log()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_run_beside_it_uses_its_server_and_leaves_it_up(
    services: tuple[Services, Workspace], program: Program
) -> None:
    here, workspace = services
    before = here.up()
    run = program("run", "recipes/mvp.yaml", *workspace.options, "--json")
    assert run.code == 1, run.err  # the double is no partner
    assert f"Prefect is at {before['prefect']['url']}\n" in run.err and "Starting the Prefect server" not in run.err
    after = here.up()
    assert [after[name] for name in SERVICES] == [before[name] for name in SERVICES]
    database = workspace.path / "prefect" / "prefect.db"
    with closing(sqlite3.connect(database)) as connection:
        [(link,)] = connection.execute("select data from artifact where key = 'mvp-mlflow'").fetchall()
    assert f"{before['mlflow']['url']}/#/" in link
    experiments = urllib.request.Request(
        f"{before['mlflow']['url']}/api/2.0/mlflow/experiments/search", b'{"max_results": 10}',
        {"Content-Type": "application/json"},
    )  # fmt: skip
    with urllib.request.urlopen(experiments, timeout=30) as answer:
        assert "cervella" in [one["name"] for one in json.load(answer)["experiments"]]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_at_once_on_ports_that_are_taken_start_one_keeper(program: Program, tmp_path: Path) -> None:
    here = Services(program, tmp_path / "two at once")
    with socket.socket() as one, socket.socket() as other:
        for taken in (one, other):
            taken.bind(("127.0.0.1", 0))
            taken.listen()
        ports = one.getsockname()[1], other.getsockname()[1]
        options = ("-w", here.workspace, "--prefect-port", ports[0], "--mlflow-port", ports[1], "--no-deploy")
        try:
            both = [program.start("up", *options), program.start("up", *options)]
            done = [program.end(each) for each in both]
            assert [each.code for each in done] == [0, 0], done
            assert sorted("Starting Prefect" in each.err for each in done) == [False, True]
            state = here.state()["services"]
            for name, port in zip(SERVICES[:2], ports, strict=True):
                now = int(state[name]["url"].rpartition(":")[2])
                assert now > port
                for each in done:
                    assert f"{name} is on port {now}: {port} was taken (process {os.getpid()}: " in each.out
            assert here.log().count("keeper: begins") == 1
        finally:
            down = program("down", "-w", here.workspace)
            end_marked(mark_of(here.workspace), grace_seconds=0)
    assert (down.code, down.out) == (0, "Ended.\n")
    assert soon(lambda: not here.left(), seconds=120), here.left()


# A run that begins two processes, one in a session of its own, and says which they are.
FLOW = """
import os, subprocess, sys, time
from pathlib import Path
from prefect import flow

@flow
def long_one():
    pids = [subprocess.Popen(["sleep", "600"], start_new_session=new).pid for new in (False, True)]
    Path("pids.tmp").write_text(" ".join(map(str, [os.getpid(), *pids])))
    os.rename("pids.tmp", "pids")
    time.sleep(600)
"""
DEPLOYMENT = """
deployments:
  - {name: long, entrypoint: "flow.py:long_one", work_pool: {name: cervella}}
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_down_ends_runs_of_workers_and_leaves_a_server_that_others_use(
    program: Program, tmp_path: Path, served: Callable[[Path], Path]
) -> None:
    here, project = Services(program, served(tmp_path / "work")), tmp_path / "project"
    project.mkdir()
    (project / "flow.py").write_text(FLOW)
    (project / "prefect.yaml").write_text(DEPLOYMENT)
    users = None
    try:
        api_url = f"{here.up()['prefect']['url']}/api"
        for command in (["deploy", "--all"], ["deployment", "run", "long-one/long"]):
            subprocess.run(
                [sys.executable, "-m", "prefect", "--no-prompt", *command], cwd=project, check=True, timeout=120,
                capture_output=True,
                env=os.environ | prefect_environment(here.workspace) | {"PREFECT_API_URL": api_url},
            )  # fmt: skip
        assert soon((project / "pids").exists, seconds=90), here.log()
        pids = [int(pid) for pid in (project / "pids").read_text().split()]
        assert all(started_at(pid) for pid in pids)
        users = FileLock(here.workspace / "prefect" / "users.lock")  # as a run in a terminal holds it
        assert users.try_shared()
        down = here.down()
        assert down.json == {"ended": True, "left_behind": 0, "server_stays": True}
        assert not any(started_at(pid) for pid in pids)
        assert answers(f"{api_url}/health") and not is_held(here.workspace / "services" / "keeper.lock")
    finally:
        if users:
            users.close()
        here.down()
        end_marked(mark_of(here.workspace), grace_seconds=0)
    assert soon(lambda: not here.left(), seconds=120), here.left()
    with closing(sqlite3.connect(here.workspace / "prefect" / "prefect.db")) as connection:
        assert connection.execute("select state_type from flow_run").fetchall() == [("CRASHED",)]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_what_does_not_come_up_is_told_with_its_log(
    program: Program, tmp_path: Path, served: Callable[[Path], Path]
) -> None:
    here = Services(program, served(tmp_path))
    (tmp_path / "mlflow").mkdir()
    (tmp_path / "mlflow" / "mlflow.db").write_bytes(b"a letter, and no database " * 400)
    try:
        done = program("up", *here.options)
        assert done.code == 3 and done.out == ""
        assert "cervella: mlflow did not come up (has ended (1): " in done.err
        assert f"The end of {tmp_path}/services/logs/mlflow.log:\n" in done.err and "mlflow.db" in done.err
    finally:
        down = here.down()
        end_marked(mark_of(tmp_path), grace_seconds=0)
    assert down.json["ended"]
    assert soon(lambda: not here.left(), seconds=120), here.left()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "box.example"])  # noqa: S104
def test_only_loopback(here: Callable[..., Done], tmp_path: Path, host: str) -> None:
    done = here("up", "-w", tmp_path / "w", "--host", host)
    assert done.code == 2 and f"--host {host}: only 127.0.0.1." in done.err and "ssh -L" in done.err
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        pytest.param(("--prefect-port", 80), "--prefect-port 80: ports below 1024 belong to the system", id="system"),
        pytest.param(("--mlflow-port", 70000), "--mlflow-port 70000: there is no such port", id="no port"),
        pytest.param(("--mlflow-port", 4200), "are both 4200", id="the same"),
        pytest.param(("--mlflow-port", "x"), "'x' is not a valid integer", id="no number"),
    ],
)
def test_ports_that_cannot_be(
    here: Callable[..., Done], tmp_path: Path, options: tuple[object, ...], told: str
) -> None:
    done = here("up", "-w", tmp_path / "w", *options)
    assert done.code == 2 and told in done.err
    assert not (tmp_path / "w").exists()


def test_a_workspace_that_cannot_be_written(here: Callable[..., Done], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = here("up", "-w", tmp_path / "file" / "w")
    assert done.code == 3 and f"{tmp_path}/file/w" in done.err and "a file is where a folder sh" in done.err


def test_down_where_nothing_is(here: Callable[..., Done], tmp_path: Path) -> None:
    done = here("down", "-w", tmp_path / "w")
    assert (done.code, done.out) == (0, "Nothing is up.\n")
    assert not (tmp_path / "w").exists()
