"""A real run for an agent program: `cervella run` in a process of its own, its progress told, ended with its caller."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import anyio
from anyio.abc import ByteReceiveStream, Process
from anyio.streams.text import TextReceiveStream

from components.errors import TerminalError
from flows.commands.terminal import SIGNS

__all__ = ["Progress", "run_process"]

_GRACE_SECONDS = 40.0  # more than the process gives itself, see child.py
_KEPT_LINES = 200
_ENDED = re.compile(rf"[{''.join(SIGNS.values())}] \S+")


@dataclass
class Progress:
    """How far a run is: steps that have ended, and the last line that it told."""

    steps: int = 0
    line: str = "starting"
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=_KEPT_LINES))

    def take(self, line: str) -> None:
        """A line of the run's stderr."""
        self.steps += bool(_ENDED.match(line))
        self.lines.append(line)
        if line.strip():
            self.line = " ".join(line.split())

    def error(self) -> str:
        """What the run ended with, as it told it."""
        lines = list(self.lines)
        began = [number for number, line in enumerate(lines) if line.startswith("cervella: ")]
        told = lines[began[-1] :] if began else lines[-5:]
        return "\n".join(told).removeprefix("cervella: ").strip() or "it told nothing"


async def run_process(arguments: Sequence[str], progress: Progress) -> tuple[dict[str, Any], int]:
    """Run `cervella ARGUMENTS`, which print JSON, to its end; returns it and the exit code, 0 or 1.

    Cancelled, the process is told to end, and this waits until it has.

    Raises:
        TerminalError: it could not be done; the text is the command's own.
    """
    process = await anyio.open_process(
        [sys.executable, "-m", "flows.child", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    out: list[str] = []
    try:
        async with anyio.create_task_group() as readers:
            readers.start_soon(_read, process.stdout, out.append)
            readers.start_soon(_read_lines, process.stderr, progress.take)
        code = await process.wait()
    finally:
        with anyio.CancelScope(shield=True):
            await _end(process)
    if code in (0, 1):
        with suppress(ValueError):
            state: dict[str, Any] = json.loads("".join(out))
            return state, code
    if code < 0:
        raise TerminalError(
            f"the run was ended by signal {-code}; what was sealed is kept, and the same call goes on from there. It "
            f"told last: {progress.error()}"
        )
    raise TerminalError(progress.error())


async def _end(process: Process) -> None:
    """See that it is gone: its stdin ends, which it takes as SIGTERM."""
    if process.returncode is None:
        if process.stdin:
            await process.stdin.aclose()
        # What it still writes is read: it must not wait for a full pipe.
        with anyio.move_on_after(_GRACE_SECONDS):
            async with anyio.create_task_group() as readers:
                readers.start_soon(_read, process.stdout, lambda _: None)
                readers.start_soon(_read, process.stderr, lambda _: None)
            await process.wait()
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    await process.aclose()


async def _read(stream: ByteReceiveStream | None, take: Callable[[str], object]) -> None:
    assert stream is not None  # noqa: S101 - it was asked for
    with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):
        async for text in TextReceiveStream(stream, errors="replace"):
            take(text)


async def _read_lines(stream: ByteReceiveStream | None, take: Callable[[str], object]) -> None:
    rest = ""

    def split(text: str) -> None:
        nonlocal rest
        *lines, rest = (rest + text).split("\n")
        for line in lines:
            take(line)

    await _read(stream, split)
    if rest:
        take(rest)
