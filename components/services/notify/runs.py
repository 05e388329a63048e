"""Tell how a run ended, whoever notices it first: the run itself, its worker, or the keeper of `cervella up`.

A run that somebody wants to hear of has `tell` in its `run.json` from its beginning, and who that is beside it, in
`notify.json`. How it ended is told once, and the file `told` in its folder says that it was seen to.

State after a hard crash: `tell` without `told`, which the keeper finds within seconds, or the next `cervella up`.
NOT covered: a run of more than seven days ago; a run that was killed before it had a `run.json`, unless a worker of
Prefect noticed it; a worker that never began, and a schedule that did not fire.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from components.errors import CervellaError
from components.services.notify.deliver import Told, deliver
from components.services.notify.ended import news_of_run
from components.services.notify.unseen import TOLD
from components.services.params import ExecutionParams, NotifyParams
from components.store import Run, list_runs, write_atomic
from components.store.services import address_of

__all__ = ["receivers_of", "run_of", "tell_run", "to_be_told"]

RECEIVERS = "notify.json"


def to_be_told(run: Run, execution: ExecutionParams, *, flow_run: str | None) -> None:
    """Note in a run that begins that its end is to be told, if anybody wants to hear of it.

    `flow_run`: Prefect's id of the run that a form or a schedule started; None: a command in a terminal.
    """
    if execution.notify:
        everybody = [one.model_dump(mode="json") for one in execution.notify]
        write_atomic(run.folder / RECEIVERS, json.dumps(everybody, indent=1).encode())
    if any(flow_run or one.runs == "all" for one in execution.notify):
        run.update(tell={"flow_run": flow_run})


def run_of(workspace: Path, flow_run: str) -> Run | None:
    """The newest run of a workspace that was begun for a flow run of Prefect."""
    for run in list_runs(workspace):
        with suppress(CervellaError):
            if (run.read().get("tell") or {}).get("flow_run") == flow_run:
                return run
    return None


def receivers_of(folder: Path) -> list[NotifyParams]:
    """Who wants to hear of runs, as the recipe of this run has it; none where that is not written, or damaged."""
    try:
        told = json.loads((folder / RECEIVERS).read_bytes())
        return ExecutionParams.model_validate({"notify": told}).notify
    except (OSError, ValueError, RecursionError):
        return []


def tell_run(run: Run, *, crashed: bool = False) -> list[Told]:
    """Tell how a run ended, to those who want to hear of it; nothing while it runs, or when it was told before.

    A run that was begun again for the same flow run (Prefect's retry) and ends alike is not told again.

    `crashed`: Prefect says that it was ended from outside.
    """
    state = run.read()
    if "tell" not in state or (run.folder / TOLD).exists():
        return []
    news = news_of_run(state, crashed=crashed, prefect_url=address_of(run.workspace, "prefect"))
    if news is None:
        return []
    by_worker = state["tell"].get("flow_run") is not None
    receivers = [one for one in receivers_of(run.folder) if by_worker or one.runs == "all"]
    told = deliver(news, receivers, workspace=run.workspace)
    with suppress(OSError):
        (run.folder / TOLD).touch()
    return told
