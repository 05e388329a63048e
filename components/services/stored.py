"""Waiting until a run's history is complete in the server's database, so that the server may be stopped."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING
from uuid import UUID

from components.errors import TransientError

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import TaskRun

__all__ = ["send_queued", "wait_until_stored"]

_POLL_SECONDS = 0.2
_SEND_SECONDS = 5.0
_PAGE = 200
_PAGE_OF_EVENTS = 50  # the server refuses more


def wait_until_stored(
    api_url: str, flow_run_id: UUID | str, *, expected_task_runs: int, timeout_seconds: float = 30
) -> None:
    """Return when the flow run, its task runs and their events are all in the database of the server at `api_url`.

    Prefect's client only hands task runs over as events, which the server writes in its own time; stopped before that,
    it loses them. Stored means: the flow run has ended, at least `expected_task_runs` task runs (those of the flow run
    itself, not of flows under it) are there and have ended, and the event of each of these ends can be read back.
    Events travel in order, so what came before the last one is there too. The log lines of this process are sent first;
    those of other processes are not waited for.

    Raises:
        TransientError: not complete after `timeout_seconds`; says what is missing. The run itself is not harmed.
    """
    import httpx
    from prefect.client.orchestration import SyncPrefectClient

    send_queued()
    deadline = time.monotonic() + timeout_seconds
    try:
        with SyncPrefectClient(api_url) as client:
            while missing := _missing(client, UUID(str(flow_run_id)), expected_task_runs):
                if time.monotonic() > deadline:
                    raise _incomplete(flow_run_id, f"after {timeout_seconds:g} s: {missing}")
                time.sleep(_POLL_SECONDS)
    except httpx.HTTPError as error:
        raise _incomplete(flow_run_id, f"its server does not answer as it should ({type(error).__name__})") from error


def _incomplete(flow_run_id: UUID | str, why: str) -> TransientError:
    return TransientError(
        f"Prefect's history of flow run {flow_run_id} is incomplete: {why}."
        " The run is done and its artefacts are sealed; only what the Prefect UI shows of it is affected."
    )


def send_queued() -> None:
    """Send what this process's Prefect client still holds back: log lines and events. At most 5 s each.

    To be called while the server still answers: the client sends by itself only every two seconds and when the process
    exits, and then complains in the terminal about a server that is gone. Does nothing where Prefect is not imported.
    From synchronous code only.
    """
    if "prefect.logging.handlers" in sys.modules:
        from prefect.logging.handlers import APILogWorker

        APILogWorker.drain_all(timeout=_SEND_SECONDS)
    if "prefect.events.worker" in sys.modules:
        from prefect.events.worker import EventsWorker

        EventsWorker.drain_all(timeout=_SEND_SECONDS)


def _missing(client: SyncPrefectClient, flow_run_id: UUID, expected_task_runs: int) -> str | None:
    """Say what is not stored yet; None when everything is. Cheap questions first."""
    flow_run = client.read_flow_run(flow_run_id)
    if flow_run.state is None or not flow_run.state.is_final():
        return f"the flow run is {flow_run.state.name if flow_run.state else 'without a state'}"
    task_runs = _task_runs(client, flow_run_id)
    if len(task_runs) < expected_task_runs:
        return f"{len(task_runs)} of {expected_task_runs} task runs are there"
    running = [run.name for run in task_runs if run.state is None or not run.state.is_final()]
    if running:
        return f"task runs that have not ended: {', '.join(running)}"
    ended = _ended_resources(client, flow_run_id)
    silent = [run.name for run in task_runs if f"prefect.task-run.{run.id}" not in ended]
    if f"prefect.flow-run.{flow_run_id}" not in ended:
        silent.append(flow_run.name)
    return f"the last events of {', '.join(silent)}" if silent else None


def _task_runs(client: SyncPrefectClient, flow_run_id: UUID) -> list[TaskRun]:
    """The task runs of a flow run, without those that only stand for flows under it: they end without an event."""
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterParentFlowRunId

    under: set[UUID | None] = set()
    while page := client.read_flow_runs(
        flow_run_filter=FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[flow_run_id])),
        limit=_PAGE, offset=len(under),
    ):  # fmt: skip
        under |= {run.parent_task_run_id for run in page}
    return [run for run in _all_task_runs(client, flow_run_id) if run.id not in under]


def _all_task_runs(client: SyncPrefectClient, flow_run_id: UUID) -> list[TaskRun]:
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

    found: list[TaskRun] = []
    while True:
        page = client.read_task_runs(
            flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id])), limit=_PAGE, offset=len(found)
        )
        found += page
        if len(page) < _PAGE:
            return found


def _ended_resources(client: SyncPrefectClient, flow_run_id: UUID) -> set[str]:
    """Return the resource ids (`prefect.task-run.<id>`) whose end is among the stored events of the flow run."""
    from prefect.client.schemas.objects import TERMINAL_STATES
    from prefect.events.filters import EventAnyResourceFilter, EventFilter, EventResourceFilter
    from prefect.events.schemas.events import ResourceSpecification

    # By the type of the state: the name of the event holds the state's name, which anybody may choose ("TimedOut").
    ends = EventFilter(
        resource=EventResourceFilter(
            labels=ResourceSpecification({"prefect.state-type": [state.value for state in TERMINAL_STATES]})
        ),
        any_resource=EventAnyResourceFilter(id=[f"prefect.flow-run.{flow_run_id}"]),
    )
    page = client.read_events(filter=ends, limit=_PAGE_OF_EVENTS)
    found: set[str] = set()
    while True:
        found |= {event.resource.id for event in page.events}
        if not page.next_page:
            return found
        page = client.read_events_page(str(page.next_page))
