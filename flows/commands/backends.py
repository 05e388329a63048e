"""Programs that serve a model, each in an environment of its own: backends, backends install."""

from __future__ import annotations

import json

import click

from flows.commands.options import json_option
from flows.commands.trainers import install_all, table


@click.group("backends", invoke_without_command=True)
@json_option
@click.pass_context
def backends_command(context: click.Context, as_json: bool) -> int:
    """List the backends of `serve.backend`: version, whether it is installed and whole, disk, where. Exit 1: broken.

    A backend is vLLM with all its packages in a locked environment outside of the project, beside those of trainers;
    $CERVELLA_TRAINERS names another folder for them. `embedded` needs none.
    """
    if context.invoked_subcommand is not None:
        return 0
    from components.train.environments.find import BACKENDS, trainers_folder
    from components.train.environments.state import states

    found = states(BACKENDS)
    if as_json:
        told = {"folder": str(trainers_folder()), "backends": [state.to_dict() for state in found]}
        click.echo(json.dumps(told, indent=1, ensure_ascii=False))
    else:
        click.echo(table(found, "backend"))
    return 1 if any(state.state == "broken" for state in found) else 0


@backends_command.command("install")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--repair", is_flag=True, help="make it anew, whatever its state")
@json_option
def install_command(names: tuple[str, ...], repair: bool, as_json: bool) -> None:
    """Install vllm, for the processor, or see that it works; a broken one is made anew.

    Tells first how much disk and time it takes, and refuses where the disk has not enough. Interrupted, the same
    command goes on from what was downloaded.
    """
    from components.train.environments.find import backend_name

    install_all([backend_name(name) for name in names], cpu=True, repair=repair, as_json=as_json)
