"""What is kept and what is not: gc, forget."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from components.errors import InputError, TerminalError
from flows.commands.options import load, recipe_options

if TYPE_CHECKING:
    from components.recipe.forget import Forgetting

_SHOWN = 40
yes_option = click.option("--yes", is_flag=True, help="do it; without, it is only told and asked")


def agreed(question: str, *, yes: bool) -> bool:
    """Whether it shall be done. Where nobody can be asked, no."""
    if yes:
        return True
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        click.echo("Nothing was removed. With --yes it is done.")
        return False
    return click.confirm(question)


@click.command("gc")
@recipe_options
@click.option("--keep", type=click.IntRange(min=1), help="runs of each recipe whose artefacts stay (default: 10)")
@click.option("--older-than", type=click.IntRange(min=0), metavar="DAYS", help="instead: keep those of younger runs")
@yes_option
def gc_command(
    recipe: str, overrides: tuple[str, ...], keep: int | None, older_than: int | None, yes: bool
) -> int:  # fmt: skip
    """Remove what no kept run, no release and no published index of RECIPE's workspace needs. Exit 1: not agreed."""
    from components.recipe.cleaning import path_in_words, remove_unused
    from components.recipe.unused import KEEP_RUNS, Look
    from components.store import bytes_in_words

    if keep is not None and older_than is not None:
        raise InputError("--keep and --older-than are two answers to one question; give one of them")
    loaded = load(recipe, overrides).recipe
    if not loaded.workspace.is_dir():
        click.echo(f"{loaded.workspace} is not there yet: nothing to remove")
        return 0
    age = None if older_than is None else timedelta(days=older_than)
    look = Look(loaded, keep or KEEP_RUNS, older_than=age)
    unused = look.find()
    for item in unused[:_SHOWN]:
        path = path_in_words(item.path, below=loaded.workspace.parent)
        click.echo(f"{item.kind:<10} {bytes_in_words(item.size):>10}  {path}")
    if len(unused) > _SHOWN:
        click.echo(f"... and {len(unused) - _SHOWN} more")
    total = bytes_in_words(sum(item.size for item in unused))
    click.echo(f"{len(unused)} things, {total}")
    if not unused or not agreed(f"Remove them ({total})?", yes=yes):
        return 1 if unused else 0
    removed = remove_unused(look, unused)
    click.echo(f"removed {bytes_in_words(sum(item.size for item in removed))}")
    if stay := len(unused) - len(removed):
        click.echo(
            f"{stay} of them stay: they are needed by now, somebody is at work on them, or they may not be removed"
        )
    return 0


@click.command("forget")
@recipe_options
@click.argument("notes", nargs=-1, metavar="[NOTE]...")
@click.option("--secret", is_flag=True, help="forget a text: typed without being shown, or given on stdin")
@yes_option
def forget_command(
    recipe: str, overrides: tuple[str, ...], notes: tuple[str, ...], secret: bool, yes: bool
) -> int:  # fmt: skip
    """Remove NOTEs (paths or globs, relative to sncp.root), or a secret, from all that RECIPE's workspace keeps.

    Index, caches, artefacts, runs, MLflow, Prefect. It tells where it is, asks, and looks again. Notes themselves are
    never touched. Exit 1: not agreed.
    """
    from components.recipe.forget import Forgetting, alone_in, note_words
    from components.store.purge import Words

    if bool(notes) == secret:
        raise InputError(
            "name notes, or give --secret: cervella forget RECIPE NOTE..., cervella forget RECIPE --secret"
        )
    loaded = load(recipe, overrides).recipe
    if not loaded.workspace.is_dir():
        click.echo(f"{loaded.workspace} is not there: nothing was ever kept")
        return 0
    typed = Words.of_secret(_secret()) if secret else None

    def search() -> Forgetting:
        return Forgetting(loaded, typed) if typed else Forgetting(loaded, *note_words(loaded, notes))

    with alone_in(loaded.workspace, "forget"):
        _tell_what_is_found(search())
    # While a person thinks, runs and questions go on.
    if not agreed("Remove it? What can be made again is made again by the next run.", yes=yes):
        return 1
    with alone_in(loaded.workspace, "forget"):
        forgetting = search()
        champions = forgetting.champions()
        forgetting.forget()
        left = forgetting.left()
    if left:
        raise TerminalError(f"it is still in {len(left)} places: {', '.join(left[:5])}. Run the same command again")
    click.echo("forgotten: no file of the workspace holds it any more")
    for name in champions:
        click.echo(
            f"the release in service as {name} is gone: cervella run {recipe} and cervella promote {recipe} put a new "
            f"one into service, cervella rollback {recipe} an older one that is whole", err=True,
        )  # fmt: skip
    _tell_what_remains(forgetting)
    return 0


def _tell_what_is_found(forgetting: Forgetting) -> None:
    found = forgetting.found()
    for place, count in list(found.items())[:_SHOWN]:
        click.echo(f"{count:>6}  {place}")
    if len(found) > _SHOWN:
        click.echo(f"... and {len(found) - _SHOWN} more places")
    for name, one in forgetting.champions().items():
        click.echo(f"among it is what is in service: {name} version {one.version}, release {one.digest[:12]}")
    if not found:
        click.echo("it is nowhere in the workspace; the tables of the index are written anew, to be sure")


def _secret() -> str:
    if sys.stdin.isatty():
        return str(click.prompt("Text to forget (not shown)", hide_input=True))
    return sys.stdin.read()


def _tell_what_remains(forgetting: Forgetting) -> None:
    for place in forgetting.on_disk()[:_SHOWN]:
        click.echo(f"still among your notes, so a reindex brings it back: {place}", err=True)
    if forgetting.paths:
        click.echo("to leave a note out, delete it or name it in sncp.exclude of the recipe", err=True)
    if labels := forgetting.labels():
        file = forgetting.recipe.evaluate.judge.labels
        click.echo(
            f"{labels} verdicts of yours in {file} tell of it; the file is yours: take these lines out", err=True
        )
    from components.services.database import chosen_variable

    if uri := forgetting.recipe.registry.tracking_uri:
        click.echo(f"not searched: MLflow at {uri}", err=True)
    if variable := chosen_variable(forgetting.recipe.workspace / "prefect"):
        click.echo(
            f"not searched: Prefect's history in PostgreSQL ({variable}): names, parameters and logs of its runs",
            err=True,
        )
    click.echo("out of reach: what was sent to a provider, and backups", err=True)
