"""A `cervella serve` in a process of its own, what it asks elsewhere, who asks it, and the disk that it writes to."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from resource import RLIMIT_FSIZE, prlimit
from typing import Any

import httpx

from components.index import Index, chunk_documents
from components.llm import load_embedder
from components.sncp.collect import collect
from components.sncp.params import DEFAULT_SOURCES
from components.usage import usage_file
from tests.flows.conftest import Done, Program
from tests.loopback import JsonHandler, Loopback
from tests.scale.scale_house import ScaleHouse
from tests.waiting import soon

KEY = "sk-chaos-0123456789abcdef"
SECONDS = 20  # of a request, in the recipe
HELPER_SECONDS = 2  # of a call of the helper
FAILURES, BREAKER_SECONDS = 3, 1  # in a row, then it is left alone for so long
RECIPE = """\
extends: house.yaml
name: chaos
llm: {{cache: true, chat: {{model: "fake/chat"}}}}
serve:
  look_seconds: 0.1
  limits: {{per_minute: 1000000, seconds: {seconds}}}
  router:
    helper: {{model: openai/gpt-4o-mini, api_base: "{helper}", api_key_env: CHAOS_KEY, timeout_seconds: {late}}}
    breaker: {{failures: {failures}, seconds: {alone}}}
"""
EASY = "Caparra della spiaggia ad agosto nella versione attuale: costa quanto per cento? Pratica {number}."
# What `fake/chat` takes for an answer: the line that shares most words with how it is told to answer.
SAID = "Dopo ogni fatto il numero della sua nota, come dicono le note, se la risposta in italiano non si scrive: "
HARD = "Confronta la caparra di agosto con quella di luglio, valuta i rischi e pianifica i passi, pratica {number}."


class Elsewhere:
    """The helper's endpoint. `does`: `answers`; `reset`, `end`: is cut after `cut_at` pieces; `mute`: says nothing."""

    pieces = ("Dalla", " aiutante,\n", *(f"riga {number} di sei,\n" for number in range(1, 7)), "con calma.")

    def __init__(self) -> None:
        self.does = "answers"
        self.cut_at = 0
        self.asked: list[str] = []
        self._release = threading.Event()
        self._server: Loopback | None = None
        self._port = 0
        self.open()
        self.url = f"http://127.0.0.1:{self._port}/v1"

    def open(self) -> None:
        """Listen, on the port of before if there was one."""
        double = self

        class Handler(JsonHandler):
            def do_POST(self) -> None:
                body = self.read_json()
                double.asked.append(body["messages"][-1]["content"])
                with suppress(OSError):
                    double._answer(self)

        self._release.clear()
        self._server = Loopback(Handler, port=self._port)
        self._port = self._server.port

    def close(self) -> None:
        """Listen no more: whoever connects is refused."""
        self._release.set()
        if self._server:
            self._server.close()
            self._server = None

    def _answer(self, handler: Any) -> None:
        does = self.does
        if does == "mute":
            self._release.wait(60)
            handler.close_connection = True
            return
        handler.send_response(200)
        handler.send_header("content-type", "text/event-stream")
        handler.send_header("transfer-encoding", "chunked")
        handler.end_headers()
        for place, piece in enumerate(self.pieces):
            if place == self.cut_at and does != "answers":
                handler.close_connection = True
                if does == "reset":  # as the system does for a process that was killed
                    time.sleep(0.1)
                    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    handler.connection.close()
                else:
                    handler.wfile.write(b"0\r\n\r\n")
                return
            self._send(handler, {"index": 0, "delta": {"role": "assistant", "content": piece}})
        self._send(handler, {"index": 0, "delta": {}, "finish_reason": "stop"})
        self._chunk(handler, b"data: [DONE]\n\n")
        handler.wfile.write(b"0\r\n\r\n")

    def _send(self, handler: Any, choice: dict[str, Any]) -> None:
        event = {
            "id": "x",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "gpt-4o-mini",
            "choices": [choice],
        }
        self._chunk(handler, f"data: {json.dumps(event)}\n\n".encode())

    def _chunk(self, handler: Any, data: bytes) -> None:
        handler.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        handler.wfile.flush()


@dataclass
class Told:
    """What somebody who asked was told."""

    status: int
    text: str
    cervella: dict[str, Any]
    error: dict[str, Any] | None
    seconds: float
    id: str = ""

    @property
    def is_whole(self) -> bool:
        return self.status == 200 and self.error is None and bool(self.text) and bool(self.cervella)


def ask(client: httpx.Client, question: str, *, stream: bool = False) -> Told:
    """Ask, whole or in pieces; an answer in pieces is whole only with its end."""
    body = {"model": "cervella", "messages": [{"role": "user", "content": question}], "stream": stream}
    begun = time.monotonic()
    answer = client.post("/v1/chat/completions", json=body)
    seconds = time.monotonic() - begun
    if answer.status_code != 200 or not stream:
        told = answer.json()
        text = told["choices"][0]["message"]["content"] if "choices" in told else ""
        return Told(
            answer.status_code, text, told.get("cervella", {}), told.get("error"), seconds, told.get("id", "")
        )  # fmt: skip
    text, cervella, error, id, ended = "", {}, None, "", False
    for event in answer.text.strip().split("\n\n"):
        data = event.removeprefix("data: ")
        if data == "[DONE]":
            ended = True
            continue
        chunk = json.loads(data)
        error = chunk.get("error") or error
        cervella = chunk.get("cervella") or cervella
        id = chunk.get("id") or id
        text += "".join(choice["delta"].get("content") or "" for choice in chunk.get("choices", []))
    if not ended and error is None:
        error = {"message": "cut", "type": "", "param": None, "code": "cut"}
    return Told(answer.status_code, text, cervella, error, seconds, id)


@dataclass
class Server:
    """A `cervella serve` that answers."""

    url: str
    process: subprocess.Popen[str]
    house: ScaleHouse
    elsewhere: Elsewhere
    lines: list[str]
    numbers: Iterator[int] = field(default_factory=lambda: iter(range(1, 10**9)))
    first: Told | None = None
    """What it said to the first question after its start, a hard one."""

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=SECONDS + 10)

    def ask(self, question: str, *, stream: bool = False) -> Told:
        with self.client() as client:
            return ask(client, question, stream=stream)

    def easy(self) -> str:
        """A question that nobody has asked yet, for the own model."""
        return EASY.format(number=next(self.numbers))

    def hard(self) -> str:
        """The same for the helper."""
        return HARD.format(number=next(self.numbers))

    def health(self) -> dict[str, Any]:
        told: dict[str, Any] = httpx.get(f"{self.url}/health", timeout=30).json()
        return told

    def number(self, name: str) -> float:
        """A number of /metrics, by its name and labels; 0.0 where it was not counted yet."""
        lines = httpx.get(f"{self.url}/metrics", timeout=30).text.splitlines()
        return next((float(line.rpartition(" ")[2]) for line in lines if line.rpartition(" ")[0] == name), 0.0)

    def is_idle(self, *, seconds: float = 30) -> bool:
        """Whether nobody is answered and nobody waits, so many seconds from now at the latest."""
        return soon(
            lambda: self.number("cervella_in_flight") == self.number("cervella_waiting") == 0, seconds=seconds
        )  # fmt: skip

    def memory(self) -> int:
        """Resident (bytes)."""
        return int(_status(self.process.pid, "VmRSS")) * 1024

    def threads(self) -> int:
        return int(_status(self.process.pid, "Threads"))

    def warned(self, words: str) -> int:
        """How many lines of the log say so."""
        return sum(words in line for line in list(self.lines))

    def in_service(self, model: str) -> str:
        """Have a release that answers with this model in service, and seen by the server; returns its digest."""
        digest = self.house.release(model)
        assert self.house.promote() == digest
        assert soon(lambda: self.health()["release"] == digest, seconds=60), self.health()
        return digest

    def recorded(self) -> set[str]:
        """Ids of the requests that the usage log has."""
        with sqlite3.connect(usage_file(self.house.workspace), timeout=30) as log:
            rows = {row[0] for row in log.execute("SELECT request FROM query")}
        log.close()
        return rows

    @contextmanager
    def under_load(self, question: Callable[[], str], *, clients: int = 8) -> Iterator[list[Told]]:
        """So many clients that ask all the time, for the length of the block: whole and in pieces in turn."""
        told: list[Told] = []
        ended = threading.Event()

        def talk(stream: bool) -> None:
            with self.client() as client:
                while not ended.is_set():
                    try:
                        told.append(ask(client, question(), stream=stream))
                    except Exception as error:  # no answer at all is what these tests look for
                        told.append(Told(0, "", {}, {"message": repr(error)}, 0.0))
                    stream = not stream

        threads = [threading.Thread(target=talk, args=(place % 2 == 0,)) for place in range(clients)]
        for thread in threads:
            thread.start()
        try:
            yield told
        finally:
            ended.set()
            for thread in threads:
                thread.join()


def _status(pid: int, name: str) -> str:
    text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return next(line.split()[1] for line in text.splitlines() if line.startswith(f"{name}:"))


@contextmanager
def serving(program: Program, house: ScaleHouse, elsewhere: Elsewhere) -> Iterator[Server]:
    """The server, until the end of the block; it has to end cleanly, and no way that it went shows a traceback."""
    recipe = house.folder / "chaos.yaml"
    recipe.write_text(
        RECIPE.format(
            helper=elsewhere.url, seconds=SECONDS, late=HELPER_SECONDS, failures=FAILURES, alone=BREAKER_SECONDS
        ),
        encoding="utf-8",
    )
    process = program.start("serve", recipe, "--port", "0")
    lines: list[str] = []
    assert process.stdout is not None and process.stderr is not None
    reader = threading.Thread(target=lambda: lines.extend(process.stderr or ()), daemon=True)
    reader.start()  # a pipe that nobody reads would stop the server
    try:
        found = re.search(r"answers at (http://\S+)/v1 ", process.stdout.readline())
        assert found, "".join(lines)
        yield Server(found[1], process, house, elsewhere, lines)
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)
        reader.join(timeout=30)
        done = Done(process.returncode, process.stdout.read(), "".join(lines))
        assert (done.code, done.out.splitlines()[-1]) == (0, "Ended."), done.err
        assert "Traceback" not in done.err, done.err
        assert "caparra" not in done.err and KEY not in done.err, "what is asked is in the log"
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        reader.join(timeout=30)
        process.stdout.close()
        process.stderr.close()


class Publisher:
    """Publishes notes that say their version, in an index that others read. `digests`: version -> of what it made."""

    def __init__(self, folder: Path, index: Path) -> None:
        self._folder = folder
        self._index = Index.open(index, load_embedder(model="fake/embedding"))
        self.digests: dict[int, str] = {}

    def publish(self, version: int) -> str:
        """The notes of this version in place of those before; no path is in two versions."""
        root = self._folder / f"{version}"
        for name in ("spiaggia", "cucina", "cantina"):
            file = root / f"versione-{version}" / f"{name}.md"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(
                f"# La {name} ad agosto\n\n**Data:** 2025-07-01\n\n## Caparra\n\n{SAID}"
                f"la caparra della {name} ad agosto nella versione {version} costa {version} per cento.\n",
                encoding="utf-8",
            )
        documents = collect(
            root=root, sources=DEFAULT_SOURCES, include=["**/*.md"], exclude=[], max_bytes=10**6, redact="redact",
            persona_files=[],
        ).documents  # fmt: skip
        embedder = self._index.embedder
        assert embedder is not None and len(documents) == 3
        self._index.sync(
            chunk_documents(documents, max_tokens=200, breadcrumbs=True, count_tokens=embedder.count_tokens)
        )
        digest = self._index.live_digest()
        assert digest is not None
        self.digests[version] = digest
        return digest


class Disk:
    """Where the house is: a small disk of its own that can be filled, or, where nobody may mount one, a folder."""

    def __init__(self, folder: Path, *, size: str) -> None:
        self.folder = folder
        mounting = ["mount", "-t", "tmpfs", "-o", f"size={size}", "small", str(folder)]
        self._is_own = (
            shutil.which("mount") is not None and not subprocess.run(mounting, capture_output=True).returncode
        )
        self._ballast = folder / "ballast"

    def unmount(self) -> None:
        if self._is_own:
            subprocess.run(["umount", "--lazy", self.folder], check=True)  # this process has read there too

    @contextmanager
    def full(self, process: subprocess.Popen[str]) -> Iterator[None]:
        """Nothing can be written for the length of the block: the disk is full, or no file of the process may grow."""
        before, ended = prlimit(process.pid, RLIMIT_FSIZE), threading.Event()
        filled = threading.Event()

        def fill() -> None:
            with self._ballast.open("ab", buffering=0) as ballast:
                while not ended.wait(0.002):  # what others give up is taken too
                    for size in (1 << 16, 1 << 12, 1):
                        with suppress(OSError):
                            while True:
                                ballast.write(b"\0" * size)
                    filled.set()

        filling = threading.Thread(target=fill, daemon=True)
        if self._is_own:
            filling.start()
            assert filled.wait(60)
        else:
            prlimit(process.pid, RLIMIT_FSIZE, (0, before[1]))
        try:
            yield
        finally:
            ended.set()
            prlimit(process.pid, RLIMIT_FSIZE, before)
            if self._is_own:
                filling.join()
                self._ballast.unlink()
