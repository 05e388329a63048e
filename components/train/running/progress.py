"""Events of progress.jsonl, which the callback inside a trainer writes, and the speed that they show."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Event", "Follow", "Progress", "Speedometer", "read_events"]

Event = dict[str, Any]
_NEW = 0.3  # weight of the newest step in the running mean of the speed


@dataclass(frozen=True)
class Progress:
    """How far a training is.

    Attributes:
        step: that was done last.
        steps: in all; 0 before training begins.
        loss: of that step, when the event is of one.
        eval_loss: held-out loss, when the event is of an evaluation.
        tokens_per_second: running mean over training steps, evaluations left out.
        seconds_left: at the pace of this sitting, evaluations and checkpoints included.
        event: starting, begin, log, eval, save, stopping or end.
        learning_rate: of that step, when the event is of one.
    """

    step: int
    steps: int
    loss: float | None
    eval_loss: float | None
    tokens_per_second: float | None
    seconds_left: float | None
    event: str
    learning_rate: float | None = None


class Speedometer:
    """Tokens a second and time left, out of one event after the other.

    `tokens` and `seconds`: of all training steps that could be measured, evaluations and checkpoints left out.
    """

    def __init__(self) -> None:
        self.tokens_per_second: float | None = None
        self.seconds_left: float | None = None
        self.steps = 0
        self.tokens = 0
        self.seconds = 0.0
        self._begun = (0.0, 0)
        self._last: tuple[float, int | None] = (0.0, None)
        self._tokens: int | None = None

    def take(self, event: Event) -> Progress:
        """The progress after an event."""
        kind, now, step = event["event"], float(event["time"]), int(event.get("step") or 0)
        if kind == "begin":
            self.steps = int(event["steps"])
            self._begun = (now, step)
            self._tokens = 0 if step == 0 else None
            self._last = (now, self._tokens)
        elif kind == "log":
            self.steps = int(event["steps"])
            self._measure(now, int(event["tokens"]))
            began, first = self._begun
            if step > first:
                self.seconds_left = (now - began) / (step - first) * max(0, self.steps - step)
        elif kind in ("eval", "save"):
            self._last = (now, self._tokens)  # its own time is not the speed of training
        elif kind == "end":
            self.seconds_left = 0.0
        return Progress(
            step=step, steps=self.steps, loss=event.get("loss"), eval_loss=event.get("eval_loss"),
            tokens_per_second=self.tokens_per_second, seconds_left=self.seconds_left, event=kind,
            learning_rate=event.get("learning_rate"),
        )  # fmt: skip

    def _measure(self, now: float, tokens: int) -> None:
        before, seen = self._last
        if seen is not None and tokens > seen and now > before:
            speed = (tokens - seen) / (now - before)
            self.tokens, self.seconds = self.tokens + tokens - seen, self.seconds + now - before
            mean = self.tokens_per_second
            self.tokens_per_second = speed if mean is None else (1 - _NEW) * mean + _NEW * speed
        self._last, self._tokens = (now, tokens), tokens


class Follow:
    """Reads what is added to progress.jsonl from now on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._place = path.stat().st_size if path.exists() else 0
        self._rest = b""

    def new(self) -> Iterator[Event]:
        """Events since the last call. A line that is still being written comes with the next."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._place)
                added = file.read()
        except FileNotFoundError:
            return
        self._place += len(added)
        *lines, self._rest = (self._rest + added).split(b"\n")
        for line in lines:
            if (event := _event(line)) is not None:
                yield event


def read_events(path: Path) -> list[Event]:
    """All events of a training, of every sitting. A line that a kill cut short is left out."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    return [event for line in data.split(b"\n") if (event := _event(line)) is not None]


def _event(line: bytes) -> Event | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) and {"event", "time"} <= found.keys() else None
