"""Processes that shall end badly, forked from one that has imported all they need: an import takes longer than a life.

    python -m tests.nursery MODULE

calls MODULE.prepare, which imports, and starts nothing that has threads: no child would have them. (lancedb makes its
own loop anew in a child.) Standard input is a socket, on which `Nursery` asks for children. A child calls MODULE.main
with its arguments, and ends as any program does. All children end with the nursery.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.waiting import soon

__all__ = ["Child", "Nursery"]

ROOT = Path(__file__).resolve().parents[1]


class Child:
    """A life that has begun.

    Attributes:
        pid: of its process.
        code: exit code, or minus the signal that ended it; None as long as nobody has seen it end.
    """

    def __init__(self, nursery: Nursery, pid: int, pipes: tuple[int, int]) -> None:
        """`pipes`: where its standard output and its standard error come out."""
        self.pid = pid
        self.code: int | None = None
        self._nursery, self._lock = nursery, threading.Lock()
        self._told = (bytearray(), bytearray())
        self._readers = [
            threading.Thread(target=_read, args=one, daemon=True) for one in zip(pipes, self._told, strict=True)
        ]
        for reader in self._readers:
            reader.start()

    @property
    def out(self) -> str:
        """What it has written to standard output so far."""
        return self._told[0].decode(errors="replace")

    @property
    def err(self) -> str:
        """What it has written to standard error so far."""
        return self._told[1].decode(errors="replace")

    def poll(self) -> int | None:
        """Its code; None: it lives."""
        with self._lock:  # it is seen to end once
            if self.code is None:
                self.code = self._nursery.ask({"pid": self.pid})
            return self.code

    def says(self, word: str) -> None:
        """Wait until this is in its standard output. AssertionError: it does not come."""
        soon(lambda: word in self.out or self.poll() is not None, every=0.005)
        if self.poll() is not None:
            self.wait()
        assert word in self.out, self.err

    def wait(self, seconds: float = 300) -> int:
        """Its code, once it has ended and all that it wrote is here. AssertionError: it lives on."""
        assert soon(lambda: self.poll() is not None, seconds, every=0.01), (
            f"it lives on after {seconds:g} s: {self.err}"
        )
        for reader in self._readers:
            reader.join(60)
        assert self.code is not None
        return self.code

    def send(self, number: signal.Signals) -> None:
        """Send it a signal; one that has ended gets none."""
        if self.poll() is None:
            os.kill(self.pid, number)  # its number is not given to another before `poll` has seen it end

    def kill(self) -> None:
        """SIGKILL."""
        self.send(signal.SIGKILL)


class Nursery:
    """The process that children are forked from. Threads may share it."""

    def __init__(self, module: str, *, environment: Mapping[str, str] | None = None) -> None:
        """`module`: its `main` is what children do. `environment`: of all of them; none: that of this process."""
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._lock = threading.Lock()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.nursery", module], cwd=ROOT, stdin=theirs, env=environment,
                start_new_session=True,  # Ctrl-C at a terminal is for who has started it
            )  # fmt: skip

    def __enter__(self) -> Nursery:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it, and all children."""
        self._socket.close()
        self._process.wait(60)

    def start(self, *arguments: object, environment: Mapping[str, str] | None = None) -> Child:
        """Fork one. `arguments`: of `main`, as text. `environment`: variables beside those that the nursery has."""
        pipes = os.pipe(), os.pipe()
        told = {"arguments": list(map(str, arguments)), "environment": dict(environment or {})}
        try:
            pid = self.ask(told, *(write for _, write in pipes))
        finally:
            for _, write in pipes:
                os.close(write)
        return Child(self, pid, (pipes[0][0], pipes[1][0]))

    def ask(self, told: dict[str, Any], *files: int) -> Any:
        """Say something to the process, and hand it files; its answer."""
        with self._lock:
            socket.send_fds(self._socket, [json.dumps(told).encode()], files)
            answer = self._socket.recv(1 << 10)
        assert answer, "the nursery has ended"
        return json.loads(answer)


def _read(pipe: int, told: bytearray) -> None:
    with open(pipe, "rb", buffering=0) as file:
        while some := file.read(1 << 16):
            told += some


def _forked() -> list[str]:
    """Fork a child for each request; returns in a child, with its arguments. Ends the process where nobody asks."""
    living: set[int] = set()
    with socket.socket(fileno=os.dup(0)) as asked:
        while True:
            data, files, _, _ = socket.recv_fds(asked, 1 << 16, 2)
            if not data:
                break
            told = json.loads(data)
            if not files:
                pid, status = os.waitpid(told["pid"], os.WNOHANG)
                living.discard(pid)
                asked.send(json.dumps(os.waitstatus_to_exitcode(status) if pid else None).encode())
                continue
            pid = os.fork()
            if pid == 0:
                for file, place in zip((os.open(os.devnull, os.O_RDONLY), *files), (0, 1, 2), strict=True):
                    os.dup2(file, place)
                    os.close(file)
                os.environ.update(told["environment"])
                arguments: list[str] = told["arguments"]
                return arguments
            living.add(pid)
            for file in files:
                os.close(file)
            asked.send(json.dumps(pid).encode())
    for pid in living:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    os._exit(0)


def _main(name: str) -> None:
    warnings.filterwarnings("ignore", "lancedb fork support")
    module = importlib.import_module(name)
    module.prepare()
    arguments = _forked()
    module.main(*arguments)


if __name__ == "__main__":
    _main(sys.argv[1])
