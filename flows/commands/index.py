"""The published index: index status, index rollback."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click

from flows.commands.options import json_option, load, recipe_options


@click.group("index")
def index_command() -> None:
    """The published index."""


@index_command.command("status")
@recipe_options
@click.option("--quick", is_flag=True, help="do not read all rows to find out whether the index is whole")
@json_option
def status(recipe: str, overrides: tuple[str, ...], quick: bool, as_json: bool) -> int:
    """What is published for RECIPE: since when, how large, whether it is whole. Exit 1 when it is not."""
    from components.index.status import index_status
    from components.index.steps import index_uri

    loaded = load(recipe, overrides).recipe
    told = index_status(index_uri(loaded.index, workspace=loaded.workspace), whether_whole=not quick)
    if as_json:
        click.echo(json.dumps(told, indent=1, ensure_ascii=False))
    else:
        click.echo(_status_text(told))
    return 1 if told["faults"] else 0


@index_command.command("rollback")
@recipe_options
@click.option("--to", "number", type=click.IntRange(min=1), help="publication to go back to; else the one before")
@click.option("--list", "only_list", is_flag=True, help="show the publications and change nothing")
@click.option("--embed", is_flag=True, help="allow texts to be embedded again that are not in the cache any more")
@json_option
def rollback(
    recipe: str, overrides: tuple[str, ...], number: int | None, only_list: bool, embed: bool, as_json: bool
) -> None:
    """Publish again what was published before for RECIPE.

    What it takes out stays out: a reindex that would bring it back unchanged ends with exit 3 and says so, until the
    notes are changed, or `--force index.build` is given.
    """
    from dataclasses import asdict

    from components.index.published import read_published
    from components.index.steps import index_uri, roll_back

    loaded = load(recipe, overrides).recipe
    uri = index_uri(loaded.index, workspace=loaded.workspace)
    if only_list:
        published = read_published(uri)
        history = [asdict(entry) for entry in published.history] if published else []
        click.echo(json.dumps(history, indent=1, ensure_ascii=False) if as_json else _history_text(history))
        return
    target, report = roll_back(loaded.index, workspace=loaded.workspace, number=number, embed=embed)
    told = {
        "publication": target.number, "at": target.at, "digest": target.digest, "chunks": target.chunks,
        "added": report.added, "updated": report.updated, "removed": report.removed, "embedded": report.embedded,
    }  # fmt: skip
    if as_json:
        click.echo(json.dumps(told, indent=1, ensure_ascii=False))
        return
    click.echo(
        f"publication {target.number} of {_when(target.at)} is published again: {target.chunks} chunks of "
        f"{target.notes} notes ({report.added} added, {report.updated} updated, {report.removed} removed, "
        f"{report.embedded} embedded)"
    )
    click.echo("what it took out stays out until the notes are changed, or `cervella reindex --force index.build`")


def _when(at: str) -> str:
    return f"{at[:16].replace('T', ' ')} UTC"


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"


def _status_text(told: Mapping[str, Any]) -> str:
    now = told["published"]
    lines = [
        ("published", f"number {now['number']}, {now['how']} of {_when(now['at'])}"),
        ("holds", f"{now['chunks']} chunks of {now['notes']} notes in {told['root'] or 'a folder that is not known'}"),
        ("embedder", now["embedder"] + (" (full-text search only)" if told["degraded"] else "")),
    ]
    if now["recall"] is not None:
        lines.append(("recall at 5", f"{now['recall']:.3f} of {now['questions']} golden questions"))
    if told["undone"]:
        lines.append(("rolled back", f"publication {told['undone']} is held back until the notes are changed"))
    if "version" in told:
        lines.append(("table", f"version {told['version']}, {told['versions']} versions kept, {told['tombstones']} "
                      f"rows deleted and still on disk, {told['uncovered']} outside the full-text index"))  # fmt: skip
    lines.append(("on disk", f"{_megabytes(told['bytes'])} in {told['uri']}"))
    for name, facts in told["generations"].items():
        used = "published" if facts["published"] else f"last used {facts['last_used'][:10]}"
        lines.append(("generation", f"{name}, {_megabytes(facts['bytes'])}, {used}"))
    writer = told["writer"]
    if writer:
        lines.append(("writing now", f"process {writer['pid']} ({writer['what']}, since {writer['since']})"))
    faults = told["faults"]
    lines.append(("whole", "not looked at" if faults is None else "; ".join(faults) or "yes, every row was read"))
    if faults:
        lines.append(("way out", "cervella reindex RECIPE --force index.build: rebuilt from the embedding cache"))
    lines.append(("digest", now["digest"]))
    text = "\n".join(f"{name:<12} {value}" for name, value in lines)
    return f"{text}\n\n{_history_text(told['history'])}"


def _history_text(history: list[dict[str, Any]]) -> str:
    if not history:
        return "nothing was published yet"
    rows = ["number  published            chunks  notes   added  updated  removed  recall  what"]
    for entry in reversed(history):
        recall = "     -" if entry["recall"] is None else f"{entry['recall']:6.3f}"
        what = f"rollback to {entry['state']}" if entry["how"] == "rollback" else "reindex"
        rows.append(
            f"{entry['number']:>6}  {_when(entry['at'])}  {entry['chunks']:>6}  {entry['notes']:>5}  "
            f"{entry['added']:>6}  {entry['updated']:>7}  {entry['removed']:>7}  {recall}  {what}"
        )
    return "\n".join(rows)
