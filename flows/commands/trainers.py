"""Programs that train, each in an environment of its own: trainers, trainers install."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from flows.commands.options import json_option

if TYPE_CHECKING:
    from components.train.environments.find import EnvironmentName
    from components.train.environments.state import State


@click.group("trainers", invoke_without_command=True)
@json_option
@click.pass_context
def trainers_command(context: click.Context, as_json: bool) -> int:
    """List the trainers: version, whether it is installed and whole, disk, where. Exit 1 when one is broken.

    A trainer is Axolotl, LLaMA-Factory or Unsloth with all its packages in a locked environment outside of the
    project; $CERVELLA_TRAINERS names another folder for them.
    """
    if context.invoked_subcommand is not None:
        return 0
    from components.train.environments.find import trainers_folder
    from components.train.environments.state import older_environments, states

    found, older = states(), older_environments()
    if as_json:
        told = {
            "folder": str(trainers_folder()),
            "trainers": [state.to_dict() for state in found],
            "older": [{"folder": str(folder), "bytes": size} for folder, size in older],
        }
        click.echo(json.dumps(told, indent=1, ensure_ascii=False))
    else:
        click.echo(table(found, "trainer"))
        for folder, size in older:
            click.echo(f"of another lock, not used by this version ({size / 1e9:.1f} GB): {folder}")
    return 1 if any(state.state == "broken" for state in found) else 0


def table(found: Sequence[State], kind: str) -> str:
    """Environments, a row each, for people; `kind`: of program."""
    from components.store import bytes_in_words
    from components.train.environments.find import install_command

    rows = [f"{kind:<13} version     state      for   disk     where"]
    for state in found:
        build = "CUDA" if state.cuda else "CPU"
        disk = bytes_in_words(state.bytes) if state.state != "missing" else f"~{bytes_in_words(state.bytes)}"
        where = str(state.folder) if state.state != "missing" else install_command(state.name)
        rows.append(f"{state.name:<13} {state.version:<11} {state.state:<10} {build:<5} {disk:<8} {where}")
        if state.state == "broken":
            rows.append(f"              {state.why}: {install_command(state.name)}")
    return "\n".join(rows)


@trainers_command.command("install")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--cpu", is_flag=True, help="torch for the CPU, also where there is an NVIDIA GPU")
@click.option("--repair", is_flag=True, help="make it anew, whatever its state")
@json_option
def install_command(names: tuple[str, ...], cpu: bool, repair: bool, as_json: bool) -> None:
    """Install axolotl, llamafactory or unsloth, or see that it works; a broken one is made anew.

    Tells first how much disk and time it takes, and refuses where the disk has not enough. Interrupted, the same
    command goes on from what was downloaded.
    """
    from components.train.environments.find import trainer_name

    install_all([trainer_name(name) for name in names], cpu=cpu, repair=repair, as_json=as_json)


def install_all(names: Sequence[EnvironmentName], *, cpu: bool, repair: bool, as_json: bool) -> None:
    """Install environments one after the other, and tell."""
    from components.train.environments.install import install

    told = []
    for name in names:
        line = _Line(name)
        try:
            environment = install(name, say=line.say, tick=line.tick, cpu=cpu, repair=repair)
        finally:
            line.clear()
        told.append(environment.to_dict())
        if not as_json:
            click.echo(f"{name} {environment.trainer_version} (torch {environment.torch}): {environment.python}")
    if as_json:
        click.echo(json.dumps(told, indent=1, ensure_ascii=False))


class _Line:
    """What happens, on stderr: a line each, and below it, on a terminal, how long and how much so far."""

    def __init__(self, name: str) -> None:
        self.name, self.begun, self.last = name, time.monotonic(), time.monotonic()
        self.live = sys.stderr.isatty()

    def say(self, text: str) -> None:
        self.clear()
        click.echo(text if text.startswith(self.name) else f"{self.name}: {text}", err=True)

    def tick(self, taken: int) -> None:
        now = time.monotonic()
        if now - self.last < (0.5 if self.live else 15):
            return
        self.last = now
        text = f"… {now - self.begun:.0f} s, {taken / 1e9:.1f} GB of disk"
        click.echo(f"\r\x1b[K{text}" if self.live else text, err=True, nl=not self.live)

    def clear(self) -> None:
        if self.live:
            click.echo("\r\x1b[K", err=True, nl=False)
