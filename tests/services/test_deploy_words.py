"""What `cervella deploy` says when it cannot, with which exit code, and how changes read."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from components.errors import InputError, TerminalError
from components.services.deployments import Change, Deployed
from components.services.deployments.changes import compared
from components.services.deployments.server import check_address, connected

pytestmark = pytest.mark.timeout(120)


@contextmanager
def answering(answers: dict[str, tuple[int, object]]) -> Iterator[str]:
    """A server that answers as told, by path."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers.get(self.path.partition("?")[0], (404, {"detail": "Not Found"}))
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/api"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("127.0.0.1:4200/api", "does not begin with http:// or https://"),
        ("http:///api", "does not begin with http:// or https://"),
        ("ftp://127.0.0.1/api", "does not begin with http:// or https://"),
        ("http://127.0.0.1:99999/api", "out of range"),
        ("http://127.0.0.1:port/api", "could not be cast"),
        ("http://me:word@127.0.0.1:4200/api", "PREFECT_API_AUTH_STRING"),
        ("http://127.0.0.1:4200/api?x=1", "more than host, port and path"),
        ("http://[::1/api", "Invalid IPv6 URL"),
    ],
    ids=["no scheme", "no host", "other scheme", "large port", "no number", "password", "query", "bracket"],
)
def test_what_is_no_address_is_said_and_a_password_is_not_repeated(url: str, said: str) -> None:
    with pytest.raises(InputError) as raised:
        check_address(url)
    assert said in str(raised.value) and "expected one such as http://127.0.0.1:4200/api" in str(raised.value)
    assert "me:word" not in str(raised.value)


def test_an_address_with_a_good_form_passes() -> None:
    for url in ("http://127.0.0.1:4200/api", "https://prefect.example.org/api", "http://[::1]:4200/api"):
        check_address(url)


def test_a_server_of_another_major_version_is_told() -> None:
    answers = {"/api/health": (200, True), "/api/admin/version": (200, "2.20.3"), "/api/csrf-token": (422, {})}
    with answering(answers) as url, pytest.raises(TerminalError, match=r"is Prefect 2\.20\.3, and here is 3\."):
        with connected(url):
            pass


def test_a_server_that_asks_for_a_password_is_told() -> None:
    with answering({"/api/health": (200, True), "/api/admin/version": (401, {})}) as url:
        with pytest.raises(TerminalError, match="PREFECT_API_AUTH_STRING"), connected(url):
            pass


def test_what_answers_but_is_not_prefect_is_told() -> None:
    with answering({"/api/health": (200, "hello")}) as url:
        with pytest.raises(TerminalError, match="is not Prefect's API"), connected(url):
            pass


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--api-url", "http://127.0.0.1:1/api"), 3, "cannot be used"),
        (("--api-url", "localhost:4200"), 2, "is no address of a Prefect server"),
        ((), 3, "cervella up starts one and deploys"),
    ],
    ids=["nobody answers", "no address", "none runs"],
)
def test_the_command_says_what_is_wrong_by_exit_code(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], code: int, said: str
) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    done = subprocess.run(
        [sys.executable, "-m", "flows.cli", "deploy", "--dry-run", "-w", str(tmp_path / "new"), *options],
        cwd=root, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr and "Traceback" not in done.stderr


def test_a_change_names_each_key_with_its_old_and_new_value() -> None:
    found = {"description": "a", "parameters": {"recipe": "mvp"}, "tags": ["x", "y"], "limit": None, "same": {"a": {}}}
    wanted = {"description": "b", "parameters": {"k": 3}, "tags": ["y", "z"], "limit": 1, "same": {}}
    [change] = compared("deployment", "flow/name", found=found, wanted=wanted)
    assert str(change).splitlines() == [
        "~ deployment flow/name (changed)",
        "    description: a -> b",
        "    parameters.k: nothing -> 3",
        "    tags: + z, - x",
        "    limit: nothing -> 1",
        "    parameters.recipe: mvp -> nothing",
    ]
    assert change.to_dict()["keys"]["limit"] == {"old": None, "new": 1}
    assert compared("deployment", "flow/name", found=wanted, wanted=wanted) == []


@pytest.mark.parametrize(
    ("changes", "left", "said"),
    [
        ([], [], "Deployed: nothing changed"),
        (["new", "new", "gone"], [], "Deployed: 2 deployments new, 1 deployment gone"),
        (["changed"], ["gone"], "Deployed: 1 deployment changed; 1 not removed"),
    ],
    ids=["nothing", "some", "left"],
)
def test_what_was_done_is_a_sentence(changes: list[str], left: list[str], said: str) -> None:
    def make(what: str) -> Change:
        return Change("deployment", what, what)  # type: ignore[arg-type]

    assert str(Deployed("url", tuple(map(make, changes)), tuple(map(make, left)))) == said
