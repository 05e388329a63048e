"""What Prefect's UI shows of a run: artifacts, kept apart by recipe, and bars of progress. No run depends on it.

Outside of a Prefect run nothing is shown. What the server does not take is told once, as a warning, and the run goes
on: what is sealed is the truth. A kill leaves the artifacts that were sent, and a bar where it stood.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar
from uuid import UUID

from components.store.progress import Pace, logger, progress_logger
from components.store.runs import Run

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

__all__ = ["show_link", "show_markdown", "show_table", "shown_key", "shows_progress"]

P = ParamSpec("P")
Result = TypeVar("Result")

_SECONDS = 1.0
"""Between two looks at a bar; a step that takes less has none."""
_MOVED = 1.0
"""Percent that a bar moves for an update; every update is an event that Prefect keeps for days."""
_STILL_SECONDS = 10.0
"""After which one that moves less is updated."""
_LAST_SECONDS = 5.0
"""For the last update, at the end of a task; it is left to itself then."""


def shown_key(run: Run, what: str) -> str:
    """Key of an artifact, `RECIPE-WHAT`; its versions in the UI are those of one recipe, or of one combination."""
    state = run.read()
    combination = (state.get("matrix") or {}).get("combination", "")
    return re.sub("[^a-z0-9]+", "-", f"{state['recipe']} {combination} {what}".lower()).strip("-")


def show_markdown(run: Run, what: str, markdown: str, *, description: str) -> None:
    """Show Markdown as the artifact `what` of a run."""
    from prefect.artifacts import create_markdown_artifact as create

    _show(run, what, create, markdown=markdown, description=description)


def show_table(run: Run, what: str, rows: Sequence[Mapping[str, Any]], *, description: str) -> None:
    """Show rows, which have the same columns, as the artifact `what` of a run."""
    from prefect.artifacts import create_table_artifact as create

    _show(run, what, create, table=[dict(row) for row in rows], description=description)


def show_link(run: Run, what: str, link: str, *, text: str, description: str) -> None:
    """Show a link as the artifact `what` of a run. A browser follows no `file:` link of a page that is served."""
    from prefect.artifacts import create_link_artifact as create

    _show(run, what, create, link=link, link_text=text, description=description)


def _show(run: Run, what: str, create: Callable[..., object], **values: Any) -> None:
    if not any(_where()):
        return
    try:
        create(key=shown_key(run, what), **values)
    except Exception as error:  # whatever it is: the task has done its work
        logger.warning("Prefect does not show %s: %s", what, str(error) or type(error).__name__)


def _where() -> tuple[UUID | None, UUID | None]:
    """Ids of the task run and of the flow run that this is called in."""
    from prefect.utilities.context import get_task_and_flow_run_ids

    return get_task_and_flow_run_ids()


def shows_progress(work: Callable[Concatenate[Run, P], Result]) -> Callable[Concatenate[Run, P], Result]:
    """Let a task, whose first argument is its run, draw bars in the UI: one for each step that tells its progress."""

    @wraps(work)
    def task(run: Run, /, *args: P.args, **kwargs: P.kwargs) -> Result:
        with _bars(run):
            return work(run, *args, **kwargs)

    return task


@contextmanager
def _bars(run: Run) -> Iterator[None]:
    task_run, flow_run = _where()
    if task_run is None and flow_run is None:
        yield
        return
    bars = _Bars(run, task_run=task_run, flow_run=flow_run)
    progress_logger.addHandler(bars)
    try:
        yield
    finally:
        progress_logger.removeHandler(bars)
        bars.close()


@dataclass
class _Bar:
    """How far a step is, as it was told last. `artifact`: none until the server has it."""

    begun: float
    pace: Pace
    done: int = 0
    total: int = 1
    told: str = ""
    artifact: UUID | None = None
    shown: float = 0.0
    at: float = 0.0

    def is_due(self) -> bool:
        """Whether it has moved enough, or not for long enough, to be sent again."""
        return abs(self.percent - self.shown) >= _MOVED or time.monotonic() - self.at >= _STILL_SECONDS

    @property
    def percent(self) -> float:
        """How far it is, 0..100."""
        return min(100.0, 100.0 * self.done / self.total)

    def words(self) -> str:
        """What stands beside it: numbers, and what the step tells of itself, or how long it will take at this speed."""
        told = self.told or self.pace.words(self.done, self.total)
        return f"{self.done:,} of {self.total:,}{told and f', {told}'}"


class _Bars(logging.Handler):
    """Keeps what is told, and has a thread send the newest of it once a second: nobody who works waits for a server.

    The thread is started by the first step that tells of itself, and is a daemon: one that a server keeps waiting is
    left behind at the end of the task.
    """

    def __init__(self, run: Run, *, task_run: UUID | None, flow_run: UUID | None) -> None:
        super().__init__(logging.DEBUG)
        self._run, self._task_run, self._flow_run = run, task_run, flow_run
        self._bars: dict[str, _Bar] = {}
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._failed = False

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one record (the lock of the handler is held)."""
        step, total = str(getattr(record, "step", "")), int(getattr(record, "total", 0))
        if not step or total < 1 or self._ended.is_set():
            return
        done = int(getattr(record, "done", 0))
        bar = self._bars.setdefault(step, _Bar(begun=time.monotonic(), pace=Pace(done)))
        bar.done, bar.total, bar.told = done, total, str(getattr(record, "told", ""))
        if self._thread is None:
            self._thread = threading.Thread(target=self._draw, name="bars of progress", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Send what is left to be sent, for a few seconds at most."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(_LAST_SECONDS)
        super().close()

    def _draw(self) -> None:
        if self._ended.wait(_SECONDS):  # most steps are quicker, and have no bar: nobody is asked for anything
            return
        from prefect.client.orchestration import get_client

        try:
            with get_client(sync_client=True) as client:
                self._send(client)
                while not self._ended.wait(_SECONDS):
                    self._send(client)
                self._send(client, last=True)
        except Exception as error:
            self._tell(error)

    def _send(self, client: SyncPrefectClient, *, last: bool = False) -> None:
        for step, bar in list(self._bars.items()):
            try:
                self._send_one(client, step, bar, last=last)
            except Exception as error:  # a server that is away for a while: the next second brings it up to date
                self._tell(error)

    def _send_one(self, client: SyncPrefectClient, step: str, bar: _Bar, *, last: bool) -> None:
        from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate

        percent, words, now = bar.percent, bar.words(), time.monotonic()
        if bar.artifact is not None and (bar.is_due() or (last and percent != bar.shown)):
            client.update_artifact(bar.artifact, ArtifactUpdate(data=percent, description=words))
        elif bar.artifact is None and not last and now - bar.begun >= _SECONDS:
            bar.artifact = client.create_artifact(
                ArtifactCreate(
                    key=shown_key(self._run, f"{step} progress"), type="progress", description=words, data=percent,
                    task_run_id=self._task_run, flow_run_id=self._flow_run,
                )
            ).id  # fmt: skip
        else:
            return
        bar.shown, bar.at = percent, now

    def _tell(self, error: Exception) -> None:
        if not self._failed:
            self._failed = True
            logger.warning("Prefect does not show the progress: %s", str(error) or type(error).__name__)
