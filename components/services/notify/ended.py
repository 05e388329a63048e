"""How a run ended, as news: failure, refused or done."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from components.services.notify.news import News
from components.services.params import Event

__all__ = ["news_of_run"]

ENDED_FROM_OUTSIDE = "it was ended from outside (a signal: `cervella down`, a restart, lack of memory)"


def news_of_run(state: Mapping[str, Any], *, crashed: bool = False, prefect_url: str | None = None) -> News | None:
    """What its record says, as news; None while it runs, and when a person interrupted it.

    Args:
        state: what `Run.read` says, with `tell` of `notify.runs.to_be_told`.
        crashed: Prefect says that its process was ended from outside.
        prefect_url: address of Prefect's pages.
    """
    ended = _ended(state, crashed=crashed)
    if ended is None:
        return None
    event, how = ended
    flow_run = (state.get("tell") or {}).get("flow_run")
    steps = [step for step in state["steps"] if step["status"] in ("failed", "running")]
    facts = {
        "recipe": state["recipe"], "phase": state["phase"], "run": state["run"], "status": state["status"],
        "step": steps[-1]["name"] if steps and event != "done" else None,
        "verdict": (state.get("gate") or {}).get("verdict"), "seconds": _seconds(state), "flow_run": flow_run,
    }  # fmt: skip
    return News(
        event=event,
        about=f"run:{flow_run or state['run']}",
        title=f"{state['recipe']}: {how}",
        facts=facts,
        look=f"cervella show {state['run']}",
        link=f"{prefect_url}/runs/flow-run/{flow_run}" if prefect_url and flow_run else None,
        details=state.get("error"),
    )


def _ended(state: Mapping[str, Any], *, crashed: bool) -> tuple[Event, str] | None:
    step = next((step["name"] for step in reversed(state["steps"]) if step["status"] in ("failed", "running")), None)
    where = f" in {step}" if step else ""
    match state["status"]:
        case "died":
            return "failure", f"its process died{where}; what was sealed is kept, the same recipe goes on from there"
        case "interrupted" if crashed:
            return "failure", f"{ENDED_FROM_OUTSIDE}{where}"
        case "failed" if state.get("refused"):
            if step and step.startswith("index."):
                return "refused", "the new index was not published, the one before it stays"
            return "refused", f"it was looked at, and the answer is no{where}"
        case "failed":
            return "failure", f"it failed{where}"
        case "done":
            return _answered(state)
    return None


def _answered(state: Mapping[str, Any]) -> tuple[Event, str]:
    """A run that did all that it should: is what it made good enough?"""
    if combinations := state.get("combinations"):
        broken = [one for one in combinations if one.get("status") != "done"]
        if broken:
            return "failure", f"{len(broken)} of {len(combinations)} combinations could not be run"
        verdict = next((one.get("verdict") for one in combinations if one["name"] == state.get("best")), None)
    else:
        verdict = (state.get("gate") or {}).get("verdict")
    if verdict not in (None, "GO"):
        return "refused", f"the gate says {verdict}"
    if not (state.get("dataset") or {}).get("passed", True) and state["phase"] == "dataset":
        return "refused", "the examples are not fit for training"
    return "done", "done" + (", the gate says GO" if verdict else "")


def _seconds(state: Mapping[str, Any]) -> float | None:
    """From its begin to now, or as long as its steps took when it died at a time that nobody knows."""
    if state["status"] == "died":
        return None
    try:
        began = datetime.fromisoformat(str(state.get("started")))
        return round((datetime.now(UTC) - began).total_seconds(), 1)
    except (ValueError, TypeError):
        return None
