"""One vLLM that is kept up: started, asked whether it is well, ended when it hangs, started again with growing waits.

It has a session of its own, a mark in its environment that all it starts inherits, a port of 127.0.0.1 that was free,
and a key that nobody else has. The key is sent to no port before it is known that a marked process listens there.

State after a hard crash of this process: the kernel ends vLLM (its workers would live on, with the model in memory),
and the sweeper ends what is marked and removes the folder of sockets. Where that is killed as well, `sweep` of the next
start does it.

An adapter that it refuses after it was started again is asked for again, with growing waits; meanwhile the models that
lie beside it answer, and it is not started anew for that one's sake.

**Not covered**: a vLLM whose engine hangs while its /health answers and nobody asks anything, see `pulse`.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.errors import CervellaError, TerminalError, TransientError
from components.llm.retry import RetryLater
from components.serve.backends.pulse import Pulse
from components.serve.backends.sweeper import end_server, make_folder, mark_of_serving, sweeper_command
from components.serve.backends.vllm import Door, command, environment
from components.serve.backends.weights import Adapter, Base
from components.serve.params import VllmParams
from components.services.supervisor.logs import end_of, open_log, rotate
from components.services.supervisor.ports import holders, is_free
from components.services.supervisor.processes import MARK, marked
from components.services.supervisor.service import Service
from components.store import logger
from components.train.environments import tied
from components.train.environments.find import find_environment

__all__ = ["Server"]

ROOT = Path(__file__).resolve().parents[3]
_TIED = Path(tied.__file__)
_GRACE_SECONDS = 10.0  # to end by itself; then it is killed
_USUAL_SECONDS = 100.0  # from its start to its first answer, on two cores of a processor
_FAILED_STARTS = 2  # in a row, after which whoever waits for the first answer gives up
_LOOK_SECONDS = 0.1
_AGAIN_SECONDS = 1.0  # after which an adapter that was refused is asked for again; then after twice as long, and so on
_LONGEST_WAIT = 60.0


class Told:
    """What a server tells of itself, kept in memory; see `Telling`."""

    def __init__(self) -> None:
        self._about: dict[str, Any] = {}
        self._lock = threading.Lock()

    def note(self, text: str) -> None:
        """What went wrong is logged; that it is up is told by `state`."""
        if "started again" in text:
            logger.warning("%s", text)

    def tell(self, name: str, **values: Any) -> None:
        """Keep it, and since when it has its state."""
        with self._lock:
            if values.get("state", self._about.get("state")) != self._about.get("state"):
                values["since"] = time.monotonic()
            self._about |= values

    def ask(self, name: str) -> dict[str, Any]:
        """What was told."""
        with self._lock:
            return dict(self._about)


@dataclass(frozen=True)
class _Refused:
    """An adapter that vLLM does not load. `waits`: seconds until it is asked for again, which is `at` (monotonic)."""

    error: TerminalError
    waits: float
    at: float


class Server(Service):
    """A vLLM on one base model, with the adapters that are held. Any thread may hold, ask and wait.

    Args:
        base: its model.
        workspace: whose server it is; its log is `serve/backends/vllm.log` there.
        context: tokens of prompt and answer together.
        rank: greatest rank of an adapter.
        key: that it lets in.
        params: how it is started.
    """

    patience = 60.0
    ask_seconds = 1.0
    engine_seconds = 60.0
    """In which an engine that gave no first word to several questions has to answer one of ours."""

    def __init__(
        self, *, base: Base, workspace: Path, context: int, rank: int, key: str, params: VllmParams
    ) -> None:  # fmt: skip
        super().__init__("vllm", Told(), threading.Event())
        self.base, self.workspace, self.context, self.rank, self.key, self.params = (
            base, workspace, context, rank, key, params,
        )  # fmt: skip
        self.start_seconds = params.start_seconds
        self.hurry = threading.Event()
        """Set: nobody waits any more until it is up."""
        self.port = 0
        self.starts = 0
        self.log = workspace / "serve" / "backends" / "vllm.log"
        self.pulse = Pulse(lambda seconds: self.door.answers(seconds=seconds), seconds=self.engine_seconds)
        self.mark = mark_of_serving(workspace, server=f"{id(self):x}")
        self._process: subprocess.Popen[bytes] | None = None
        self._sweeper: subprocess.Popen[bytes] | None = None
        self._folder: Path | None = None
        self._held: Counter[Adapter] = Counter()
        self._lock = threading.Lock()
        self._there: set[str] | None = None  # names of what it serves; None: it is not known whether it is ours
        self._refused: dict[str, _Refused] = {}
        self._thread = threading.Thread(target=self.run, name="vllm", daemon=True)

    @property
    def door(self) -> Door:
        """Where it is asked."""
        return Door(f"http://127.0.0.1:{self.port}", key=self.key)

    def start(self) -> None:
        """Begin to keep it up. Raises TerminalError: its environment is not installed."""
        find_environment("vllm")
        self._thread.start()

    def close(self) -> None:
        """End it, and wait until all that it started is gone."""
        self.ending.set()
        if self._thread.is_alive():
            self._thread.join()

    def wait(self, *, say: Callable[[str], None], say_every: float = 15.0) -> None:
        """Until it answers. `say`: is told now and then that it is not up yet.

        Raises:
            TerminalError: it ended twice before it answered, with the end of its log; TransientError: it is closed.
        """
        began = told = time.monotonic()
        while (about := self.board.ask(self.name)).get("state") != "up":
            if about.get("failed_starts", 0) >= _FAILED_STARTS:
                raise TerminalError(f"vLLM does not start: {about.get('fault')}. {end_of(self.log)}")
            if self.ending.is_set() or self.hurry.is_set():
                raise TransientError("vLLM was ended before it answered")
            if (now := time.monotonic()) - told > say_every:
                told = now
                say(
                    f"vLLM is not up yet after {now - began:.0f} s (it takes about {_USUAL_SECONDS:.0f} on a processor)"
                )
            time.sleep(_LOOK_SECONDS)

    def hold(self, adapter: Adapter) -> None:
        """Have an adapter served until `let_go`, also after it was started anew; it is up when this returns.

        Raises:
            TerminalError: vLLM refuses it. TransientError: vLLM went down meanwhile.
        """
        with self._lock:
            self._held[adapter] += 1
            self._refused.pop(adapter.name, None)
        end = time.monotonic() + self.start_seconds
        while adapter.name not in (self._there or ()):
            refused = self._refused.get(adapter.name)
            if refused or time.monotonic() > end or self.ending.is_set() or self.hurry.is_set():
                self.let_go(adapter)
                raise refused.error if refused else TransientError(f"vLLM did not load {adapter.name} in time")
            time.sleep(_LOOK_SECONDS)

    def let_go(self, adapter: Adapter) -> None:
        """It need not be served for whoever held it."""
        with self._lock:
            self._held[adapter] -= 1
            self._held += Counter()  # forgets what nobody holds

    def is_up(self, adapter: Adapter | None = None) -> bool:
        """Whether it answered when it was last looked at, and serves the adapter; None: the base is enough."""
        up = self.board.ask(self.name).get("state") == "up"
        return bool(up and (adapter is None or adapter.name in (self._there or ())))

    def check(self, adapter: Adapter | None = None) -> None:
        """Raise RetryLater unless it is up and serves the adapter; None: the base is enough."""
        if self.is_up(adapter):
            return
        about = self.board.ask(self.name)
        if about.get("state") == "up" and adapter:
            refused = self._refused.get(adapter.name)
            again = refused.at - time.monotonic() if refused else 0.0
            raise RetryLater(
                f"vLLM is up and does not serve {adapter.name} yet: it is asked to load it again",
                after_seconds=max(1.0, again),
            )
        passed = time.monotonic() - about.get("since", time.monotonic()) if about.get("state") == "starting" else 0.0
        raise RetryLater(
            f"vLLM is not up ({about.get('state', 'not started')}): it is being started",
            after_seconds=max(5.0, min(_USUAL_SECONDS, self.start_seconds) - passed),
        )

    def told(self) -> dict[str, Any]:
        """For `/health`; no paths and no text of its log."""
        about = self.board.ask(self.name)
        fault = about.get("kind")
        if about.get("state") == "up":
            with self._lock:
                refused = sorted({one.name for one in self._held} & self._refused.keys())
            fault = f"it refuses to load {', '.join(refused)} (see the log)" if refused else None
        return {
            "model": self.base.name, "state": about.get("state", "starting"), "starts": self.starts, "fault": fault,
        }  # fmt: skip

    def begin(self) -> None:
        """See `Service`."""
        found = find_environment("vllm")
        self.port, self._there, self.starts = _free_port(self.port), None, self.starts + 1
        self.pulse.begin()
        self._refused = {}  # another life: what it refused in the one before it may take now
        self._folder = make_folder(self.mark)
        words = command(
            self.base, python=found.python, port=self.port, context=self.context, rank=self.rank, params=self.params
        )  # fmt: skip
        variables = environment(found, base=self.base, key=self.key, temporary=self._folder, params=self.params)
        self._begin_sweeper()
        with open_log(self.log) as log:
            self._process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-I", "-S", str(_TIED), str(os.getpid()), *words], cwd=self._folder,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**variables, MARK: self.mark},
                start_new_session=True,
            )  # fmt: skip

    def gone(self) -> str | None:
        """See `Service`."""
        if self._sweeper is not None and self._sweeper.poll() is not None:
            self._begin_sweeper()
        code = self._process.poll() if self._process else None
        return self.pulse.fault() if code is None else f"it has ended ({code})"

    def fault(self) -> str | None:
        """See `Service`; also has it serve what is held, and nothing else."""
        rotate([self.log])
        if why := self.door.fault():
            return why
        try:
            if self._there is None:
                if not set(holders(self.port)) & set(marked(self.mark)):
                    return f"another process has taken port {self.port}"
                self._there = self.door.models()
            self._serve_what_is_held()
        except CervellaError as error:
            return str(error)
        return None

    def end(self) -> None:
        """See `Service`."""
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                self._process.terminate()
                self._process.wait(_GRACE_SECONDS)
            end_server(self.mark, grace_seconds=2)
            self._process.wait()
        if self._sweeper is not None:
            self._sweeper.terminate()
            self._sweeper.wait()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._process = self._sweeper = self._folder = None

    def _begin_sweeper(self) -> None:
        self._sweeper = subprocess.Popen(  # noqa: S603
            sweeper_command(self.mark), cwd=ROOT, stdin=subprocess.DEVNULL, start_new_session=True
        )

    def _serve_what_is_held(self) -> None:
        there = self._there
        assert there is not None  # noqa: S101 - asked before
        with self._lock:
            wanted = {one.name: one for one in self._held}
            self._refused = {name: one for name, one in self._refused.items() if name in wanted}
        for name in wanted.keys() - there:
            before = self._refused.get(name)
            if before and time.monotonic() < before.at:
                continue
            try:
                self.door.load(wanted[name])
            except TerminalError as error:
                if before is None:
                    logger.warning("%s", error)
                waits = min(before.waits * 2, _LONGEST_WAIT) if before else _AGAIN_SECONDS
                self._refused[name] = _Refused(error, waits, time.monotonic() + waits)
            else:
                there.add(name)
                self._refused.pop(name, None)
        for name in sorted(one for one in there if one.startswith("adapter-")):
            with self._lock:  # who takes it from here on waits until it is loaded anew, see `hold`
                if any(one.name == name for one in self._held):
                    continue
                there.discard(name)
            with suppress(CervellaError):
                self.door.unload(name)


def _free_port(before: int) -> int:
    """The port of its life before, if nobody took it, else any. Drawn by the kernel, since others start as well."""
    if before and is_free(before):
        return before
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
