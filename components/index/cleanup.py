"""Housekeeping of a table: what the full-text index covers, which old versions go, which generations go.

LanceDB has one call for it all, `optimize`: it covers new rows, joins files (writing all rows anew) and removes old
versions. It is therefore done when it pays, not at each reindex; rows that the full-text index does not cover yet are
scanned by each search, which finds them all the same and scores them a little differently.

State after a hard crash: whatever is done here is done again, or not needed; files of a killed write are removed by a
later call.
"""

from __future__ import annotations

import re
import shutil
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from components.index import table as tables
from components.index.published import Publication
from components.index.rows import FTS_COLUMN, LANGUAGE
from components.store import logger

__all__ = ["cover", "drop_generations", "generation_folders", "prune", "tail_allowed"]

KEEP = timedelta(minutes=30)
"""How long rows that are no longer published stay readable, for those who are reading them."""
GRACE = timedelta(days=7)
"""How long a generation that is not published stays on disk: going back to it costs nothing until then."""
MARGIN = 5.0
"""Seconds: LanceDB reads its clock a moment after we have read ours."""
_TAIL_ROWS, _TAIL_SHARE = 64, 0.02  # rows that the full-text index may leave to scanning
_LARGE = 20_000  # rows: from here on covering a few new ones costs seconds
_BUSY = 24  # versions within `KEEP`: from here on each covering would leave another copy of the table
_PRUNE = 12  # old versions that are worth a call
_NEVER = timedelta(days=36_500)
_OURS = re.compile(r"chunks-[0-9a-f]{16}\.lance(\.damaged-\d+)?")


def tail_allowed(rows: int) -> int:
    """How many of so many rows the full-text index may leave to scanning."""
    return max(_TAIL_ROWS, int(rows * _TAIL_SHARE))


def cover(table: Any) -> None:
    """Let the full-text index cover the rows, unless they are few and covering them would cost too much now."""
    from lancedb.index import FTS

    rows = table.count_rows()
    if not rows:
        return
    index = tables.full_text_index(table)
    if index is None:
        table.create_index(FTS_COLUMN, config=FTS(language=LANGUAGE, with_position=False))
        return
    left = table.index_stats(index).num_unindexed_rows
    recent = sum(datetime.now().timestamp() - _made(version) < KEEP.total_seconds() for version in _versions(table))  # noqa: DTZ005
    if left > tail_allowed(rows) or (left and rows <= _LARGE and recent < _BUSY):
        table.optimize(cleanup_older_than=_NEVER)


def prune(table: Any, history: tuple[Publication, ...]) -> None:
    """Remove versions that nobody has been shown for `KEEP`. The newest must be tagged: LanceDB refuses otherwise.

    A version that was published until a moment ago is old by its date and new to its readers: it is kept by the
    history, which tells what was published at the time that is the limit.
    """
    limit = datetime.now(UTC) - KEEP
    name = table.name
    before = [entry for entry in history if entry.table == name and datetime.fromisoformat(entry.at) <= limit]
    versions = {int(version["version"]): _made(version) for version in _versions(table)}
    oldest = limit.timestamp()
    shown = [entry.version for entry in before[-1:]] if before else []
    for version in shown or list(versions)[:1]:
        oldest = min(oldest, versions.get(version, oldest) - MARGIN)
    if sum(made < oldest for made in versions.values()) < _PRUNE:
        return
    age = timedelta(seconds=datetime.now(UTC).timestamp() - oldest)
    with suppress(RuntimeError):  # what cannot be cleaned now is cleaned by a later sync
        table.optimize(cleanup_older_than=age, delete_unverified=True)  # we hold the lock: no write is in progress


def _versions(table: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = table.list_versions()
    return found


def _made(version: dict[str, Any]) -> float:
    """When a version was made (seconds since 1970); LanceDB tells it in local time."""
    made: datetime = version["timestamp"]
    return made.timestamp()


def generation_folders(uri: Path) -> list[Path]:
    """Folders of tables that have names as ours, damaged ones that were put aside included."""
    return [folder for folder in sorted(uri.iterdir()) if folder.is_dir() and _OURS.fullmatch(folder.name)]


def drop_generations(uri: Path, generations: dict[str, str], *, keep: str) -> dict[str, str]:
    """Remove tables of ours that were not published for `GRACE`, and tell so. What remains of `generations`.

    Args:
        uri: folder of the tables. Only folders with names as ours are looked at.
        generations: table -> when it was last published.
        keep: the one that is published.
    """
    now = datetime.now(UTC)
    left = {keep: now.isoformat()}
    for folder in generation_folders(uri):
        if folder.name == f"{keep}.lance":
            continue
        name = folder.name.removesuffix(".lance")
        used = generations.get(name) or datetime.fromtimestamp(folder.stat().st_mtime, UTC).isoformat()
        if now - datetime.fromisoformat(used) < GRACE:
            left[name] = used
            continue
        logger.info("index: %s was not used since %s and is removed (vectors stay in the cache)", folder, used[:10])
        shutil.rmtree(folder, ignore_errors=True)
    return left
