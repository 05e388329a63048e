"""Forgetting: an index without some of its rows, written anew; and one whose files may leave this machine.

LanceDB keeps deleted rows in its data files until they are joined, old versions until they are cleaned, and the words
of a text in its full-text index: so the rows that stay are written into a new table, which takes the place of the old
one, and everything else goes: older versions, other generations, tables that were put aside.

State after a hard crash: before the old table is moved away nothing has changed; afterwards there is no table, or
the new one without its pointer, until this is done again or a reindex builds it from the notes and the cache.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from components.errors import TerminalError
from components.index import table as tables
from components.index.cleanup import cover, generation_folders
from components.index.published import (
    LIVE_FILE,
    Published,
    read_published,
    readable,
    seal_of,
    utc_now,
    write_published,
)
from components.index.rows import FTS_COLUMN, rows_digest
from components.store import hold

__all__ = ["forget_rows", "indexed", "old_tables", "without_local"]

_NAMED = 3  # notes
_COLUMNS = ("path", "paths", "title", "heading", "text", "embed_text", FTS_COLUMN)
Holds = Callable[[Mapping[str, Any]], bool]


def _live(uri: Path, published: Published | None) -> Any | None:
    """The table at the version that readers see; none when it is missing or damaged."""
    if published is None:
        return None
    try:
        with tables.told_as_damage(uri):
            table = tables.open_table(tables.connect(uri), published.now.table)
            version = tables.live_version(table) if table is not None else None
            if table is None or version is None:
                return None
            table.checkout(version)
            return table
    except tables.Damaged:
        return None


def indexed(uri: Path) -> list[dict[str, Any]]:
    """Texts, paths and headings in every version of every table that can be read; each once."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    if not uri.is_dir():
        return []
    database = tables.connect(uri)
    for folder in generation_folders(uri):
        try:
            with tables.told_as_damage(uri):
                table: Any = tables.open_table(database, folder.name.removesuffix(".lance"))
                for version in table.list_versions() if table is not None else []:
                    table.checkout(version["version"])
                    names = [name for name in _COLUMNS if name in table.schema.names]
                    for row in table.search().select(names).to_arrow().to_pylist():
                        found[row.get("path", ""), row.get("embed_text", "")] = row
        except (tables.Damaged, ValueError, FileNotFoundError):
            continue
    return list(found.values())


def old_tables(uri: Path) -> list[Path]:
    """Folders of tables that are not the published one; none while nobody can tell which that is."""
    published = readable(uri)
    if published is None:
        return []
    return [folder for folder in generation_folders(uri) if folder.name != f"{published.now.table}.lance"]


def forget_rows(uri: Path, *, holds: Holds) -> int:
    """Write the published table anew without the rows that `holds` names; remove everything else.

    The index stays searchable; its history begins anew, since there is nothing to go back to. Returns the rows removed.

    Raises:
        TerminalError: another process writes the index.
    """
    if not uri.is_dir():
        return 0
    with hold(uri / ".lock", what="forget"):
        shutil.rmtree(uri / ".forget", ignore_errors=True)
        published = readable(uri)
        table = _live(uri, published)
        removed = 0
        kept = None
        if published is not None and table is not None:
            rows = table.search().to_arrow()
            told = rows.select([name for name in _COLUMNS if name in rows.schema.names]).to_pylist()
            mask = [not holds(row) for row in told]
            removed = mask.count(False)
            kept = rows.filter(_array(mask))
        if published is None or kept is None or not kept.num_rows:
            for folder in generation_folders(uri):
                shutil.rmtree(folder)
            (uri / LIVE_FILE).unlink(missing_ok=True)
            _put_aside_files(uri)
            return removed
        for folder in generation_folders(uri):
            if folder.name != f"{published.now.table}.lance":
                shutil.rmtree(folder)
        now = published.now
        hashes = dict(zip(kept["chunk_id"].to_pylist(), kept["row_hash"].to_pylist(), strict=True))
        entry = replace(
            now, number=now.number + 1, at=utc_now(), how="reindex", state=now.number + 1,
            digest=rows_digest(hashes, now.embedder), chunks_id=None, chunks=len(hashes),
            notes=len(set(kept["path"].to_pylist())), added=0, updated=0, removed=now.chunks - len(hashes), recall=None,
            questions=0, golden=None,
        )  # fmt: skip
        _write_anew(uri, replace(published, generations={now.table: utc_now()}, history=(entry,)), kept)
        _put_aside_files(uri)
    return removed


def without_local(uri: Path, published: Published, *, goes_to: str) -> Published:
    """Let no file of the published table hold a row marked `local`, so that all of them may go to `goes_to`.

    A table that held one at any time is written anew with the rows that readers see, as the same publication; the
    history stays. The caller holds the writer's lock. Returns what is published then.

    Raises:
        TerminalError: the published rows are not without such ones, or cannot be read. Nothing was changed.
    """
    with tables.told_as_damage(uri):
        table = _live(uri, published)
        if table is None:
            raise TerminalError(f"the index in {uri} cannot be read: `cervella reindex RECIPE` builds it anew")
        local = table.search().where("local").select(["path"]).to_arrow()["path"].to_pylist()
        if local:
            names = sorted(set(local))
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            raise TerminalError(
                f"{goes_to} is not on this machine, and {', '.join(names[:_NAMED])}{more} must not leave it (privacy: "
                "local), but is in the published index. Nothing was sent. Set privacy.when_remote: leave_out and "
                "reindex, name the storage's host in privacy.trusted_hosts, or leave index.copy_to out"
            )
        if tables.never_local(uri, published.now.table).exists():
            return published
        _write_anew(uri, published, table.search().to_arrow())
    return read_published(uri) or published


def _array(mask: list[bool]) -> Any:
    import pyarrow as pa

    return pa.array(mask, type=pa.bool_())


def _write_anew(uri: Path, published: Published, rows: Any) -> None:
    """Put a table of these rows in the place of the published one, and publish it as the last of the history."""
    name = published.now.table
    fresh = uri / ".forget"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    generation = tables.Generation(published.now.embedder, published.now.dimensions)
    table = tables.ensure_table(tables.connect(fresh), fresh, generation)
    table.add(rows.select(table.schema.names))
    cover(table)
    table.checkout_latest()
    table.tags.create(tables.LIVE, table.version)
    version = int(table.version)
    tables.holds_local(uri, name)
    shutil.rmtree(uri / f"{name}.lance")
    (fresh / f"{name}.lance").replace(uri / f"{name}.lance")
    if not any(rows["local"].to_pylist()):
        tables.never_local(uri, name).touch()
    last = replace(published.now, version=version)
    write_published(uri, replace(published, seal=seal_of(uri, name), history=(*published.history[:-1], last)))
    shutil.rmtree(fresh)


def _put_aside_files(uri: Path) -> None:
    for path in uri.glob("*.damaged-*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
