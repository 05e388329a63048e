"""Training: probe, pack, unpack."""

from __future__ import annotations

import click

from flows.commands.train_elsewhere import pack_command, unpack_command
from flows.commands.train_probe import probe_command


@click.group("train")
def train_command() -> None:
    """Training: what it would take, and training on another machine."""


train_command.add_command(probe_command, "probe")
train_command.add_command(pack_command, "pack")
train_command.add_command(unpack_command, "unpack")
