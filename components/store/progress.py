"""What a run tells while it works: one logger, `cervella`, that the terminal and Prefect both listen to.

Messages are ordinary log records. A step's progress is a record with `step`, `done`, `total` and `told` as extras, of a
logger of its own, `cervella.progress`, whose records go nowhere else: they are for what draws them (the terminal's
line, the bar in Prefect's UI), and would only be noise in a log.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from components.errors import TerminalError
from components.store.machine import machine_faults_told
from components.store.runs import Run
from components.store.spec import StepSpec
from components.store.store import Step, Store

__all__ = [
    "Pace", "facts_in_words", "logger", "progress_logger", "progress_of", "recorded_step", "tell_progress", "told_step",
]  # fmt: skip

logger = logging.getLogger("cervella")
progress_logger = logging.getLogger("cervella.progress")
progress_logger.setLevel(logging.DEBUG)
progress_logger.propagate = False


_SECONDS = 0.2
"""Between two of `progress_of`: what draws them draws no faster."""


def tell_progress(step: str, done: int, total: int, told: str = "") -> None:
    """Tell that `done` of `total` parts of `step` are done; `told`: what it says of itself, such as a loss."""
    about = {"step": step, "done": done, "total": total, "told": told}
    progress_logger.debug("%s %d of %d", step, done, total, extra=about)


def progress_of(step: str) -> Callable[[int, int], None]:
    """A function (done, total) that tells the progress of `step`: the first and the last, and five times a second.

    To be called as often as one likes, once for each of 10,000 notes.
    """
    due = 0.0

    def tell(done: int, total: int) -> None:
        nonlocal due
        now = time.monotonic()
        if now >= due or done >= total:
            due = now + _SECONDS
            tell_progress(step, done, total)

    return tell


class Pace:
    """How fast a step goes, from the first time that it told how far it is: what was there before has no speed."""

    def __init__(self, done: int) -> None:
        self._first, self._begun = done, time.monotonic()

    def words(self, done: int, total: int) -> str:
        """Parts a second and the time left at this speed, as `35 a second, about 90 s left`; empty: not known yet."""
        made, seconds = done - self._first, time.monotonic() - self._begun
        if made <= 0 or seconds < 1:
            return ""
        speed = made / seconds
        left = (total - done) / speed
        told = [f"{speed:.0f} a second"] if speed >= 10 else [f"{speed:.1f} a second"] if speed >= 0.1 else []
        return ", ".join([*told, f"about {left:.0f} s left"] if left >= 1 else told)


@contextmanager
def told_step(run: Run, name: str, **known: Any) -> Iterator[dict[str, Any]]:
    """Record in `run.json`, and tell, how a step of `run` begins and ends, and in how many seconds.

    Yields what the record says at its end: set `status`, and `artefact` and `facts` where there are any. Whatever ends
    the block early, an interruption included, is recorded as `failed` with its reason and passes through; what the
    machine refuses (a full disk) as a TerminalError that says how to go on. `known`: recorded from its beginning.
    """
    started = time.monotonic()
    with machine_faults_told(run.workspace):
        run.record_step(name, status="running", **known)
    logger.info("%s", name, extra={"step": name, "event": "begin"})
    record: dict[str, Any] = {"status": "done"}
    try:
        with machine_faults_told(run.workspace):
            yield record
    except BaseException as error:
        record = {"status": "failed", "reason": str(error) or type(error).__name__}
        with suppress(OSError):  # the disk is full, perhaps: what is told is why the step failed
            _end(run, name, record, started)
        raise
    with machine_faults_told(run.workspace):
        _end(run, name, record, started)


def facts_in_words(facts: Mapping[str, Any]) -> str:
    """What a step noted, in a line: counts with their names, texts as they are."""
    return ", ".join(
        f"{value} {key.replace('_', ' ')}" if isinstance(value, int) else str(value)
        for key, value in facts.items()
        if isinstance(value, int | str)
    )


def _end(run: Run, name: str, record: dict[str, Any], started: float) -> None:
    seconds = round(time.monotonic() - started, 3)
    told = facts_in_words(record.get("facts", {}))
    logger.info(
        "%s %s%s", name, record["status"], f": {told}" if told else "",
        extra={"step": name, "event": record["status"], "seconds": seconds, "told": told},
    )  # fmt: skip
    run.record_step(name, **record, seconds=seconds)


def _check_planned(planned: str | None, spec: StepSpec) -> None:
    if planned is not None and planned != spec.fingerprint:
        raise TerminalError(
            f"{spec.name} is not the step that the plan named: the notes, or what is made of them, changed while the "
            "run was under way. Nothing of it was done. Make the plan again"
        )


@contextmanager
def recorded_step(run: Run, spec: StepSpec, *, force: bool = False) -> Iterator[Step]:
    """Do a step of `run` in its store, and record in `run.json` what became of it.

    The step is forced with `force`, or when the run was started with its name among the steps to force. What the step
    noted is in the record. A run of a plan knows the fingerprints that its steps must have.

    Raises:
        TerminalError: the step is not the one that the plan named; nothing of it was done.
    """
    state = run.read()
    force = force or spec.name in state.get("force", [])
    # The fingerprint names the scratch of a step that does not end: the next run goes on from there, `gc` leaves it.
    with told_step(run, spec.name, fingerprint=spec.fingerprint) as record:
        _check_planned(state.get("planned", {}).get(spec.name), spec)
        store = Store(run.workspace, waiting=lambda holder: logger.info("%s waits for %s", spec.name, holder))
        with store.step(spec, force=force) as step:
            yield step
        record.update(
            status="skipped" if step.skipped else "done", artefact=step.artefact.id, facts=step.artefact.facts
        )
