"""A worker on another machine: worker."""

from __future__ import annotations

import os
from pathlib import Path

import click

from components.errors import InputError
from flows.commands.up import workspace_option


@click.command("worker")
@click.option(
    "--api-url", metavar="URL", help="the Prefect server, as in http://127.0.0.1:4200/api; else PREFECT_API_URL"
)
@click.option("--pool", required=True, metavar="NAME", help="work pool whose runs it takes, such as training")
@click.option(
    "--limit", type=click.IntRange(min=1), metavar="N", help="at most so many runs at once; else as the pool has"
)
@workspace_option
def worker_command(api_url: str | None, pool: str, limit: int | None, workspace: Path) -> int:
    """Work for the Prefect server of another machine, in the foreground, until Ctrl-C or SIGTERM (exit 0).

    For a machine with a GPU, say: trainings that are started in the UI then run here. `cervella up` has workers of its
    own; with `--without-worker training` it leaves trainings to this one. Needs the same checkout, at the same path.
    """
    from components.services.supervisor.standalone import work

    url = api_url or os.environ.get("PREFECT_API_URL")
    if not url:
        raise InputError("no Prefect server is named: --api-url URL, or PREFECT_API_URL")
    from components.services.deployments.server import check_address

    check_address(url)
    work(api_url=url, pool=pool, workspace=workspace, limit=limit, say=lambda text: click.echo(text, err=True))
    return 0
