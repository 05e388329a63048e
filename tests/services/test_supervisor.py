"""The keeper's parts: marks, ports, logs, the file that tells where services answer, and the life of a service."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from components.errors import InputError, TerminalError
from components.registry.params import RegistryParams
from components.registry.steps import shown_at
from components.services.supervisor import control, logs, service
from components.services.supervisor.board import Board
from components.services.supervisor.kept import POOLS, child_environment
from components.services.supervisor.ports import check_port, free_port, holders, is_free, who_has
from components.services.supervisor.processes import MARK, end_marked, mark_of, marked, started_at
from components.services.supervisor.service import Service
from components.store import FileLock
from components.store.services import address_of, services_folder, services_of

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
SLEEP = "import time; print('here', flush=True); time.sleep(120)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEP}"


@pytest.fixture
def process(root: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start Python code with a mark; ended with the test."""
    started = []

    def start(code: str, mark: str | None) -> subprocess.Popen[str]:
        environment = {name: value for name, value in os.environ.items() if name != MARK}
        one = subprocess.Popen(
            [sys.executable, "-c", code], env=environment | ({MARK: mark} if mark else {}), cwd=root,
            stdout=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        started.append(one)
        assert one.stdout and one.stdout.readline() == "here\n"
        return one

    yield start
    for one in started:
        one.kill()
        one.communicate()


def test_a_mark_names_one_workspace_one_keeper_one_service(tmp_path: Path) -> None:
    (tmp_path / "b").symlink_to(tmp_path / "a")
    (tmp_path / "a").mkdir()
    assert mark_of(tmp_path / "a") == mark_of(tmp_path / "b")
    assert mark_of(tmp_path / "a") != mark_of(tmp_path / "aa")
    for shorter, longer in [("", "1-2"), ("1-2", "1-2")]:
        assert mark_of(tmp_path, longer, "mlflow").startswith(mark_of(tmp_path, shorter))
    assert not mark_of(tmp_path, "1-23", "mlflow").startswith(mark_of(tmp_path, "1-2"))
    assert not mark_of(tmp_path, "1-2", "worker-cervella").startswith(mark_of(tmp_path, "1-2", "worker"))


@linux
def test_only_what_has_the_mark_is_ended(tmp_path: Path, process: Callable[..., subprocess.Popen[str]]) -> None:
    ours, stubborn = (process(code, mark_of(tmp_path, "1-2", "mlflow")) for code in (SLEEP, STUBBORN))
    worker = process(SLEEP, mark_of(tmp_path, "1-2", "worker"))
    others = process(SLEEP, mark_of(tmp_path / "other", "1-2", "mlflow")), process(SLEEP, None)
    assert marked(mark_of(tmp_path, "1-2", "mlflow")) == sorted([ours.pid, stubborn.pid])
    assert end_marked(mark_of(tmp_path, "1-2", "mlflow"), grace_seconds=0.5, but=None) == 2
    assert (ours.wait(5), stubborn.wait(5)) == (-signal.SIGTERM, -signal.SIGKILL)
    assert end_marked(mark_of(tmp_path), grace_seconds=0.1, but=worker.pid) == 0
    assert [one.poll() for one in (worker, *others)] == [None, None, None]


@linux
def test_what_it_has_started_has_the_mark_too(tmp_path: Path, process: Callable[..., subprocess.Popen[str]]) -> None:
    code = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {SLEEP!r}], start_new_session=True).wait()"
    parent = process(code, mark_of(tmp_path))
    found = marked(mark_of(tmp_path))
    assert len(found) == 2
    parent.kill()  # its child is an orphan in a session of its own now
    parent.wait()
    assert end_marked(mark_of(tmp_path), grace_seconds=5) == 1
    assert [started_at(pid) for pid in found] == [None, None]


def test_a_start_time_tells_a_process_from_the_next_with_its_pid() -> None:
    assert started_at(os.getpid()) == started_at(os.getpid()) is not None
    assert started_at(2**22 + 1) is None


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that this process listens on, with one after it that is free."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_port_that_is_taken_is_passed_over(taken: int) -> None:
    assert not is_free(taken)
    assert taken < free_port(taken) < taken + 50


@linux
def test_who_has_a_port_is_told(taken: int) -> None:
    assert holders(taken) == [os.getpid()]
    assert f"process {os.getpid()}: " in who_has(taken)


def test_a_port_taken_on_all_addresses_is_taken() -> None:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("0.0.0.0", 0))  # noqa: S104 (what other programs do)
        listener.listen()
        assert not is_free(listener.getsockname()[1])


@pytest.mark.parametrize("port", [-1, 0, 80, 1023, 65536, 10**9])
def test_a_port_that_nobody_should_take(port: int) -> None:
    with pytest.raises(InputError, match=f"--prefect-port {port}: .* name one from 1024 to 65535"):
        check_port(port, option="--prefect-port")


def test_all_ports_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("components.services.supervisor.ports.is_free", lambda port: False)
    with pytest.raises(TerminalError, match="the ports 65530 to 65535 of 127.0.0.1 are all taken"):
        free_port(65530)


def test_a_log_is_bounded_and_cut_under_its_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "LIMIT", 1000)
    path = tmp_path / "a.log"
    with logs.open_log(path) as file:
        for number in range(300):
            file.write(f"line {number:5}\n".encode())
            file.flush()
            logs.rotate([path, tmp_path / "none.log"])
    assert path.stat().st_size <= 1000 and path.with_name("a.log.1").stat().st_size == 1000
    assert path.read_bytes().startswith(b"line ")  # no hole where the writer went on
    assert logs.end_of(path, 1).splitlines() == [f"The end of {path}:", "line   299"]


def told(workspace: Path, text: str) -> None:
    (services_folder(workspace) / "services.json").write_text(text)


def test_services_count_only_while_a_keeper_is_there(tmp_path: Path) -> None:
    board = Board(tmp_path)
    board.tell("mlflow", state="up", url="http://127.0.0.1:5001")
    assert services_of(tmp_path) == {} and address_of(tmp_path, "mlflow") is None
    lock = FileLock(services_folder(tmp_path) / "keeper.lock")
    assert lock.try_exclusive()
    try:
        assert address_of(tmp_path, "mlflow") == "http://127.0.0.1:5001"
        assert services_of(tmp_path)["keeper"]["pid"] == os.getpid()
        board.tell("mlflow", state="down")
        assert address_of(tmp_path, "mlflow") is None and address_of(tmp_path, "prefect") is None
        for text in ("", "{", "[]", '{"services": {}}', "\x00" * 9):
            told(tmp_path, text)
            assert address_of(tmp_path, "mlflow") is None
    finally:
        lock.close()


@pytest.mark.parametrize("written", ["", "{", '{"pid": 1, "started": "1"}', '{"pid": "x"}', '{"pid": OTHER}'])
def test_down_ends_nobody_who_may_be_another(
    tmp_path: Path, process: Callable[..., subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    monkeypatch.setattr(control, "_POLL_SECONDS", 0.01)
    innocent = process(SLEEP, None)
    services_folder(tmp_path).mkdir()
    lock = FileLock(services_folder(tmp_path) / "keeper.lock")
    assert lock.try_exclusive()
    lock.write(written.replace("OTHER", f'{innocent.pid}, "started": "0"'))
    try:
        with pytest.raises(TerminalError, match="is held, and it is not known by whom"):
            control.bring_down(tmp_path, say=lambda _: None)
        assert innocent.poll() is None
    finally:
        lock.close()


def test_links_go_to_the_mlflow_that_is_up(tmp_path: Path) -> None:
    default, named = RegistryParams(), RegistryParams(ui_url="http://box:5000/")
    assert shown_at(tmp_path, default) == ("http://127.0.0.1:5000", False)
    Board(tmp_path).tell("mlflow", state="up", url="http://127.0.0.1:5007")
    lock = FileLock(services_folder(tmp_path) / "keeper.lock")
    assert lock.try_exclusive()
    try:
        assert shown_at(tmp_path, default) == ("http://127.0.0.1:5007", True)
        assert shown_at(tmp_path, named) == ("http://box:5000", False)
        elsewhere = RegistryParams(tracking_uri="http://box:9000")
        assert shown_at(tmp_path, elsewhere) == ("http://127.0.0.1:5000", False)
    finally:
        lock.close()


def test_the_users_own_settings_do_not_reach_what_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PREFECT_API_URL", "MLFLOW_TRACKING_URI", "PREFECT_SERVER_API_HOST", "MLFLOW_HOST"):
        monkeypatch.setenv(name, "0.0.0.0")  # noqa: S104
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "of a server that a recipe names")
    assert "MLFLOW_TRACKING_TOKEN" in child_environment(tmp_path, mark="m")
    found = child_environment(tmp_path, mark="m", own=("PREFECT_", "MLFLOW_"))
    assert not {"PREFECT_API_URL", "MLFLOW_TRACKING_URI", "MLFLOW_HOST"} & set(found)
    assert (found["PREFECT_SERVER_API_HOST"], found["MLFLOW_DISABLE_TELEMETRY"]) == ("127.0.0.1", "true")
    assert (found[MARK], found["PREFECT_HOME"]) == ("m", str(tmp_path / "prefect"))


@linux
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP], ids=["Ctrl-C", "closed terminal"])
def test_what_a_terminal_sends_to_all_does_not_reach_what_is_kept(
    tmp_path: Path, root: Path, process: Callable[..., subprocess.Popen[str]], number: signal.Signals
) -> None:
    code = (
        "import signal, threading, time; from pathlib import Path\n"
        "for one in (signal.SIGINT, signal.SIGHUP): signal.signal(one, lambda *_: None)\n"
        "from components.services.supervisor.board import Board\n"
        "from components.services.supervisor.kept import Mlflow\n"
        f"place = Path({str(tmp_path)!r})\n"
        "child = Mlflow(Board(place), threading.Event(), workspace=place, keeper='k', port=1)\n"
        "child.spawn(['-c', 'import subprocess, sys; subprocess.run([\"sleep\", \"120\"])'], more={})\n"
        f"{SLEEP}"
    )
    mark = mark_of(tmp_path, "k", "mlflow")
    try:
        keeper = process(code, None)
        assert until(lambda: len(marked(mark)) == 2)
        os.killpg(keeper.pid, number)
        time.sleep(0.5)
        assert len(marked(mark)) == 2  # it, and what it has started
    finally:
        assert end_marked(mark, grace_seconds=2) == 2  # and both are still found and ended
    assert marked(mark) == []


def until(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 20
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


def test_the_work_pools_are_those_of_prefect_yaml(root: Path) -> None:
    listed = yaml.safe_load((root / "prefect.yaml").read_text(encoding="utf-8"))["definitions"]["work_pools"]
    found = {name: (pool.get("concurrency_limit"), pool["description"]) for name, pool in listed.items()}
    assert found == dict(POOLS)


class Fragile(Service):
    """Does what its script says: in each life, how long it answers, and how it goes."""

    patience, start_seconds, ask_seconds = 0.3, 0.3, 0.0

    def __init__(self, board: Board, lives: list[str]) -> None:
        super().__init__("fragile", board, threading.Event())
        self.lives = lives
        self.ends = 0
        self.life, self.asked = "", 0

    def begin(self) -> None:
        self.life, self.asked = self.lives.pop(0), 0
        if self.life == "cannot":
            raise TerminalError("it cannot be started")

    def gone(self) -> str | None:
        return "has died" if self.life == "dies" and self.asked else None

    def fault(self) -> str | None:
        self.asked += 1
        if self.life == "lives" and not self.lives:
            self.ending.set()
        return "silence" if self.life == "mute" or (self.life == "freezes" and self.asked > 2) else None

    def end(self) -> None:
        self.ends += 1


def test_what_dies_freezes_or_does_not_start_is_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "_TICK_SECONDS", 0.01)
    monkeypatch.setattr(service, "_LONGEST_WAIT", 0.02)
    lives = ["cannot", "dies", "freezes", "mute", "lives"]
    one = Fragile(Board(tmp_path), list(lives))
    one.run()
    assert one.ends == len(lives) and one.board.ask("fragile")["state"] == "ended"
    log = (one.board.logs / "keeper.log").read_text().splitlines()
    events = [line.split("  ", 1)[1].partition(";")[0].partition(" for ")[0] for line in log]
    up = "fragile: up at work"
    assert events == [
        "fragile: it cannot be started", up, "fragile: has died", up, "fragile: no answer", "fragile: no answer", up,
    ]  # fmt: skip


def test_the_waits_between_starts_grow_to_a_minute(tmp_path: Path) -> None:
    one = Fragile(Board(tmp_path), ["cannot"] * 9 + ["lives"])
    waits: list[float] = []
    one.ending.wait = lambda timeout=None: bool(waits.append(timeout or 0)) or one.ending.is_set()  # type: ignore
    one.run()
    assert waits[:9] == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_importing_it_is_light(root: Path) -> None:
    code = "import components.services.supervisor.keeper, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not {"prefect", "mlflow", "httpx", "pydantic", "sqlalchemy"} & set(done.stdout.split())


def test_services_json_is_always_whole(tmp_path: Path) -> None:
    board, ended = Board(tmp_path), time.monotonic() + 1
    writers = [
        threading.Thread(target=lambda name=name: [board.tell(name, pid=number) for number in range(30)])
        for name in ("a", "b")
    ]
    for writer in writers:
        writer.start()
    while time.monotonic() < ended and any(writer.is_alive() for writer in writers):
        if (path := services_folder(tmp_path) / "services.json").exists():
            json.loads(path.read_text())
    for writer in writers:
        writer.join()
    found = json.loads((services_folder(tmp_path) / "services.json").read_text())["services"]
    assert (found["a"]["pid"], found["b"]["pid"]) == (29, 29)
