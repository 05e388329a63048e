"""Whether the server still answers, while a run works: a frozen one must not hold the run for ever.

Prefect's client waits a minute for each answer and asks several times. A server that has not answered for
HUNG_SECONDS is killed: the client then learns at once that nobody is there, and the run ends with an error that says
so. One that does not answer and works all the same is busy, and has five times as long: several runs that write at
once, on a machine with much other work, keep its SQLite file for a minute (seen).
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from components.errors import CervellaError, TransientError
from components.llm.places import is_here
from components.services.process_start import processor_seconds, started_at
from components.store import is_held

__all__ = [
    "HUNG_SECONDS", "Silence", "end_frozen", "fault_of", "is_elsewhere", "opener_to", "server_state", "watched",
]  # fmt: skip

HUNG_SECONDS = 60.0
_ASK_SECONDS = 5.0
_WORKS = 0.005  # of a processor: who is frozen, or waits for what never comes, uses none
_BUSY_COUNTS = 0.2


def opener_to(url: str) -> urllib.request.OpenerDirector:
    """What opens addresses such as `url`: this machine is asked without the proxy that the environment names."""
    return urllib.request.build_opener(*([urllib.request.ProxyHandler({})] if is_here(url) else []))


def fault_of(api_url: str, *, patience_seconds: float = 0.0) -> str | None:
    """Say in words why the API does not answer as Prefect's does, within 5 s; None when it does.

    `patience_seconds`: one that is there and has too much to do is asked again until so long has passed.
    """
    end = time.monotonic() + patience_seconds
    while True:
        try:
            return _fault(api_url)
        except TimeoutError as error:
            if time.monotonic() >= end:
                return f"{api_url}/health does not answer ({error})"


def _fault(api_url: str) -> str | None:
    """As `fault_of`. Raises TimeoutError when it was reached and did not answer; not reached is a fault."""
    if not api_url.startswith(("http://", "https://")):
        return "the address does not start with http:// or https://"
    try:
        with opener_to(api_url).open(f"{api_url}/health", timeout=_ASK_SECONDS) as response:
            answer = response.read(1000)
    except urllib.error.HTTPError as error:
        error.close()
        return f"{api_url}/health answers {error.code} {error.reason}"
    except TimeoutError:
        raise
    except (OSError, ValueError) as error:
        return f"{api_url}/health does not answer ({getattr(error, 'reason', error)})"
    return None if answer.strip() == b"true" else f"what answers at {api_url}/health is not Prefect's API"


def server_state(folder: Path) -> dict[str, object]:
    """What `server.json` says: pid, began, host, api_url, started. Empty: there is none, or it says something else."""
    try:
        state = json.loads((folder / "server.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    whole = isinstance(state, dict) and isinstance(state.get("pid"), int) and isinstance(state.get("api_url"), str)
    return state if whole else {}


def is_elsewhere(state: dict[str, object]) -> bool:
    """Whether the process of `server.json` is none of this machine (or container); asked while its lock is held."""
    return state.get("began") is not None and started_at(int(str(state["pid"]))) != state["began"]


def end_frozen(folder: Path) -> None:
    """Kill the server of `folder`, if there is one: only the holder of its lock can be the process that is meant.

    On shared storage that holder may be on another machine, and its pid is somebody else's here: nothing is killed.
    """
    state = server_state(folder)
    pid = state.get("pid")
    if isinstance(pid, int) and pid > 1 and is_held(folder / "server.lock") and not is_elsewhere(state):
        with suppress(ProcessLookupError):  # it may end in this very moment
            os.kill(pid, signal.SIGKILL)


class Silence:
    """Seconds without an answer of the server of a folder; those in which it worked count for a fifth."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._used: tuple[object, float] | None = None
        self.seconds = 0.0

    def add(self, seconds: float, *, answers: bool) -> float:
        """Count the time since the last look; returns `seconds` in all. An answer ends the silence."""
        pid = server_state(self._folder).get("pid")
        used = processor_seconds(pid) if isinstance(pid, int) else None
        before, self._used = self._used, None if used is None else (pid, used)
        worked = used - before[1] if used is not None and before and before[0] == pid else 0.0
        share = _BUSY_COUNTS if worked > _WORKS * seconds else 1.0
        self.seconds = 0.0 if answers else self.seconds + seconds * share
        return self.seconds


@contextmanager
def watched(folder: Path, api_url: str, *, say: Callable[[str], None]) -> Iterator[None]:
    """Watch the server while the block works.

    Raises:
        TransientError: the block failed, and the server is gone. Errors of ours pass as they are.
    """
    ended = threading.Event()
    thread = threading.Thread(target=_watch, args=(folder, api_url, say, ended), daemon=True, name="prefect-watch")
    thread.start()
    try:
        yield
    except CervellaError:
        raise
    except Exception as error:
        if is_held(folder / "server.lock") and not fault_of(api_url):
            raise
        raise TransientError(
            "The Prefect server of this run is gone, or did not answer any more, so the run could not go on "
            f"({type(error).__name__}). What was sealed is kept: the same command goes on from there. "
            f"What the server said is in {folder / 'server.log'}."
        ) from error
    finally:
        ended.set()


def _watch(folder: Path, api_url: str, say: Callable[[str], None], ended: threading.Event) -> None:
    silence, before, since = Silence(folder), time.monotonic(), time.monotonic()
    while not ended.wait(_ASK_SECONDS):
        answers = not fault_of(api_url) or not is_held(folder / "server.lock")
        # Capped: a process that was stopped for a night has asked once in that time, not for hours.
        passed, before = min(time.monotonic() - before, 3 * _ASK_SECONDS), time.monotonic()
        since = before if answers else since
        if silence.add(passed, answers=answers) >= HUNG_SECONDS and not ended.is_set():
            say(f"The Prefect server has not answered for {before - since:.0f} s; it is ended.")
            end_frozen(folder)
            return
