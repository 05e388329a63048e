"""Ray clusters of somebody else, and clusters in trouble: joined and left as they were, told, worked around."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from components.llm.spread.cluster import _join
from tests.llm.ray_processes import descendants, running
from tests.waiting import soon

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed (make setup-ray)"),
]


@dataclass(frozen=True)
class Head:
    """A cluster of somebody else on this machine, with two processors. `auto` finds it with `RAY_TMPDIR: folder`."""

    address: str
    client: str
    environment: dict[str, str]
    process: subprocess.Popen[bytes]
    folder: str


@pytest.fixture(scope="module")
def heads() -> Iterator[Callable[[], Head]]:
    """Gives a head that lives: one is started, and another only where a test has killed it."""
    made: list[Head] = []
    with ExitStack() as ending:

        def living() -> Head:
            if not made or made[-1].process.poll() is not None:
                made.append(ending.enter_context(running_head()))
            return made[-1]

        yield living


@pytest.fixture
def head(heads: Callable[[], Head]) -> Head:
    return heads()


@contextmanager
def running_head() -> Iterator[Head]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="ray-head-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        token = Path(folder) / "token"
        token.write_text("5" * 64, encoding="ascii")
        settings = {
            "RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(token),
        }  # fmt: skip
        environment = {**os.environ, **settings}
        process = subprocess.Popen(
            [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--port=0", "--num-cpus=2",
             "--object-store-memory=100000000", "--include-dashboard=false", "--disable-usage-stats",
             f"--temp-dir={folder}/ray", "--node-ip-address=127.0.0.1", f"--ray-client-server-port={port}"],
            env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        try:
            told = Path(folder) / "ray" / "ray_current_cluster"
            # Its door for clients is a process of its own, which is open later.
            assert soon(lambda: told.exists() and is_open(port) or process.poll() is not None, seconds=200)
            assert process.poll() is None
            address = told.read_text(encoding="ascii").strip()
            yield Head(address, f"ray://127.0.0.1:{port}", environment, process, folder)
        finally:
            started = descendants(process.pid)
            process.terminate()
            process.wait(timeout=60)
            assert soon(lambda: not running(started), seconds=60)


def is_open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True


JOINS = """
import json, sys
from components.llm import load_embedder
from components.llm.spread import Workers

with Workers(address=sys.argv[1]) as workers:
    embedder = load_embedder(model="fake/embedding?delay=0.02", batch_size=4, workers=workers)
    vectors = embedder.embed_passages([f"nota {number}" for number in range(80)], local_notes=["diario.md"])
print(json.dumps({"told": workers.told(), "shape": vectors.shape}))
"""


@pytest.mark.parametrize("door", ["address", "client", "auto"])
def test_a_cluster_that_is_there_is_joined_and_left_as_it_was(root: Path, head: Head, door: str) -> None:
    before = descendants(head.process.pid)
    environment = {**head.environment, "RAY_TMPDIR": head.folder, "RAY_ADDRESS": "192.0.2.7:6379"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", JOINS, getattr(head, door, door)],
        cwd=root, env=environment, capture_output=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    told = json.loads(done.stdout)
    assert told["shape"] == [80, 64]
    assert len(told["told"]) == 2 and sum(counts["texts"] for counts in told["told"].values()) == 80
    assert head.process.poll() is None and running(before)


@pytest.mark.parametrize(
    ("error", "tries"),
    [(ConnectionAbortedError("Starting Ray client server failed. See its log"), 3),
     (ConnectionAbortedError("another version of Ray"), 1), (ConnectionError("ray client connection timeout"), 1)],
    ids=["its process was too slow", "refused", "not reached"],
)  # fmt: skip
def test_only_a_door_that_was_too_slow_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, error: Exception, tries: int
) -> None:
    import ray

    asked: list[dict[str, object]] = []

    def init(**options: object) -> None:  # of the real one nobody can say when it will be too slow
        asked.append(options)
        raise error

    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(type(error), match=str(error)[:20]):
        _join(address="ray://127.0.0.1:1")
    assert len(asked) == tries


STAYS = """
import sys
from components.errors import TerminalError
from components.llm import load_embedder
from components.llm.spread import Workers

try:
    with Workers(address=sys.argv[1]) as workers:
        embedder = load_embedder(model="fake/embedding?delay=0.2", batch_size=4, workers=workers)
        embedder.embed_passages([f"nota {number}" for number in range(8)], local_notes=())
        print("ready", flush=True)
        embedder.embed_passages([f"altra {number}" for number in range(4000)], local_notes=())
except TerminalError as error:
    print(error, flush=True)
    sys.exit(3)
"""


def test_a_cluster_whose_head_dies_is_told_by_its_address(root: Path, head: Head) -> None:
    soon_given_up = {"RAY_CLIENT_RECONNECT_GRACE_PERIOD": "3"}  # half a minute, unless told
    child = subprocess.Popen(
        [sys.executable, "-c", STAYS, head.client], cwd=root, env={**head.environment, **soon_given_up},
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        assert child.stdout is not None and child.stdout.readline() == b"ready\n"
        for pid, _ in [(head.process.pid, 0), *descendants(head.process.pid)]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        out, _ = child.communicate(timeout=200)
    finally:
        if child.poll() is None:
            child.kill()
            child.communicate()
    assert child.returncode == 3
    assert f"the Ray cluster at {head.client} is gone" in out.decode() and "run it again" in out.decode()


CROWDED = """
import time
from components.errors import TerminalError
from components.llm import load_chat
from components.llm.spread import Workers, workers as module

class Other:
    def there(self):
        return True

module._START_SECONDS = 3.0
with Workers(most=1) as workers:
    chat = load_chat(model="fake/chat?mode=echo", workers=workers, temperature=0, max_tokens=8, context_tokens=512,
                     timeout_seconds=5, retries=0, seed=1)
    assert workers.count == 1
    import ray  # Ray reads its token once, so not before it is there

    other = ray.remote(num_cpus=1)(Other).remote()
    assert ray.get(other.there.remote())
    for _ in range(2):
        try:
            chat.chat([{"role": "user", "content": "ciao"}], local_notes=())
        except TerminalError as error:
            print(error, flush=True)
    ray.kill(other)
    module._START_SECONDS = 100.0
    start = time.perf_counter()
    reply = chat.chat([{"role": "user", "content": "ciao"}], local_notes=())
    print(reply.text, reply.seconds < (time.perf_counter() - start) / 2, flush=True)
"""


def test_a_cluster_without_a_free_processor_is_told_each_time_and_works_when_there_is_one(root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CROWDED], cwd=root, capture_output=True, text=True, timeout=200, check=True
    )
    *refused, answered = done.stdout.splitlines()
    assert len(refused) == 2 and all("started no worker within 3 s" in line for line in refused)
    assert answered == "ciao True"  # the start of a worker is no part of an answer's time


FULL = """
from components.errors import TerminalError
from components.llm.spread import Workers

with Workers(most=1) as workers:
    try:
        for number in range(400):
            workers.call("embed", [f"testo {n}" for n in range(2000)], what="texts", model="fake/embedding",
                         dimensions=None)
    except TerminalError as error:
        print(error, flush=True)
"""


def test_a_worker_that_ray_ends_for_want_of_memory_is_replaced(root: Path) -> None:
    little = {"RAY_memory_usage_threshold": "0.001", "RAY_memory_monitor_refresh_ms": "100"}
    done = subprocess.run(
        [sys.executable, "-c", FULL], cwd=root, env={**os.environ, **little}, capture_output=True, text=True,
        timeout=300, check=True,
    )  # fmt: skip
    assert "died; its work is given to another" in done.stderr or "died over the same work" in done.stdout
