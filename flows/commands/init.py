"""A first recipe for one's own notes: init."""

from __future__ import annotations

import json
import os
import shlex
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from components.errors import InputError
from flows.commands.options import json_option
from flows.commands.terminal import told_in_terminal

if TYPE_CHECKING:
    from components.recipe.first_recipe import FirstRecipe
    from components.recipe.survey import Survey


@click.command("init")
@click.option("--sncp", required=True, type=click.Path(path_type=Path), metavar="PATH", help="folder of the notes")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FILE", help="recipe to write (default: recipes/NAME.yaml)"
)
@click.option("--name", help="of the recipe: small letters, digits and dashes (default: from the folder's name)")
@click.option(
    "--persona", is_flag=True, help="write a COSTITUZIONE and a DNA to begin with, into persona/ beside the recipe"
)
@json_option
def init_command(sncp: Path, out: Path | None, name: str | None, persona: bool, as_json: bool) -> None:
    """Look at the notes in PATH and write a first recipe for them. Nothing that exists is overwritten."""
    from components.recipe.first_recipe import first_recipe, recipe_name, write_first, write_new
    from components.recipe.persona_template import persona_template
    from components.recipe.survey import survey

    root = Path(os.path.abspath(sncp.expanduser()))
    name = _checked(name) if name else recipe_name(out.stem if out else root.name)
    path = Path(os.path.abspath(out or (Path("recipes") if Path("recipes").is_dir() else Path()) / f"{name}.yaml"))
    if path.suffix not in (".yaml", ".yml") or path.is_dir():
        raise InputError(f"--out {out}: expected a file that ends in .yaml")
    if os.path.lexists(path):
        raise InputError(f"{path} is there already and is never overwritten: name another file with --out, or --name.")
    with told_in_terminal() if sys.stderr.isatty() else nullcontext():
        found = survey(root, beside=list(dict.fromkeys([path.parent, root.parent])))
    written = []
    if persona:
        texts = persona_template("en" if max(found.languages, key=lambda key: found.languages[key]) == "en" else "it")
        written = [path.parent / "persona" / file for file in texts]
        there = [str(file) for file in written if os.path.lexists(file)]
        if there:
            raise InputError(f"{', '.join(there)}: there already, and never overwritten; leave --persona out.")
    workspace = Path(os.path.abspath(".cervella"))  # where commands that name no recipe look
    first = first_recipe(found, path=path, name=name, workspace=workspace, persona=written)
    for file, text in zip(written, texts.values() if written else (), strict=True):
        write_new(file, text)
    write_first(first)
    if as_json:
        about = {"recipe": str(path), "name": name, "phase": first.phase, "persona": [str(file) for file in written]}
        click.echo(json.dumps({**about, **found.to_dict()}, indent=1, ensure_ascii=False))
        return
    _tell(found, first, written)


def _checked(name: str) -> str:
    from components.recipe.first_recipe import recipe_name

    if recipe_name(name) != name:
        known = "small letters, digits and single dashes"
        raise InputError(f"--name {name!r} cannot name a recipe: expected {known}, such as {recipe_name(name)}")
    return name


def _tell(found: Survey, first: FirstRecipe, written: list[Path]) -> None:
    languages = ", ".join(f"{count} {_LANGUAGES.get(key, key)}" for key, count in found.languages.items())
    click.secho(f"{len(found.documents)} notes in {found.root}", bold=True)
    click.echo(f"  {found.characters:,} characters; {languages}")
    for kind, count in found.kinds.items():
        example = next(item.path for item in found.documents if item.kind == kind)
        click.echo(f"  {kind:<10} {count:>5}   {example}")
    rows = [
        ("constitution", _files(found.constitutions, written[:1], found.root)),
        ("dna", _files(found.dnas, written[1:], found.root)),
        ("session", f"the newest of {found.resumes} PROMPT_RIPRESA" if found.resumes else "no PROMPT_RIPRESA"),
        ("golden", str(found.golden) if found.golden else "no questions yet"),
        ("secrets", f"{found.secrets} in {found.secret_notes} notes; masked before anything is indexed or sent"),
    ]
    if found.duplicates:
        rows.append(("twice", f"{found.duplicates} with exactly the text of another; indexed once"))
    rows += [
        ("large", f"{path} ({size:,} characters): a log or an export? sncp.exclude leaves it out")
        for path, size in found.large[:5]
    ]
    if found.alike and not found.constitutions:
        rows.append(("look at", f"{_short(found.alike[0], found.root)}: says how to behave; could be the constitution"))
    for key, value in rows:
        click.echo(f"  {key:<12} {value}")
    if found.left_out:
        click.secho("Not included", bold=True)
    for item in found.left_out:
        several = f"{item.count} × " if item.count > 1 and not item.what.endswith("more") else ""
        click.echo(f"  {several}{item.what}: {item.why}")
    click.secho(f"Wrote {os.path.relpath(first.path)}: valid, phase {first.phase}", bold=True)
    for file in written:
        click.echo(f"  and {os.path.relpath(file)}: a beginning; make it yours")
    recipe = shlex.quote(os.path.relpath(first.path))
    if not written and not found.constitutions:
        click.echo("  No COSTITUZIONE was found: search works without one, an answer needs who answers. Name a file in")
        click.echo(f"  {recipe}, or write one to begin with: cervella init --sncp ... --out OTHER.yaml --persona")
    if first.phase == "reindex":
        click.echo("  Scores need ten questions of yours: the end of the recipe says how to write them.")
    for head, command in (("Next:", "plan"), ("", "run"), ("", "search")):
        click.echo(f"{head:<6} cervella {command} {recipe}" + (" 'a question'" if command == "search" else ""))


_LANGUAGES = {"it": "in Italian", "en": "in English"}


def _files(found: list[Path], written: list[Path], root: Path) -> str:
    if written:
        return f"{os.path.relpath(written[0])} (new)"
    if not found:
        return "not found"
    more = f", and {len(found) - 1} more candidates" if len(found) > 1 else ""
    return f"{_short(found[0], root)}{more}"


def _short(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
