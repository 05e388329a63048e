"""A server that freezes, and a database that is damaged: seen by what stands in for Prefect, so in seconds."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.errors import TerminalError, TransientError
from components.services import watch
from components.services.database import put_aside_when_damaged
from components.services.watch import fault_of, server_state, watched
from components.store import is_held
from tests.loopback import JsonHandler, Loopback

# Holds server.lock and answers /api/health, as a Prefect server does.
STANDS_IN = """
import json, os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from components.store import FileLock
folder = Path(sys.argv[1])
lock = FileLock(folder / "server.lock")
assert lock.try_exclusive()
class Health(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"true")
    def log_message(self, *_):
        pass
server = HTTPServer(("127.0.0.1", 0), Health)
(folder / "server.json").write_text(json.dumps({"pid": os.getpid(), "api_url": f"http://127.0.0.1:{server.server_port}/api"}))
print("up", flush=True)
server.serve_forever()
"""


@pytest.fixture
def server(root: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", STANDS_IN, str(tmp_path)], cwd=root, env=os.environ | {"PYTHONPATH": str(root)},
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout and process.stdout.readline() == "up\n"
    yield process
    process.kill()
    process.communicate()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "HUNG_SECONDS", 0.5)
    monkeypatch.setattr(watch, "_ASK_SECONDS", 0.2)


def url(folder: Path) -> str:
    return str(server_state(folder)["api_url"])


@pytest.mark.usefixtures("impatient")
def test_a_server_that_freezes_is_killed_and_the_run_told(server: subprocess.Popen[str], tmp_path: Path) -> None:
    said: list[str] = []
    with pytest.raises(TransientError, match="the same command goes on from there"):
        with watched(tmp_path, url(tmp_path), say=said.append):
            server.send_signal(signal.SIGSTOP)
            assert server.wait(timeout=60) == -signal.SIGKILL
            raise ConnectionError("as a client's request then ends")
    assert len(said) == 1 and "has not answered" in said[0]
    assert not is_held(tmp_path / "server.lock")


@pytest.mark.usefixtures("impatient")
def test_a_server_that_answers_is_left_alone(server: subprocess.Popen[str], tmp_path: Path) -> None:
    said: list[str] = []
    with pytest.raises(ZeroDivisionError), watched(tmp_path, url(tmp_path), say=said.append):
        time.sleep(1.5)
        _ = 1 / 0  # a fault of the run's own passes as it is
    assert server.poll() is None and said == []
    with pytest.raises(TerminalError, match="mine"), watched(tmp_path, url(tmp_path), say=said.append):
        server.kill()
        server.wait()
        raise TerminalError("mine")


def test_a_server_that_works_and_does_not_answer_has_more_time(tmp_path: Path) -> None:
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        (tmp_path / "server.json").write_text(json.dumps({"pid": busy.pid, "api_url": "http://127.0.0.1:9/api"}))
        silence = watch.Silence(tmp_path)
        silence.add(1.0, answers=True)
        for _ in range(3):
            time.sleep(0.5)
            working = silence.add(10.0, answers=False)
        assert working == pytest.approx(6.0)  # a fifth
        busy.send_signal(signal.SIGSTOP)
        silence.add(10.0, answers=False)
        time.sleep(0.3)
        assert silence.add(10.0, answers=False) >= working + 10.0
        assert silence.add(10.0, answers=True) == 0.0
    finally:
        busy.kill()
        busy.wait()


def test_only_the_holder_of_the_lock_is_ever_killed(tmp_path: Path) -> None:
    innocent = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        (tmp_path / "server.json").write_text(json.dumps({"pid": innocent.pid, "api_url": "http://127.0.0.1:9/api"}))
        watch.end_frozen(tmp_path)
        assert innocent.poll() is None
    finally:
        innocent.kill()
        innocent.wait()


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"pid": 1}', '{"pid": "x", "api_url": "y"}', "\x00" * 50])
def test_a_damaged_server_json_says_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "server.json").write_text(text)
    assert server_state(tmp_path) == {}
    assert fault_of("ftp://x") is not None


class Busy(JsonHandler):
    """Has too much to do for the first questions: it takes them, and answers none."""

    unanswered = 2

    def do_GET(self) -> None:
        if type(self).unanswered > 0:
            type(self).unanswered -= 1
            time.sleep(1.0)
            self.close_connection = True
            return
        self.send_response(200)
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"true")


@pytest.mark.parametrize(("patience", "answers"), [(0.0, False), (30.0, True)], ids=["no patience", "patience"])
def test_a_server_that_has_too_much_to_do_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, patience: float, answers: bool
) -> None:
    monkeypatch.setattr(watch, "_ASK_SECONDS", 0.3)
    monkeypatch.setattr(Busy, "unanswered", 2)
    server = Loopback(Busy)
    try:
        fault = fault_of(f"{server.url}/api", patience_seconds=patience)
        assert (fault is None) == answers, fault
    finally:
        server.close()


def test_nobody_is_asked_again_where_nobody_listens() -> None:
    server = Loopback(Busy)
    server.close()
    before = time.monotonic()
    assert "does not answer" in str(fault_of(f"{server.url}/api", patience_seconds=60.0))
    assert time.monotonic() - before < 30


def database(folder: Path, rows: int = 2000) -> Path:
    path = folder / "prefect.db"
    connection = sqlite3.connect(path)
    connection.execute("create table flow_run (id integer primary key, name text)")
    connection.executemany("insert into flow_run (name) values (?)", [(f"run {number}",) for number in range(rows)])
    connection.execute("create index names on flow_run (name)")
    connection.commit()
    connection.close()
    return path


def test_a_sound_database_stays(tmp_path: Path) -> None:
    path = database(tmp_path)
    before = path.read_bytes()
    assert put_aside_when_damaged(tmp_path) is None
    assert path.read_bytes() == before


def test_a_database_that_another_process_uses_stays(tmp_path: Path) -> None:
    path = database(tmp_path)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("begin exclusive")
    try:
        assert put_aside_when_damaged(tmp_path) is None
    finally:
        connection.close()
    assert path.exists()


@pytest.mark.parametrize("how", ["foreign", "truncated", "torn page", "no header"])
def test_a_damaged_database_is_put_aside_with_its_log(tmp_path: Path, how: str) -> None:
    path = database(tmp_path)
    data = bytearray(path.read_bytes())
    if how == "foreign":
        data = bytearray(b"a letter, and no database " * 400)
    elif how == "truncated":
        del data[len(data) // 2 :]
    elif how == "torn page":
        data[4096 * 3 : 4096 * 4] = b"\xff" * 4096
    else:
        data[:16] = b"\x00" * 16
    path.write_bytes(data)
    path.with_name("prefect.db-wal").write_bytes(b"an old log")
    assert put_aside_when_damaged(tmp_path) == tmp_path / "prefect.db.corrupt-1"
    assert not path.exists() and not path.with_name("prefect.db-wal").exists()
    assert (tmp_path / "prefect.db.corrupt-1").exists()
    database(tmp_path)
    assert put_aside_when_damaged(tmp_path) is None  # and the next one is not taken for it


def test_an_empty_or_missing_database_is_none(tmp_path: Path) -> None:
    assert put_aside_when_damaged(tmp_path) is None
    (tmp_path / "prefect.db").touch()
    assert put_aside_when_damaged(tmp_path) is None
