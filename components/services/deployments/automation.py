"""The automation that marks a run as crashed when nothing is heard of it any more.

A run that is killed, or whose machine loses power, cannot say that it has ended: without this it stays "Running" for
ever. Runs send heartbeats (PREFECT_FLOWS_HEARTBEAT_FREQUENCY: 120 s in prefect.yaml, 180 s by Prefect's default); after
SILENT_SECONDS without one, or any other event of the run, it is marked. It holds only for runs with the tag `cervella`.

What is NOT covered: the server has to run for it. A machine that slept longer than that may have a run marked that
goes on afterwards; what it seals is sealed all the same.
"""

from __future__ import annotations

from typing import Any

from components.services.deployments.changes import Change, compared
from components.services.deployments.server import Remote

__all__ = ["AUTOMATION", "SILENT_SECONDS", "TAG", "automation_changes", "bring_automation"]

AUTOMATION = "cervella: runs that fell silent are marked as crashed"
SILENT_SECONDS = 600
"""More than three heartbeats of 180 s, so that one that is lost or late is no death."""
TAG = "cervella"
"""On every deployment of ours, and so on every run of one."""


def automation_changes(remote: Remote) -> list[Change]:
    """What is to be done about it: new, changed, or nothing."""
    found = _found(remote)
    shown = _facts(found[0]) if found else None
    more = [Change("automation", f"{AUTOMATION}, number {n}", "gone") for n in range(2, len(found) + 1)]
    return compared("automation", AUTOMATION, found=shown, wanted=_facts(_wanted())) + more


def bring_automation(remote: Remote) -> None:
    """Make it, or mend it; one that was switched off by hand stays off."""
    found = _found(remote)
    if not found:
        remote.ask("POST", "/automations/", _wanted())
        return
    if _facts(found[0]) != _facts(_wanted()):
        remote.ask("PUT", f"/automations/{found[0]['id']}", {**_wanted(), "enabled": found[0]["enabled"]})
    for more in found[1:]:  # of two that deployed at the same moment
        remote.ask("DELETE", f"/automations/{more['id']}")


def _found(remote: Remote) -> list[dict[str, Any]]:
    found = remote.all("/automations/filter", {"automations": {"name": {"any_": [AUTOMATION]}}})
    return sorted(found, key=lambda one: str(one["created"]))


def _wanted() -> dict[str, Any]:
    return {
        "name": AUTOMATION,
        "description": "Made by cervella deploy.",
        "enabled": True,
        "trigger": {
            "type": "event",
            "posture": "Proactive",
            "match": {"prefect.resource.id": "prefect.flow-run.*"},
            "match_related": {"prefect.resource.role": "tag", "prefect.resource.id": f"prefect.tag.{TAG}"},
            "for_each": ["prefect.resource.id"],
            "after": ["prefect.flow-run.heartbeat"],
            "expect": ["prefect.flow-run.*"],
            "threshold": 1,
            "within": SILENT_SECONDS,
        },
        "actions": [{
            "type": "change-flow-run-state",
            "state": "CRASHED",
            "name": "Crashed",
            "message": f"Nothing was heard of this run for {SILENT_SECONDS // 60} minutes: it was killed, or its "
            "machine stopped. What it sealed is kept; the same recipe goes on from there.",
        }],
    }  # fmt: skip


def _facts(automation: dict[str, Any]) -> dict[str, Any]:
    """What of it is compared: what we set, without ids and what the server adds."""
    wanted = _wanted()
    trigger = {key: automation["trigger"].get(key) for key in wanted["trigger"]}
    actions = [{key: action.get(key) for key in wanted["actions"][0]} for action in automation.get("actions", [])]
    trigger["within"] = int(float(trigger["within"] or 0))
    return {"trigger": {key: _plain(value) for key, value in trigger.items()}, "actions": actions}


def _plain(value: Any) -> Any:
    """A list of one and the one alone mean the same to Prefect."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return value[0] if isinstance(value, list) and len(value) == 1 else value
