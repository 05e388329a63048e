"""Is the workspace fit to be worked in? Disk, rights, clock, locks, dead runs, leftovers, databases, artefacts.

Nothing is repaired and nothing is left behind: in a workspace that can be written to, one nameless file for an instant.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path

from components.services.doctor import Check
from components.store import bytes_in_words, is_held, read_runs
from components.store.artefact import load

__all__ = [
    "check_artefacts",
    "check_clock",
    "check_databases",
    "check_disk",
    "check_leftovers",
    "check_locks",
    "check_rights",
    "check_runs",
]

_LONG_HELD_HOURS = 6
_DATABASES = {
    "cache/embeddings.sqlite": "nothing to do: the next run moves it aside and begins anew, which costs embedding time",
    "cache/responses.sqlite": "nothing to do: the next run moves it aside and begins anew, which costs calls",
    "prefect/prefect.db": "nothing to do: the next run moves it aside; only the history in the Prefect UI is lost",
    "usage/usage.sqlite": "bring it back from a copy; else the next question moves it aside: what was spent is lost",
    "usage/conversations.sqlite": "bring it back from a copy; else the next one that is kept moves it aside",
    "serve/comparisons.sqlite": "bring it back from a copy; else the comparison begins anew",
    "mlflow/mlflow.db": "bring it back from a copy, or move mlflow/ away: the next run begins a new record",
}


def _nearest(path: Path) -> Path:
    """The folder itself, or the first above it that is there."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def check_disk(workspace: Path, *, needed: int = 200_000_000, comfortable: int = 1_000_000_000) -> Iterator[Check]:
    """Room on the workspace's disk (bytes), and names for new files."""
    place = _nearest(workspace)
    usage, names = shutil.disk_usage(place), os.statvfs(place)
    told = f"{usage.free / 1e9:,.1f} GB free for {workspace}"
    few = names.f_files > 0 and names.f_favail < 10_000
    if usage.free >= comfortable and not few:
        yield Check("disk", "ok", told)
        return
    told += f", and room for {names.f_favail:,} more files" if few else ""
    mend = "cervella gc removes what no run needs; or name another disk with -o workspace=FOLDER"
    scarce = usage.free < needed or (few and names.f_favail < 1000)
    yield Check("disk", "problem" if scarce else "warning", told, mend)


def check_rights(workspace: Path) -> Iterator[Check]:
    """Whether this user may write where runs write, and whether the file system has locks."""
    mend = f"chown -R $USER {workspace}, or name another folder with -o workspace=FOLDER"
    if workspace.exists() and not workspace.is_dir():
        yield Check("rights", "problem", f"{workspace} is a file, not a folder", mend.split(", or ")[1])
        return
    if not workspace.exists():
        parent = _nearest(workspace)
        good = _writable(parent)
        told = f"{workspace} can be made" if good else f"{workspace} cannot be made: no right to write in {parent}"
        yield Check("rights", "ok" if good else "problem", told, None if good else mend)
        return
    inside = [path for path in (*workspace.iterdir(), *(workspace / name for name in _DATABASES)) if path.exists()]
    closed = [path for path in [workspace, *inside] if not _writable(path)]
    if closed:
        shown = ", ".join(map(str, closed[:4])) + (f" and {len(closed) - 4} more" if len(closed) > 4 else "")
        yield Check("rights", "problem", f"no right to write: {shown}", mend)
        return
    try:
        with tempfile.TemporaryFile(dir=workspace) as probe:
            probe.write(b"?")
            probe.flush()
            fcntl.flock(probe, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        told = f"{workspace} cannot be written to, or has no file locks ({error.strerror})"
        yield Check("rights", "problem", told, "put the workspace on a local disk with -o workspace=FOLDER")
    else:
        yield Check("rights", "ok", f"{workspace} can be written to")


def _writable(path: Path) -> bool:
    mode = os.W_OK | os.X_OK if path.is_dir() else os.W_OK
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


def check_clock(workspace: Path) -> Iterator[Check]:
    """Runs are ordered by time: a clock that went back puts new ones behind old ones."""
    now = time.time()
    folder = workspace / "runs"
    ahead = [entry.name for entry in folder.iterdir() if _began(entry.name) > now + 3600] if folder.is_dir() else []
    if ahead:
        told = f"it is {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, and {len(ahead)} runs began later, such as {max(ahead)}"
        yield Check("clock", "warning", told, "set the clock (timedatectl set-ntp true)")
    else:
        yield Check("clock", "ok", f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC")


def _began(name: str) -> float:
    """When a run began, by the name of its folder; 0 for other names."""
    try:
        return datetime.strptime(name[:15], "%Y%m%d-%H%M%S").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return 0.0


def check_locks(workspace: Path, *, index: Path | None = None) -> Iterator[Check]:
    """Who is at work, and since when. A lock of a process that is gone holds nothing up: the kernel let go of it."""
    files = [*sorted((workspace / "locks").glob("*")), *([index / ".lock"] if index else [])]
    held = [file for file in files if file.is_file() and is_held(file)]
    for file in held:
        holder, hours = _holder(file)
        told = f"{holder} holds {file}"
        if hours > _LONG_HELD_HOURS:
            yield Check("locks", "warning", f"{told} for {hours:.0f} hours; others wait", "end it if it hangs")
        else:
            yield Check("locks", "ok", f"{told}: it is at work")
    if not held:
        yield Check("locks", "ok", "nobody is at work")


def _holder(file: Path) -> tuple[str, float]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        hours = (datetime.now(UTC) - datetime.fromisoformat(found["since"])).total_seconds() / 3600
        return f"process {found['pid']} ({found['what']})", hours
    except (OSError, ValueError, KeyError, TypeError):
        return "a process", (time.time() - file.stat().st_mtime) / 3600


def check_runs(workspace: Path) -> Iterator[Check]:
    """Runs whose process is gone, unless the same recipe has run since; records that cannot be read."""
    told = False
    seen: set[str] = set()
    states = read_runs(workspace)
    for state in states:
        newest = state["recipe"] not in seen
        seen.add(state["recipe"])
        if state["status"] == "died" and newest:
            told = True
            steps = [step["name"] for step in state["steps"] if step["status"] == "running"]
            where = f" in {steps[-1]}" if steps else ""
            mend = f"cervella run {state['recipe']} goes on from what was sealed"
            yield Check("runs", "warning", f"{state['run']} was killed{where}", mend)
        elif state["status"] == "damaged":
            told = True
            mend = f"rm -r {workspace / 'runs' / state['run']}"
            yield Check("runs", "warning", str(state.get("error", state["run"])).partition(". ")[0], mend)
    if not told:
        yield Check("runs", "ok", f"{len(states)} runs")


def check_leftovers(workspace: Path, *, index: Path | None = None) -> Iterator[Check]:
    """What kills and damage have left: half-written artefacts, scratch of unfinished steps, files put aside."""
    hidden = [path for path in (workspace / "store").glob("*/.*") if path.is_dir()]
    scratch = list((workspace / "scratch").glob("*"))
    named = ("cache", "prefect", "mlflow", "usage", "serve")
    folders = [*(workspace / name for name in named), index or workspace / "index"]
    aside = [path for folder in folders for mark in ("corrupt", "damaged") for path in folder.glob(f"*.{mark}-*")]
    busy = any(is_held(file) for file in (workspace / "locks").glob("*") if file.is_file())
    if (hidden or scratch) and not busy:
        told = f"{len(hidden) + len(scratch)} folders of steps that were killed, {_size(hidden + scratch)}"
        yield Check("leftovers", "warning", told, "run the recipe again: it uses or removes them; or cervella gc")
    if aside:
        told = f"{len(aside)} damaged files were put aside, {_size(aside)}: {aside[0]}"
        yield Check("leftovers", "warning", told, "look at the disk's health; remove them when you do not need them")
    if not aside and (busy or not hidden + scratch):
        yield Check("leftovers", "ok", "none")


def _size(paths: list[Path]) -> str:
    files = [file for path in paths for file in (path.rglob("*") if path.is_dir() else [path])]
    total = 0
    for file in files:
        with suppress(OSError):
            total += file.lstat().st_size
    return bytes_in_words(total)


def check_databases(workspace: Path) -> Iterator[Check]:
    """SQLite's own check of caches and records, read-only."""
    fine = []
    for name, mend in _DATABASES.items():
        path = workspace / name
        if not path.is_file():
            continue
        fault = _database_fault(path)
        if fault:
            yield Check("databases", "problem", f"{path} is damaged ({fault})", mend)
        else:
            fine.append(path.name)
    if fine or not any((workspace / name).is_file() for name in _DATABASES):
        yield Check("databases", "ok", ", ".join(fine) or "none yet")


def _database_fault(path: Path) -> str | None:
    from urllib.parse import quote

    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=5)) as opened:
            rows = [str(row[0]) for row in opened.execute("PRAGMA quick_check(3)")]
    except sqlite3.OperationalError as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        return None if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) else str(error)
    except sqlite3.DatabaseError as error:
        return str(error)
    return None if rows == ["ok"] else rows[0].replace("\n", " ")[:200]


def check_artefacts(workspace: Path) -> Iterator[Check]:
    """Every sealed artefact: its manifest, and the bytes of its outputs (reads them all)."""
    good = bad = older = 0
    for folder in sorted((workspace / "store").glob("*/[!.]*")):
        found, reason = load(folder)
        if found is not None:
            good += 1
            continue
        if "manifest has format" in reason:
            older += 1
            continue
        bad += 1
        if bad <= 5:
            told = f"{folder.parent.name}/{folder.name[:16]}: {reason}"
            yield Check(
                "artefacts", "problem", told, "run the recipe again: it is made anew; look at the disk's health"
            )
    if bad > 5:
        yield Check("artefacts", "problem", f"and {bad - 5} more", "run the recipe again")
    if older:
        told = f"{older} are of another version of this program, and not used"
        yield Check("artefacts", "warning", told, "cervella gc removes what no run needs")
    if not bad:
        yield Check("artefacts", "ok", f"{good} whole")
