"""What a run tells while it works: one logger, `cervella`, that the terminal and Prefect both listen to.

Messages are ordinary log records; a step's progress is a record with `step`, `done` and `total` as extras, so that
a terminal can draw it and a log file can ignore it (level DEBUG).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from components.store.runs import Run
from components.store.spec import StepSpec
from components.store.store import Step, Store

__all__ = ["logger", "progress_of", "recorded_step"]

logger = logging.getLogger("cervella")


def progress_of(step: str) -> Callable[[int, int], None]:
    """A function (done, total) that tells the progress of `step`."""

    def tell(done: int, total: int) -> None:
        logger.debug("%s %d of %d", step, done, total, extra={"step": step, "done": done, "total": total})

    return tell


@contextmanager
def recorded_step(run: Run, spec: StepSpec, *, force: bool = False) -> Iterator[Step]:
    """Do a step of `run` in its store, and record in `run.json` what became of it.

    The step is forced with `force`, or when the run was started with its name among the steps to force. What the step
    noted is in the record.
    """
    force = force or spec.name in run.read().get("force", [])
    started = time.monotonic()
    run.record_step(spec.name, status="running")
    logger.info("%s", spec.name, extra={"step": spec.name, "event": "begin"})
    try:
        with Store(run.workspace).step(spec, force=force) as step:
            yield step
    except BaseException as error:
        run.record_step(spec.name, status="failed", seconds=_since(started), reason=str(error) or type(error).__name__)
        raise
    status = "skipped" if step.skipped else "done"
    facts = step.artefact.facts
    run.record_step(spec.name, status=status, seconds=_since(started), artefact=step.artefact.id, facts=facts)
    told = ", ".join(f"{value} {key.replace('_', ' ')}" for key, value in facts.items() if isinstance(value, int))
    logger.info(
        "%s %s%s", spec.name, status, f": {told}" if told else "",
        extra={"step": spec.name, "event": status, "seconds": _since(started), "told": told},
    )  # fmt: skip


def _since(started: float) -> float:
    return round(time.monotonic() - started, 3)
