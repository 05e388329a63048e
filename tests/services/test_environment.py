"""What Prefect is told before it is imported, the locks, and servers that are named but cannot be used."""

from __future__ import annotations

import http.server
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from components.errors import TerminalError
from components.services import apply_environment, prefect_environment, prefect_server
from components.services.doctor_machine import check_prefect_url
from components.services.supervisor.prefect_api import version_of
from components.services.watch import fault_of
from components.store import FileLock, is_held


def run_python(code: str, *arguments: str, root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, *arguments], cwd=root, capture_output=True, text=True)


def test_prefect_reads_the_environment_and_stays_in_the_workspace(root: Path, tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from components.services import apply_environment, prefect_environment
apply_environment(prefect_environment(Path(sys.argv[1])))
import prefect
from prefect.settings import get_current_settings
settings = get_current_settings()
print(settings.home)
print(settings.server.database.connection_url.get_secret_value())
print(settings.results.local_storage_path)
print(settings.server.analytics_enabled, settings.server.ephemeral.enabled, settings.server.api.csrf_protection_enabled)
"""
    workspace = tmp_path / "my notes"
    done = run_python(code, str(workspace), root=root)
    assert done.stderr == ""
    home = workspace / "prefect"
    assert done.stdout.splitlines() == [
        str(home),
        f"sqlite+aiosqlite:///{home}/prefect.db",
        str(home / "storage"),
        "False False True",
    ]


def test_importing_services_is_light(root: Path) -> None:
    done = run_python("import components.services, sys; print(*sys.modules)", root=root)
    assert done.returncode == 0, done.stderr
    assert not {"prefect", "httpx", "pydantic", "sqlalchemy"} & set(done.stdout.split())


def test_settings_after_the_import_of_prefect_are_refused(root: Path) -> None:
    code = """
import sys
from components.services import apply_environment
apply_environment({"PREFECT_API_URL": "http://127.0.0.1:1/api"})
sys.modules["prefect"] = sys
apply_environment({"PREFECT_API_URL": "http://127.0.0.1:1/api"})
apply_environment({"PREFECT_API_URL": "http://127.0.0.1:2/api"})
"""
    done = run_python(code, root=root)
    assert done.returncode == 1
    assert "TerminalError: Prefect was imported before its settings were made" in done.stderr
    assert "ignore PREFECT_API_URL." in done.stderr


def test_a_refused_setting_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prefect", sys)
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    with pytest.raises(TerminalError):
        apply_environment({"PREFECT_API_URL": "http://127.0.0.1:1/api"})
    assert "PREFECT_API_URL" not in os.environ


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "127.0.0.1,localhost"),
        ("example.org", "example.org,127.0.0.1,localhost"),
        ("localhost,example.org", "localhost,example.org,127.0.0.1"),
    ],
)
def test_a_proxy_is_not_asked_for_this_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, before: str, after: str
) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("NO_PROXY", before)
    assert prefect_environment(tmp_path)["NO_PROXY"] == after


def test_locks_exclude_each_other(tmp_path: Path) -> None:
    one, two, three = (FileLock(tmp_path / "lock") for _ in range(3))
    assert one.try_shared() and two.try_shared()
    assert not three.try_exclusive()
    assert not is_held(tmp_path / "lock")  # not alone
    one.close()
    assert not three.try_exclusive()
    two.close()
    assert three.try_exclusive()
    assert is_held(tmp_path / "lock")
    three.close()
    assert not is_held(tmp_path / "lock")
    assert not is_held(tmp_path / "no such lock")


def test_a_killed_holder_lets_go(root: Path, tmp_path: Path) -> None:
    code = """
import os, signal, sys
from pathlib import Path
from components.store import FileLock, is_held
lock = FileLock(Path(sys.argv[1]))
print(lock.try_exclusive(), is_held(Path(sys.argv[1])), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = run_python(code, str(tmp_path / "lock"), root=root)
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, "True True\n")
    assert not is_held(tmp_path / "lock")


@contextmanager
def answering(status: int, body: bytes) -> Iterator[str]:
    """An HTTP server that answers everything with this; yields its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # noqa: N802 (the name that the base class asks for)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        pytest.param(200, b"<!doctype html>", "is not Prefect's API", id="a web page"),
        pytest.param(401, b"", "answers 401 Unauthorized", id="asks for a password"),
        pytest.param(503, b"true", "answers 503 Service Unavailable", id="not ready"),
    ],
)
def test_a_named_server_that_is_not_prefect(tmp_path: Path, status: int, body: bytes, reason: str) -> None:
    with answering(status, body) as url, pytest.raises(TerminalError, match=reason) as caught:
        with prefect_server(workspace=tmp_path, api_url=f"{url}/api"):
            pass
    assert f"api_url names the Prefect server {url}/api" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_named_server_that_answers_is_used_and_left_alone(tmp_path: Path) -> None:
    with answering(200, b"true") as url, prefect_server(workspace=tmp_path, api_url=f"{url}/api/") as server:
        assert (server.api_url, server.ui_url, server.owned, server.pid) == (f"{url}/api", url, False, None)
    assert list(tmp_path.iterdir()) == []


def test_the_environment_names_a_server_where_nobody_listens(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.socket() as bound:  # and never listens
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}/api"
        monkeypatch.setenv("PREFECT_API_URL", url)
        with pytest.raises(TerminalError) as caught, prefect_server(workspace=tmp_path):
            pass
    message = str(caught.value)
    assert message.startswith(f"PREFECT_API_URL names the Prefect server {url}, and it cannot be used: ")
    assert "Connection refused" in message and "unset PREFECT_API_URL" in message


def test_this_machine_is_asked_without_a_proxy_and_another_one_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with answering(200, b"true") as here, answering(200, b"true") as proxy:
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # where nobody listens
        assert fault_of(f"{here.replace('127.0.0.1', 'localhost')}/api") is None
        assert fault_of("http://prefect.example//127.0.0.1/api")
        monkeypatch.setenv("http_proxy", proxy)
        assert fault_of("http://prefect.example//127.0.0.1/api") is None
        assert version_of("http://prefect.example//localhost/api") == "True"
        assert [one.level for one in check_prefect_url({"PREFECT_API_URL": "http://prefect.example/api"})] == ["ok"]


@pytest.mark.parametrize("url", ["localhost:4200/api", "file:///etc/passwd", ""])
def test_an_address_that_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, url: str) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "ftp://somewhere/api")  # what an empty api_url falls back to
    with pytest.raises(TerminalError, match="does not start with http:// or https://"):
        with prefect_server(workspace=tmp_path, api_url=url):
            pass


def test_a_workspace_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    (tmp_path / "file").write_text("")
    with pytest.raises(TerminalError, match=r"file/prefect: Prefect's files cannot be written there \(Not a dir"):
        with prefect_server(workspace=tmp_path / "file"):
            pass
