"""Deployments of prefect.yaml on a Prefect server: deploy."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from components.errors import TerminalError
from flows.commands.options import json_option

if TYPE_CHECKING:
    from components.services.deployments import Deployed, Plan

_FILE = Path(__file__).resolve().parents[2] / "prefect.yaml"


@click.command("deploy")
@click.option("--dry-run", is_flag=True, help="only show what would change; exit 1 when anything would")
@click.option("--yes", is_flag=True, help="remove what is gone from prefect.yaml without asking")
@click.option(
    "--api-url", metavar="URL", help="the Prefect server; else PREFECT_API_URL, else the one of the workspace"
)
@click.option("-w", "--workspace", type=click.Path(path_type=Path), default=Path(".cervella"), show_default=True,
              metavar="FOLDER", help="whose server is meant, when none is named")  # fmt: skip
@json_option
def deploy_command(dry_run: bool, yes: bool, api_url: str | None, workspace: Path, as_json: bool) -> int:
    """Bring what prefect.yaml says to a Prefect server: work pools, deployments, schedules, the list of recipes.

    Again after adding a recipe. Shows what changes before it does. What is gone from the file is removed after a yes,
    and only when it was deployed from here; deployments of others stay. Exit 1: the server is not as the file says,
    after a dry run or because something was not removed.
    """
    from components.services import apply_environment, prefect_environment

    url = (api_url or os.environ.get("PREFECT_API_URL") or _own(workspace)).rstrip("/")
    from components.services.deployments import apply_plan, plan_deploy
    from components.services.deployments.server import check_address

    check_address(url)
    apply_environment({**prefect_environment(workspace), "PREFECT_API_URL": url})
    near = Path(os.path.relpath(_FILE))  # faults are told at this path
    plan = plan_deploy(api_url=url, prefect_file=_FILE if ".." in near.parts else near)
    if not as_json:
        _show(plan)
    if dry_run:
        if as_json:
            _print(plan, None)
        return 1 if plan.changes else 0
    deployed = apply_plan(plan, remove=yes or _may_remove(plan, as_json=as_json))
    if as_json:
        _print(plan, deployed)
    else:
        click.echo(deployed)
    if deployed.left:
        click.echo("cervella: not removed, because nobody said yes: cervella deploy --yes removes it", err=True)
    return 1 if deployed.left else 0


def _own(workspace: Path) -> str:
    """The address of the workspace's server."""
    from components.services.watch import server_state
    from components.store import is_held

    folder = workspace.resolve() / "prefect"
    state = server_state(folder) if is_held(folder / "server.lock") else {}
    if not state:
        raise TerminalError(
            f"no Prefect server of the workspace {workspace} runs: cervella up starts one and deploys; "
            "--api-url names another"
        )
    return str(state["api_url"])


def _show(plan: Plan) -> None:
    for change in plan.changes:
        click.echo(change)
    if not plan.changes:
        click.echo(f"{plan.api_url} is as {_FILE.name} says")


def _may_remove(plan: Plan, *, as_json: bool) -> bool:
    if not plan.removals or as_json or not sys.stdin.isatty():
        return False
    names = ", ".join(f"{change.kind} {change.name}" for change in plan.removals)
    return click.confirm(f"Remove {names} from {plan.api_url}?", err=True)


def _print(plan: Plan, deployed: Deployed | None) -> None:
    click.echo(json.dumps({
        "api_url": plan.api_url,
        "changes": [change.to_dict() for change in plan.changes],
        "applied": deployed is not None,
        "left": [change.to_dict() for change in deployed.left] if deployed else [],
    }, indent=1, ensure_ascii=False))  # fmt: skip
