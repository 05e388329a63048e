"""What ends the server, and what does not."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from components.serve.http.server import bind
from tests.nagle import sends_at_once

SERVER = """
import signal, sys
from starlette.responses import PlainTextResponse
from components.serve.http.server import address_of, bind, run

for name in ("SIGINT", "SIGTERM", "SIGHUP"):
    signal.signal(getattr(signal, name), signal.SIG_IGN if name in sys.argv else signal.SIG_DFL)
listening = bind("127.0.0.1", 0)
run(PlainTextResponse("here"), listening, grace_seconds=5, ready=lambda: print(address_of(listening), flush=True))
print("Ended.")
"""


@contextmanager
def server(*ignores: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """One in a process of its own, which was begun to ignore these signals; its address."""
    process = subprocess.Popen([sys.executable, "-c", SERVER, *ignores], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", address)
        yield address, process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("ignored", ["SIGHUP", "SIGINT"], ids=["nohup", "in the background"])
def test_a_signal_that_it_was_begun_to_ignore_does_not_end_it(ignored: str) -> None:
    with server(ignored) as (url, process):
        process.send_signal(getattr(signal, ignored))
        time.sleep(0.5)  # it looks ten times a second whether it is to end
        assert httpx.get(url, timeout=20).text == "here"
        process.send_signal(signal.SIGTERM)
        assert (process.communicate(timeout=60)[0], process.returncode) == ("Ended.\n", 0)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_any_other_ends_it_cleanly(name: str) -> None:
    with server() as (_, process):
        process.send_signal(getattr(signal, name))
        assert (process.communicate(timeout=60)[0], process.returncode) == ("Ended.\n", 0)


def test_an_answer_does_not_wait_until_its_head_was_acknowledged() -> None:
    assert sends_at_once(bind("127.0.0.1", 0))
