"""What runs in the background: up, down."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from components.errors import InputError
from flows.commands.options import json_option

if TYPE_CHECKING:
    from components.services.supervisor import Up

_FILE = Path(__file__).resolve().parents[2] / "prefect.yaml"

workspace_option = click.option(
    "-w", "--workspace", type=click.Path(path_type=Path, file_okay=False), default=Path(".cervella"), show_default=True,
    help="folder of everything that runs write",
)  # fmt: skip


@click.command("up")
@workspace_option
@click.option("--prefect-port", type=int, default=4200, show_default=True, help="the next free one if it is taken")
@click.option("--mlflow-port", type=int, default=5000, show_default=True, help="likewise")
@click.option("--host", default="127.0.0.1", show_default=True, help="loopback alone: nothing here asks for a password")
@click.option("--timeout", type=click.FloatRange(min=1), default=240, show_default=True, metavar="SECONDS",
              help="how long to wait for all of them; a first start makes two databases")  # fmt: skip
@click.option("--prefect-database-env", "variable", metavar="NAME",
              help="environment variable with the address of a PostgreSQL database for Prefect's history; its name is "
                   "remembered for this workspace; `none`: the file of the workspace again")  # fmt: skip
@click.option("--without-worker", multiple=True, type=click.Choice(["cervella", "training"]),
              help="no worker for this work pool here: another machine has one (cervella worker)")  # fmt: skip
@click.option("--no-deploy", is_flag=True, help="leave the deployments on the server as they are")
@json_option
def up_command(
    workspace: Path, prefect_port: int, mlflow_port: int, host: str, timeout: float, variable: str | None,
    without_worker: tuple[str, ...], no_deploy: bool, as_json: bool,
) -> int:  # fmt: skip
    """Have Prefect, MLflow and two workers in the background, and the deployments of prefect.yaml on them.

    What is up stays as it is; what has died is started again. `cervella down` ends them.
    """
    from components.services.supervisor import bring_up
    from components.services.supervisor.kept import POOLS
    from components.services.supervisor.ports import check_port

    _check_host(host)
    check_port(prefect_port, option="--prefect-port")
    check_port(mlflow_port, option="--mlflow-port")
    if prefect_port == mlflow_port:
        raise InputError(f"--prefect-port and --mlflow-port are both {prefect_port}; name two ports.")
    if variable is not None:
        _choose_database(workspace, variable)
    pools = [pool for pool in POOLS if pool not in without_worker]
    up = bring_up(
        workspace, prefect_port=prefect_port, mlflow_port=mlflow_port, say=_say, timeout_seconds=timeout, pools=pools
    )  # fmt: skip
    named = os.environ.get("PREFECT_API_URL")  # looked at before it is set for this process
    deployed = None if no_deploy else _deploy(workspace, up)
    if as_json:
        about: dict[str, Any] = {"workspace": str(workspace.resolve()), "begun": up.begun, **up.services}
        about["deployed"] = deployed
        click.echo(json.dumps(about, indent=1, ensure_ascii=False))
        return 0
    for name, title in (("prefect", "Prefect"), ("mlflow", "MLflow")):
        click.echo(f"{title:<8} {up.services[name]['url']}")
    _tell_ports(up, {"prefect": prefect_port, "mlflow": mlflow_port})
    _tell_workers(up, pools)
    if deployed:
        click.echo(deployed)
    if named and named.rstrip("/") != f"{up.services['prefect']['url']}/api":
        click.echo(f"PREFECT_API_URL is set: what you run from this terminal goes to {named}, not to the server above.")
    logs = os.path.relpath(workspace.resolve() / "services" / "logs")
    click.echo(f"Logs are in {logs}; `cervella down` ends them.")
    return 0


@click.command("down")
@workspace_option
@json_option
def down_command(workspace: Path, as_json: bool) -> int:
    """End what `cervella up` started, runs of its workers included; what was sealed is kept."""
    from components.services.supervisor import bring_down

    down = bring_down(workspace, say=_say)
    if as_json:
        about = {"ended": down.keeper, "left_behind": down.left_behind, "server_stays": down.server_stays}
        click.echo(json.dumps(about, indent=1))
        return 0
    if down.keeper:
        click.echo("Ended.")
    elif down.left_behind:
        click.echo(f"Nothing was up; {down.left_behind} processes that were left behind are ended.")
    else:
        click.echo("Nothing is up.")
    if down.server_stays:
        click.echo("A run still uses the Prefect server; it ends with that run.")
    return 0


def _check_host(host: str) -> None:
    if host not in ("127.0.0.1", "localhost"):
        raise InputError(
            f"--host {host}: only 127.0.0.1. Prefect and MLflow would let anybody who reaches this machine start runs "
            "and read your notes: neither asks for a password here. From elsewhere, use a tunnel: "
            "ssh -L 4200:127.0.0.1:4200 -L 5000:127.0.0.1:5000 THIS-MACHINE"
        )


def _choose_database(workspace: Path, variable: str) -> None:
    from components.services.database import choose_database
    from components.services.environment import make_home

    folder = workspace.resolve() / "prefect"
    make_home(folder)
    choose_database(folder, None if variable == "none" else variable)


def _deploy(workspace: Path, up: Up) -> str:
    from components.services import apply_environment, prefect_environment

    api_url = f"{up.services['prefect']['url']}/api"
    apply_environment({**prefect_environment(workspace), "PREFECT_API_URL": api_url})
    from components.services.deployments import deploy_all

    near = Path(os.path.relpath(_FILE))  # faults are told at this path
    return str(deploy_all(api_url=api_url, prefect_file=_FILE if ".." in near.parts else near, say=_say))


def _tell_ports(up: Up, wanted: dict[str, int]) -> None:
    """Say so where something is not on the port that was asked for, and why."""
    from components.services.supervisor.ports import who_has

    for name, port in wanted.items():
        has = int(str(up.services[name]["url"]).rpartition(":")[2])
        if has == port:
            continue
        if up.services[name].get("wanted_port") != port:
            click.echo(f"{name} was up already on port {has} and stays there; `cervella down` first to move it.")
        else:
            click.echo(f"{name} is on port {has}: {port} was taken ({who_has(port)}).")


def _tell_workers(up: Up, pools: list[str]) -> None:
    has = [name.removeprefix("worker-") for name in up.services if name.startswith("worker-")]
    if sorted(has) != sorted(pools):
        click.echo(
            f"Workers that were up already stay: {', '.join(has) or 'none'}; `cervella down` first to change it."
        )
    elif len(has) < 2:
        click.echo(f"Workers here: {', '.join(has) or 'none'}. Runs of the other pools wait for one elsewhere.")


def _say(text: str) -> None:
    click.echo(text, err=True)
