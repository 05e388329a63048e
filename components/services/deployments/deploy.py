"""Deploying: compare what prefect.yaml says with what a server has, and bring it there.

The file rules: what somebody changed by hand in the UI is set back, except a schedule that was paused (unless the file
says `active`), schedules without a slug, and an automation that was switched off. Only what this file's folder has
deployed before, known by a label, is ever removed; deployments of others are not touched.

A deployment and its schedules are written in one transaction of the server. What a crash in between leaves is told and
done by the next deploy: nothing is remembered here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from components.errors import TerminalError
from components.services.deployments.bring import bring
from components.services.deployments.changes import Change
from components.services.deployments.model import PrefectFile
from components.services.deployments.reading import read_prefect_file
from components.services.deployments.server import check_address, connected
from components.services.deployments.state import find_changes

__all__ = ["Deployed", "Plan", "apply_plan", "deploy_all", "plan_deploy"]


@dataclass(frozen=True)
class Plan:
    """What a server would have to change to be as the file says."""

    api_url: str
    file: PrefectFile
    folder: Path
    changes: tuple[Change, ...]

    @property
    def removals(self) -> tuple[Change, ...]:
        """Those that remove something."""
        return tuple(change for change in self.changes if change.what == "gone")


@dataclass(frozen=True)
class Deployed:
    """What was changed on the server, and what was left there although the file does not have it."""

    api_url: str
    changes: tuple[Change, ...]
    left: tuple[Change, ...] = ()

    def __str__(self) -> str:
        """A sentence."""
        counts = Counter((change.what, change.kind) for change in self.changes)
        told = [f"{count} {kind}{'s' if count > 1 else ''} {what}" for (what, kind), count in counts.items()]
        text = ", ".join(told) if told else "nothing changed"
        return f"Deployed: {text}" + (f"; {len(self.left)} not removed" if self.left else "")


def deploy_all(*, api_url: str, prefect_file: Path, say: Callable[[str], None]) -> Deployed:
    """Make the server as the file says, and remove what this folder has deployed before and the file lacks.

    Args:
        api_url: of the Prefect server, as in `http://127.0.0.1:4200/api`.
        prefect_file: the file; its folder is where workers run the flows.
        say: told every change before it is made, a line or more each.

    Raises:
        InputError: the file's faults, all at once; or no address. Nothing is sent then.
        TerminalError, TransientError: the server does not answer, or refuses.
    """
    plan = plan_deploy(api_url=api_url, prefect_file=prefect_file)
    for change in plan.changes:
        say(str(change))
    return apply_plan(plan, remove=True)


def plan_deploy(*, api_url: str, prefect_file: Path) -> Plan:
    """What would change; nothing is sent but questions. Raises as `deploy_all`."""
    check_address(api_url)
    file = read_prefect_file(prefect_file)
    folder = prefect_file.resolve().parent
    with connected(api_url) as remote:
        return Plan(api_url, file, folder, tuple(find_changes(remote, file, folder)))


def apply_plan(plan: Plan, *, remove: bool) -> Deployed:
    """Change what the plan names, then look again whether the server has it so.

    Args:
        plan: of `plan_deploy`.
        remove: also what is gone from the file; else it stays, and is listed in `left`.

    Raises:
        TerminalError: the server refuses, or is not as the file says afterwards.
    """
    with connected(plan.api_url) as remote:
        bring(remote, plan.file, plan.folder, changes=plan.changes, remove=remove)
        rest = find_changes(remote, plan.file, plan.folder)
    left = tuple(change for change in rest if change.what == "gone" and not remove)
    wrong = [change for change in rest if change not in left]
    if wrong:
        told = "\n".join(map(str, wrong))
        raise TerminalError(f"{plan.api_url} did not take all of it, or somebody else changes it now:\n{told}")
    return Deployed(plan.api_url, tuple(change for change in plan.changes if change not in left), left)
