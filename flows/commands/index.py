"""The published index: index status, index rollback."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flows.commands.options import json_option, load, recipe_options

if TYPE_CHECKING:
    from components.index.bucket.copying import CopyReport
    from components.recipe.model import Recipe


@click.group("index")
def index_command() -> None:
    """The published index."""


@index_command.command("status")
@recipe_options
@click.option("--quick", is_flag=True, help="do not read all rows to find out whether the index is whole")
@json_option
def status(recipe: str, overrides: tuple[str, ...], quick: bool, as_json: bool) -> int:
    """What is published for RECIPE: since when, how large, whether it is whole. Exit 1 when it is not."""
    from components.index.place import copy_facts, newest_uri
    from components.index.status import index_status

    loaded = load(recipe, overrides).recipe
    uri = newest_uri(loaded.index, workspace=loaded.workspace)
    told = index_status(uri, whether_whole=not quick)
    told["bucket"] = loaded.index.read_from
    told["copy"] = copy_facts(loaded.index, workspace=loaded.workspace, trusted_hosts=loaded.privacy.trusted_hosts)
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

    from components.index.place import newest_uri
    from components.index.published import read_published
    from components.index.steps import roll_back

    loaded = load(recipe, overrides).recipe
    if only_list:
        published = read_published(newest_uri(loaded.index, workspace=loaded.workspace))
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
        _copy(loaded, say=False)
        return
    click.echo(
        f"publication {target.number} of {_when(target.at)} is published again: {target.chunks} chunks of "
        f"{target.notes} notes ({report.added} added, {report.updated} updated, {report.removed} removed, "
        f"{report.embedded} embedded)"
    )
    click.echo("what it took out stays out until the notes are changed, or `cervella reindex --force index.build`")
    _copy(loaded, say=True)


@index_command.command("copy")
@recipe_options
@click.option("--anew", is_flag=True, help="upload all of it again, and take the address over from another writer")
@json_option
def copy_command(recipe: str, overrides: tuple[str, ...], anew: bool, as_json: bool) -> None:
    """Let the bucket of index.copy_to hold what is published for RECIPE, as the end of every run does."""
    from dataclasses import asdict

    from components.index.place import copy_published
    from components.store import progress_of

    loaded = load(recipe, overrides).recipe
    report = copy_published(
        loaded.index, workspace=loaded.workspace, trusted_hosts=loaded.privacy.trusted_hosts, anew=anew,
        progress=progress_of("index.copy"),
    )  # fmt: skip
    if as_json:
        click.echo(json.dumps({"address": loaded.index.copy_to, **asdict(report)}, indent=1, ensure_ascii=False))
    else:
        click.echo(_copied(loaded.index.copy_to, report))


def _copy(recipe: Recipe, *, say: bool) -> None:
    if recipe.index.copy_to is None:
        return
    from components.index.place import copy_published

    report = copy_published(recipe.index, workspace=recipe.workspace, trusted_hosts=recipe.privacy.trusted_hosts)
    if say:
        click.echo(_copied(recipe.index.copy_to, report))


def _copied(address: str | None, report: CopyReport) -> str:
    return (
        f"{address} has publication {report.publication}: {report.uploaded} objects uploaded "
        f"({_megabytes(report.bytes)}), {report.removed} removed"
    )


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
    if told["bucket"]:
        lines.append(("read from", f"{told['bucket']}, which another machine writes"))
    lines += [("copy", text) for text in _copy_lines(told["copy"], now["number"])]
    faults = told["faults"]
    lines.append(("whole", "not looked at" if faults is None else "; ".join(faults) or "yes, every row was read"))
    if faults:
        again = "cervella reindex RECIPE --force index.build: rebuilt from the embedding cache"
        brought = f"remove {Path(told['uri']).parent}: the next question brings it anew from the bucket"
        lines.append(("way out", brought if told["bucket"] else again))
    lines.append(("digest", now["digest"]))
    text = "\n".join(f"{name:<12} {value}" for name, value in lines)
    return f"{text}\n\n{_history_text(told['history'])}"


def _copy_lines(copy: Mapping[str, Any] | None, number: int) -> list[str]:
    if copy is None:
        return []
    if copy["fault"]:
        return [f"in {copy['address']}: cannot be looked at: {copy['fault']}"]
    if copy["publication"] is None:
        return [f"nothing is in {copy['address']} yet; cervella index copy RECIPE"]
    if not copy["ours"]:
        return [f"{copy['address']} has an index of {copy['writer']}"]
    told = [f"publication {copy['publication']} is in {copy['address']} since {_when(copy['at'])}"]
    if not copy["is_newest"]:
        told.append(f"behind: {number} is published here; cervella index copy RECIPE, or the next run, brings it")
    if copy["missing"]:
        told.append(f"{copy['missing']} of its objects are missing there: cervella index copy RECIPE --anew")
    return told


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
