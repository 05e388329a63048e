"""A double of vLLM: a real HTTP process with a helper of its own, which says what it was asked, and fails on command.

It lies in an environment as `vllm.entrypoints.openai.api_server`. The folder in $VLLM_DOUBLE has its commands as files:

    ends        it ends at its start        slow        seconds before it listens
    hangs       /health does not answer     pauses      seconds between two words of an answer
    refuses     adapters are not loaded     mute        no answer begins

Once a word of an answer in pieces was sent there is a file `begun`.

Answers come from a process of its own, its engine: while that is stopped, /health is well and no answer begins.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import resource_tracker, shared_memory
from pathlib import Path
from typing import Any

COMMANDS = Path(os.environ["VLLM_DOUBLE"])
KEY = os.environ.get("VLLM_API_KEY", "")


def said(name: str) -> float:
    """The number in a command's file; 0: there is no such command."""
    try:
        return float((COMMANDS / name).read_text() or 1)
    except OSError:
        return 0.0


class Engine:
    """Hands back each word, in a process of its own."""

    def __init__(self) -> None:
        words = "import sys\nfor line in sys.stdin:\n    sys.stdout.write(line)\n    sys.stdout.flush()"
        self.process = subprocess.Popen(
            [sys.executable, "-c", words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )  # fmt: skip
        self._turn = threading.Lock()

    def step(self) -> None:
        with self._turn:
            assert self.process.stdin is not None and self.process.stdout is not None
            self.process.stdin.write("word\n")
            self.process.stdin.flush()
            self.process.stdout.readline()


class Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True  # as vLLM's


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    models: list[str] = []
    engine: Engine

    def log_message(self, *_: object) -> None:
        """Nothing is logged."""

    def answer(self, status: int, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def allowed(self) -> bool:
        if self.headers.get("Authorization") == f"Bearer {KEY}":
            return True
        self.answer(401, {"error": "Unauthorized"})
        return False

    def do_GET(self) -> None:
        if self.path == "/health":
            while said("hangs"):
                time.sleep(0.05)
            self.answer(200, {})
        elif self.allowed():
            self.answer(200, {"object": "list", "data": [{"id": name} for name in self.models]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self.allowed():
            return
        if self.path == "/v1/load_lora_adapter":
            if said("refuses") or not (Path(body["lora_path"]) / "adapter_config.json").is_file():
                self.answer(404, {"error": {"message": "No adapter found for <path>"}})
                return
            self.models.append(body["lora_name"])
            self.answer(200, "Success")
        elif self.path == "/v1/unload_lora_adapter":
            self.models.remove(body["lora_name"])
            self.answer(200, "Success")
        elif body["model"] not in self.models:
            self.answer(404, {"error": {"message": f"The model {body['model']} does not exist."}})
        else:
            self.talk(body)

    def talk(self, body: dict[str, Any]) -> None:
        words = f"{body['model']} was asked for {body['max_tokens']} tokens [1]".split(" ")
        while said("mute"):
            time.sleep(0.05)
        self.engine.step()
        usage = {"prompt_tokens": 7, "completion_tokens": len(words), "total_tokens": 7 + len(words)}
        base = {"id": "x", "created": 1, "model": body["model"]}
        if not body.get("stream"):
            message = {"role": "assistant", "content": " ".join(words)}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            self.answer(200, {**base, "object": "chat.completion", "choices": [choice], "usage": usage})
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        base["object"] = "chat.completion.chunk"
        for place, word in enumerate(words):
            delta = {"content": word if place == 0 else f" {word}"}
            self.event({**base, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
            (COMMANDS / "begun").touch()
            time.sleep(said("pauses"))
        self.event({**base, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        self.event({**base, "choices": [], "usage": usage})
        self.chunk(b"data: [DONE]\n\n")
        self.chunk(b"")

    def event(self, value: dict[str, Any]) -> None:
        self.chunk(f"data: {json.dumps(value)}\n\n".encode())

    def chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()


def main() -> None:
    """Serve as the command line says."""
    words = sys.argv[1:]
    option = {name: words[words.index(name) + 1] for name in ("--port", "--host", "--served-model-name")}
    memory = shared_memory.SharedMemory(create=True, size=100)  # with a tracker, a process of its own
    ignores = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    helper = subprocess.Popen(
        [sys.executable, "-c", ignores], pass_fds=[resource_tracker.getfd()]
    )  # as a worker has it
    Handler.engine = Engine()
    with (COMMANDS / "starts.jsonl").open("a") as starts:
        told = {"pid": os.getpid(), "helper": helper.pid, "words": words, "tmp": os.environ["TMPDIR"], "key": KEY,
                "tracker": resource_tracker._resource_tracker._pid, "memory": memory.name.lstrip("/"),
                "engine": Handler.engine.process.pid, "variables": sorted(os.environ)}  # fmt: skip
        starts.write(json.dumps(told) + "\n")
    if said("ends"):
        sys.exit("double: there is no memory for this model")
    time.sleep(said("slow"))
    Handler.models = [option["--served-model-name"]]
    server = Server((option["--host"], int(option["--port"])), Handler)
    threading.Thread(target=server.serve_forever).start()


if __name__ == "__main__":
    main()
