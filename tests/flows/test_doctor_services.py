"""What doctor says of the services of `cervella up`: dead, frozen, left over, moved, and deployments that differ."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from components.services import doctor_services as services
from components.services.supervisor.ports import who_has
from components.services.supervisor.processes import MARK, mark_of
from components.store.locks import FileLock
from components.store.services import KEEPER_LOCK, SERVICES, services_folder
from tests.flows.doctor_house import only
from tests.flows.test_up import two_ports
from tests.waiting import soon

SLEEP = "import sys, time; print('there', flush=True); time.sleep(600)"


def of_services(workspace: Path, **options: Any) -> Any:
    """The one finding on services, ports aside."""
    return only(check for check in services.check_services(workspace, **options) if check.name == "services")


@pytest.fixture
def process() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start processes that are there and do nothing."""
    begun = []

    def start(**environment: str) -> subprocess.Popen[str]:
        done = subprocess.Popen(
            [sys.executable, "-c", SLEEP], env=os.environ | environment, stdout=subprocess.PIPE, text=True
        )
        begun.append(done)
        assert done.stdout is not None and done.stdout.readline() == "there\n"
        return done

    yield start
    for one in begun:
        one.kill()
        one.communicate()


def written(workspace: Path, **states: str) -> None:
    services_folder(workspace).mkdir(parents=True, exist_ok=True)
    about = {name: {"state": state} for name, state in states.items()}
    (services_folder(workspace) / SERVICES).write_text(json.dumps({"services": about}), encoding="utf-8")


def test_nothing_is_up_and_nothing_is_wrong(tmp_path: Path) -> None:
    for workspace in (tmp_path, tmp_path / "new"):
        found = of_services(workspace)
        assert (found.level, found.mend) == ("ok", None) and "cervella up -w" in found.says
    written(tmp_path, prefect="ended", mlflow="ended")  # as `down` leaves it
    assert of_services(tmp_path).level == "ok"


def test_a_keeper_that_ended_without_down(tmp_path: Path) -> None:
    written(tmp_path, prefect="up", mlflow="ended")
    found = of_services(tmp_path)
    assert found.level == "warning" and "(prefect)" in found.says and "cervella up" in str(found.mend)


@pytest.mark.parametrize("text", ["", "[", "[]", '{"services": 1}', '{"services": {"prefect": 1}}'])
def test_a_file_of_services_that_cannot_be_read(tmp_path: Path, text: str) -> None:
    written(tmp_path)
    (services_folder(tmp_path) / SERVICES).write_text(text, encoding="utf-8")
    assert of_services(tmp_path).level == "ok"  # nobody keeps it, so it means nothing


def test_processes_that_a_keeper_has_left(tmp_path: Path, process: Any) -> None:
    left = process(**{MARK: mark_of(tmp_path, "1-2", "mlflow")})
    found = of_services(tmp_path)
    assert found.level == "warning" and str(left.pid) in found.says and "cervella down" in str(found.mend)


@pytest.mark.skipif(sys.platform != "linux", reason="who has a port is known on Linux alone")
def test_who_has_a_port_that_up_would_take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setitem(services._PORTS, "Prefect", port)
        [told] = [
            check for check in services.check_services(tmp_path) if check.name == "ports" and str(port) in check.says
        ]
        assert told.level == "ok" and f"process {os.getpid()}" in told.says and who_has(port) in told.says


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Path]:
    """A workspace whose keeper's lock this process holds, without being one."""
    services_folder(tmp_path).mkdir(parents=True)
    lock = FileLock(services_folder(tmp_path) / KEEPER_LOCK)
    assert lock.try_exclusive()
    yield tmp_path
    lock.close()


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "is no keeper"), ('{"pid": "x"}', "is no keeper"), ('{"pid": 4, "started": "1"}', "a keeper that is gone")],
    ids=["nothing written", "no pid", "another process by now"],
)
def test_a_lock_whose_holder_is_no_keeper(kept: Path, text: str, said: str) -> None:
    (services_folder(kept) / KEEPER_LOCK).write_text(text, encoding="utf-8")
    found = of_services(kept)
    assert found.level == "problem" and said in found.says and "cervella down" in str(found.mend)


def keeper_is(workspace: Path, pid: int) -> None:
    about = {"pid": pid, "started": services.started_at(pid)}
    (services_folder(workspace) / KEEPER_LOCK).write_text(json.dumps(about), encoding="utf-8")


def test_a_keeper_that_is_stopped(kept: Path, process: Any) -> None:
    stopped = process()
    keeper_is(kept, stopped.pid)
    stopped.send_signal(signal.SIGSTOP)
    os.waitpid(stopped.pid, os.WUNTRACED)
    found = of_services(kept)
    assert found.level == "problem" and f"kill -CONT {stopped.pid}" in found.says
    stopped.send_signal(signal.SIGCONT)


@pytest.mark.parametrize(
    ("about", "level", "said"),
    [
        ({"state": "down", "fault": "has ended (1): boom", "log": "/logs/x.log"}, "problem", "boom"),
        ({"state": "starting"}, "ok", "is being started"),
        ({"state": "starting", "since": 0}, "problem", "is starting"),
        ({"state": "up", "pid": 4, "started": "1"}, "problem", "does not notice"),
        ({"state": "up", "url": "http://127.0.0.1:9"}, "problem", "does not answer"),
        ({"state": "up"}, "ok", "up: mlflow"),
    ],
    ids=["down", "starting", "starting for ever", "dead", "silent", "up"],
)
def test_a_service_as_the_keeper_tells_it(kept: Path, about: dict[str, Any], level: str, said: str) -> None:
    pid = os.getpid()
    keeper_is(kept, pid)
    here = {"pid": pid, "started": services.started_at(pid), "since": time.time()} | about
    (services_folder(kept) / SERVICES).write_text(json.dumps({"services": {"mlflow": here}}), encoding="utf-8")
    found = of_services(kept)
    assert (found.level, said in found.says) == (level, True), found
    assert (found.mend is None) == (level == "ok")


def test_services_of_another_workspace_are_told(kept: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    found = of_services(tmp_path_factory.mktemp("other"), near=kept)
    assert found.level == "ok" and f"those of {kept} are" in found.says


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_services_that_are_up_and_a_server_that_is_not_as_the_file_says(
    program: Any, tmp_path: Path, served: Any
) -> None:
    workspace = served(tmp_path / "work space")
    prefect, mlflow = two_ports()
    try:
        up = program("up", "-w", workspace, "--prefect-port", prefect, "--mlflow-port", mlflow, "--json")
        assert up.code == 0, up.err
        found = findings(program, workspace)
        assert {check["level"] for checks in found.values() for check in checks} == {"ok"}
        assert f"prefect at {up.json['prefect']['url']}" in found["services"][0]["says"]
        assert "training (at most 1 at once" in found["work pools"][0]["says"]

        changed(up.json["prefect"]["url"], workspace)
        found = findings(program, workspace)
        [different], [paused, _] = found["deployments"], found["work pools"]
        assert different["level"] == "warning" and "deployment run-recipe/run-recipe (new)" in different["says"]
        assert "work pool training (changed)" in different["says"] and "--dry-run" in different["mend"]
        assert paused["level"] == "warning" and "cervella is paused" in paused["says"]

        keeper = json.loads((services_folder(workspace) / KEEPER_LOCK).read_text(encoding="utf-8"))["pid"]
        os.kill(keeper, signal.SIGKILL)
        # What it kept ends on its own, and until then is told as such.
        assert soon(lambda: "without a `down`" in findings(program, workspace)["services"][0]["says"], seconds=60)
        assert findings(program, workspace)["services"][0]["level"] == "warning"
    finally:
        program("down", "-w", workspace)


def findings(program: Any, workspace: Path) -> dict[str, list[dict[str, Any]]]:
    # In a process of its own: what this one has imported and set for other tests is no state of a user's.
    names = ("services", "deployments", "work pools")
    checks = program("doctor", "-w", workspace, "--json").json["checks"]
    return {name: [check for check in checks if check["name"] == name] for name in names}


CHANGE = """
import sys
from components.services.deployments.server import connected
with connected(sys.argv[1]) as remote:
    [found] = remote.all("/deployments/filter", {"deployments": {"name": {"any_": ["run-recipe"]}}})
    remote.ask("DELETE", f"/deployments/{found['id']}")
    remote.ask("PATCH", "/work_pools/training", {"concurrency_limit": 7})
    remote.ask("PATCH", "/work_pools/cervella", {"is_paused": True})
"""


def changed(url: str, workspace: Path) -> None:
    """Take a deployment, lift a limit, pause a pool: what a hand in the UI may do."""
    environment = os.environ | {"PREFECT_API_URL": f"{url}/api", "PREFECT_HOME": str(workspace / "prefect")}
    subprocess.run([sys.executable, "-c", CHANGE, f"{url}/api"], env=environment, check=True, cwd=Path.cwd())
