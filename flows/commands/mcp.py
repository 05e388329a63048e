"""Tools for an agent program: mcp."""

from __future__ import annotations

import os
import sys

import click

from flows.commands.options import load, recipe_options


@click.command("mcp")
@recipe_options
@click.option(
    "--with-local", is_flag=True,
    help="give notes that must not leave this machine too: the program that asks, and its model, are on it",
)  # fmt: skip
def mcp_command(recipe: str, overrides: tuple[str, ...], with_local: bool) -> int:
    """Let an agent program search the notes of RECIPE, ask its partner, plan and run.

    It speaks the Model Context Protocol on stdin and stdout and ends with its stdin; the agent program starts it. Other
    recipes of RECIPE's folder can be planned and run, no others. -o holds for all of them.
    """
    loaded = load(recipe, overrides)
    if sys.stdin.isatty():
        click.echo("An agent program starts this and talks with it, see docs/mcp.md. Ctrl-C ends it.", err=True)

    from flows.mcp_tools.server import make_server, serve_stdio

    serve_stdio(make_server(loaded, overrides=overrides, with_local=with_local))
    # Whoever asked is gone. Work that nobody waits for, in a thread that nothing can interrupt, is not waited for.
    sys.stderr.flush()
    os._exit(0)
