"""What is published, for people: since when, how large, whether it is whole, who is writing."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from components.errors import TerminalError
from components.index import cleanup
from components.index import table as tables
from components.index.checks import whole
from components.index.published import read_published
from components.store import is_held

__all__ = ["index_status"]


def index_status(uri: Path, *, whether_whole: bool = True) -> dict[str, Any]:
    """Facts about the index in a folder.

    Args:
        uri: folder of the tables.
        whether_whole: read all rows and compare them with what was published (seconds for a large index).

    Returns:
        `published` (the last publication: number, at, how, state, recall, ...; see `Publication`), of it once more
        `chunks`, `notes`, `embedder` and `digest`; `root`
        (folder of the notes), `version`, `versions` (kept), `uncovered` (rows that the full-text index leaves to
        scanning), `tombstones` (rows deleted and not yet removed from disk), `faults` (empty: it is whole), `bytes` (of
        the folder), `generations` (table -> bytes, last use, whether published), `writer` (who holds the lock, none),
        `undone` (number of the publication that a rollback took out), `history` (oldest first).

    Raises:
        TerminalError: nothing is published, or `live.json` is damaged.
    """
    published = read_published(uri)
    if published is None:
        raise TerminalError("nothing is published yet; first: cervella reindex RECIPE (or cervella run RECIPE)")
    now = published.now
    facts: dict[str, Any] = {
        "uri": str(uri),
        "published": asdict(now),
        "chunks": now.chunks,
        "notes": now.notes,
        "embedder": now.embedder,
        "digest": now.digest,
        "degraded": now.embedder == tables.NO_EMBEDDER,
        "root": published.root,
        "undone": published.undone.number if published.undone else None,
        "bytes": _bytes(uri),
        "writer": _writer(uri / ".lock"),
        "generations": _generations(uri, published.generations, now.table),
    }
    try:
        with tables.told_as_damage(uri):
            facts |= _table_facts(uri, now.table)
            facts["faults"] = _faults(uri, facts["version"], now) if whether_whole else None
    except TerminalError as error:
        facts["faults"] = [str(error)]
    return facts | {"history": [asdict(publication) for publication in published.history]}


def _open(uri: Path, name: str, version: int | None = None) -> Any:
    table = tables.open_table(tables.connect(uri), name)
    live = None if table is None else tables.live_version(table)
    if table is None or live is None:
        raise tables.Damaged(f"{uri} names a table that is not there; `cervella reindex RECIPE` builds it anew")
    table.checkout(version or live)
    return table


def _table_facts(uri: Path, name: str) -> dict[str, Any]:
    table = _open(uri, name)
    index = tables.full_text_index(table)
    versions = table.list_versions()
    said: dict[str, Any] = next((found["metadata"] for found in versions if int(found["version"]) == table.version), {})
    return {
        "version": int(table.version),
        "versions": len(versions),
        "uncovered": table.index_stats(index).num_unindexed_rows if index else table.count_rows(),
        "tombstones": int(said.get("total_deletion_file_rows", 0)),
    }


def _faults(uri: Path, version: int, now: Any) -> list[str]:
    return whole(_open(uri, now.table, version), embedder=now.embedder, dimensions=now.dimensions, digest=now.digest)


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _generations(uri: Path, used: dict[str, str], live: str) -> dict[str, dict[str, Any]]:
    return {
        folder.name.removesuffix(".lance"): {
            "bytes": _bytes(folder),
            "last_used": used.get(folder.name.removesuffix(".lance"))
            or datetime.fromtimestamp(folder.stat().st_mtime, UTC).isoformat(),
            "published": folder.name == f"{live}.lance",
        }
        for folder in cleanup.generation_folders(uri)
    }


def _writer(lock: Path) -> dict[str, Any] | None:
    """Who holds the writer's lock (pid, what, since); none when nobody does."""
    if not is_held(lock):
        return None
    try:
        found: dict[str, Any] = json.loads(lock.read_text(encoding="utf-8"))
        return found
    except (OSError, ValueError):
        return {"pid": None, "what": "another process", "since": None}
