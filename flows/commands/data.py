"""Conversations for training: data check, data review."""

from __future__ import annotations

import glob
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

import click

from components.dataset.findings import Severity
from components.dataset.params import DatasetParams, TemplateName
from components.errors import InputError
from components.store import progress_of, write_atomic
from flows.commands.data_review import review_command
from flows.commands.options import load, override_option
from flows.commands.terminal import told_in_terminal

if TYPE_CHECKING:
    from components.evaluate import Question

_FILE = click.Path(path_type=Path)


@click.group("data")
def data_command() -> None:
    """Conversations for training: check any file of them, review them one by one."""


data_command.add_command(review_command, "review")


@data_command.command("check")
@click.argument("files", nargs=-1, metavar="FILE...", type=_FILE)
@click.option("-r", "--recipe", metavar="RECIPE", help="settings, and examples where no FILE is named, of this recipe")
@override_option
@click.option("--json", "json_out", metavar="OUT", help="write the report as JSON to this file (-: to the terminal)")
@click.option("--html", "html_out", type=_FILE, metavar="OUT", help="write the report as one page to look at")
@click.option("--baseline", type=_FILE, metavar="FILE", help="an earlier --json: only what got worse fails")
@click.option("--fix", "fix_out", type=_FILE, metavar="OUT", help="write a mended copy of FILE, and check that")
@click.option("--fail-on", type=click.Choice(get_args(Severity)), help="exit 1 from here on  [default: error]")
@click.option("--template", type=click.Choice(get_args(TemplateName)), help="of the base model  [default: qwen3]")
@click.option("--max-tokens", type=click.IntRange(min=1), help="longest conversation  [default: 2048]")
@click.option("--golden", type=_FILE, metavar="FILE", help="golden questions that no example may hold")
@click.option("--held-out", multiple=True, type=_FILE, metavar="FILE", help="conversations that none may be like")
def check(
    files: tuple[Path, ...], recipe: str | None, overrides: tuple[str, ...], json_out: str | None,
    html_out: Path | None, baseline: Path | None, fix_out: Path | None, fail_on: str | None, template: str | None,
    max_tokens: int | None, golden: Path | None, held_out: tuple[Path, ...],
) -> int:  # fmt: skip
    """Check FILEs of conversations (ShareGPT; OpenAI, Alpaca and others are converted) as a trainer would take them.

    Every fault that trainers accept in silence is told with its line and how to mend it. Exit 0: nothing found from
    --fail-on on; 1: something; 2: a file is not there or cannot be opened. FILE is never changed.
    """
    params, own, golden, notes = _of_recipe(recipe, overrides, files, golden)
    files = _expanded(files) or own
    if not files:
        raise InputError("no file to check: cervella data check FILE..., or -r RECIPE for its dataset.examples")
    read = [*files, *held_out, *(one for one in (golden, baseline) if one)]
    _check_outputs({"--json": json_out if json_out != "-" else None, "--html": html_out, "--fix": fix_out}, read)
    left_out = 0
    if fix_out:
        left_out = _fixed(files, fix_out)
        files = (fix_out,)
    settings = {**_settings(params), **{k: v for k, v in (("template", template), ("max_tokens", max_tokens)) if v}}

    from components.dataset.check import check_files
    from components.dataset.reports.baseline import compare, read_baseline
    from components.dataset.reports.report_text import report_text

    before = read_baseline(baseline) if baseline else None
    with told_in_terminal():
        report = check_files(
            files, **settings, golden=_questions(golden), held_out=held_out, known_notes=notes,
            targets=params.stages.model_dump() if recipe else None, progress=progress_of("bytes checked"),
        )  # fmt: skip
    fail = cast(Severity, fail_on or params.check.fail_on)
    drift = compare(before, report) if before else None
    if drift is not None:
        report = report.also(drift.hits())
    told = report.to_dict()
    lines = [report_text(report, fail_on=fail)]
    if drift is not None:
        told["baseline"] = drift.to_dict()
        lines.append(drift.text())
    if html_out:
        from components.dataset.reports.page import write_page

        write_page(html_out, report, fail_on=fail)
        lines.append(f"The page: {html_out}")
    text = json.dumps(told, indent=1, ensure_ascii=False)
    if json_out == "-":
        click.echo(text)
    else:
        if json_out:
            write_atomic(Path(json_out), f"{text}\n".encode())
            lines.append(f"The report: {json_out}")
        click.echo("\n".join(lines))
    return int(bool(left_out) or (drift.worse if drift is not None else report.fails(fail)))


def _of_recipe(
    recipe: str | None, overrides: Sequence[str], files: Sequence[Path], golden: Path | None
) -> tuple[DatasetParams, tuple[Path, ...], Path | None, dict[str, str] | None]:
    """Section `dataset`, its examples where no file is named, the golden questions, and the notes' hashes."""
    if recipe is None:
        if overrides:
            raise InputError("-o changes values of a recipe; name it with -r RECIPE")
        return DatasetParams(), (), golden, None
    from components.dataset.steps import example_files, note_hashes
    from components.sncp.steps import read_notes

    loaded = load(recipe, tuple(overrides)).recipe
    own = () if files else tuple(example_files(loaded.dataset))
    notes = read_notes(
        loaded.sncp, persona_files=loaded.persona.files, local=loaded.privacy.local, workspace=loaded.workspace
    )
    return loaded.dataset, own, golden or loaded.evaluate.golden, note_hashes(notes.documents)


def _settings(params: DatasetParams) -> dict[str, Any]:
    from components.dataset.steps import check_settings

    return check_settings(params.check)


def _expanded(files: Sequence[Path]) -> tuple[Path, ...]:
    """Globs that the shell left as they are (it does so in quotes)."""
    found: list[Path] = []
    for file in files:
        names = sorted(glob.glob(str(file))) if glob.has_magic(str(file)) and not file.exists() else []
        found += [Path(name) for name in names] or [file]
    return tuple(found)


def _check_outputs(outputs: Mapping[str, str | Path | None], read: Sequence[Path]) -> None:
    """Refuse, before anything is done, to write over what is read, or over a file that is no earlier report."""
    for option, name in outputs.items():
        if name is None:
            continue
        out = Path(name)
        if out.is_dir():
            raise InputError(f"{option} {out}: a folder; expected the name of a file to write")
        if not out.parent.is_dir():
            raise InputError(f"{option} {out}: the folder {out.parent} is not there")
        if any(out.resolve() == file.resolve() for file in read):
            raise InputError(f"{option} {out}: that is a file that is read; nothing is ever written over it")
        beginning = b""
        if option != "--fix" and out.exists():  # --fix refuses any file that is there
            with out.open("rb") as file:
                beginning = file.read(200).lower()
        if beginning and not (beginning.startswith(b"<!doctype html>") or b'"version"' in beginning):
            raise InputError(f"{option} {out}: there is a file already, and it is no earlier report; name another")


def _fixed(files: Sequence[Path], out: Path) -> int:
    """Mend a copy; returns the bytes that could not be read and are left out of it."""
    from components.dataset.files.fix import fix_file

    if len(files) > 1:
        raise InputError(f"--fix mends one file at a time, and {len(files)} are named")
    changes = len(fix_file(files[0], out))
    told = "nothing was to be mended"
    if changes:
        told = f"{changes} change{'' if changes == 1 else 's'}, listed in {out}.changes.jsonl"
    left = Path(f"{out}.left-out")
    left_out = left.stat().st_size if left.exists() else 0
    if left_out:
        told += f"; NOT in it is what could not be read, which is in {left}: mend it by hand"
    click.echo(f"{out}: {told}\n", err=True)
    return left_out


def _questions(golden: Path | None) -> list[Question]:
    from components.evaluate import load_golden

    return load_golden(golden, known_paths=None) if golden else []
