"""Cleaning a workspace: what `gc` and the deployment `clean-weekly` remove, once nothing is at work in it.

It is looked for beside runs and questions. The workspace is needed alone only for a second look, and to move what is
still unused into a folder `.trash.<random>` of it; what is in there is removed when everybody may go on.
State after a hard crash: what was moved is in that folder, which the next cleaning removes and finds the rest.
NOT covered: what grows because it is kept (the index, releases and their pages in MLflow, records of runs, what was
used and said, Prefect's history, which its server shortens by itself), and what lies outside the workspace.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from components.page import markdown_cell
from components.recipe.forget import TRASH, AtWorkError, alone_in
from components.recipe.model import Recipe
from components.recipe.unused import Look, Unused, locks_of
from components.store import FileLock, logger
from components.store.locks import tidy_locks

__all__ = ["KEEP_RUNS", "bytes_in_words", "clean_workspace", "cleaned_markdown", "path_in_words", "remove_unused"]

KEEP_RUNS = 10
"""Runs of each recipe whose artefacts stay, where nobody says otherwise."""
_LOOK_SECONDS = 15.0
_SHOWN = 20


def clean_workspace(
    recipe: Recipe,
    *,
    keep: int = KEEP_RUNS,
    dry_run: bool = False,
    wait_seconds: float = 0.0,
    say: Callable[[str], None] = logger.info,
    look_seconds: float = _LOOK_SECONDS,
) -> list[Unused]:
    """Remove what nothing needs from the recipe's workspace, with nobody there to be asked.

    Returns what was removed, in the order of its finding.

    Args:
        recipe: names workspace and index.
        keep: runs of each recipe and phase, and of each combination of a matrix, whose artefacts stay.
        dry_run: only find it; what is at work in the workspace is no hindrance.
        wait_seconds: how long to wait for what is at work in the workspace.
        say: told once what is waited for.
        look_seconds: between two looks whether it has ended.

    Raises:
        AtWorkError: something is still at work. Nothing was removed.
        TerminalError: the file of champions or the index cannot be read, so nobody knows what is needed.
    """
    if not recipe.workspace.is_dir():
        return []
    look = Look(recipe, keep, unattended=True)
    unused = look.find()
    if dry_run:
        return unused
    end, told = time.monotonic() + wait_seconds, False
    while True:
        try:
            return remove_unused(look, unused)
        except AtWorkError as error:
            if time.monotonic() >= end:
                raise
            if not told:
                say(f"waiting: {error}")
            told = True
        time.sleep(look_seconds)


def remove_unused(look: Look, unused: Sequence[Unused]) -> list[Unused]:
    """Remove those of what was found that are unused still, and locks that nobody holds; returns what was removed.

    Raises:
        AtWorkError: something is at work in the workspace. Nothing was removed.
    """
    workspace = look.recipe.workspace
    with ExitStack() as let_go:  # closed after the workspace is free again
        with alone_in(workspace, "gc", beside_prefect=True):
            trash = Path(tempfile.mkdtemp(prefix=TRASH, dir=workspace))
            let_go.callback(shutil.rmtree, trash, ignore_errors=True)
            removed: list[Unused] = []
            for item in look.still(unused):
                if _set_aside(item, trash / str(len(removed)), workspace=workspace, let_go=let_go):
                    removed.append(item)
            tidy_locks(workspace / "locks")
    return removed


def _set_aside(item: Unused, to: Path, *, workspace: Path, let_go: ExitStack) -> bool:
    """Move it away, to be removed by `let_go`. False: it is gone, or somebody works on it."""
    with ExitStack() as held:
        try:
            for path in locks_of(item.kind, item.path, workspace=workspace):
                lock = FileLock(path)
                held.callback(lock.close)
                if not lock.try_exclusive():
                    return False
            os.replace(item.path, to)
        except FileNotFoundError:
            return False
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            # On another disk: an index with a place of its own, or a folder that somebody has moved.
            if item.path.is_symlink() or not item.path.is_dir():
                item.path.unlink(missing_ok=True)
            else:
                aside = item.path.with_name(f".{item.path.name}.forgotten")
                shutil.rmtree(aside, ignore_errors=True)
                os.replace(item.path, aside)
                let_go.callback(shutil.rmtree, aside, ignore_errors=True)
    return True


def cleaned_markdown(unused: Sequence[Unused], *, workspace: Path, keep: int, dry_run: bool) -> str:
    """What was removed, or would be, as Markdown: how much of each kind, the largest things, and what room there is."""
    total = bytes_in_words(sum(one.size for one in unused))
    heading = f"{'Would free' if dry_run else 'Freed'} {total}" if unused else "Nothing that is not needed"
    parts = [f"# {heading}"]
    if unused:
        kinds: dict[str, list[int]] = defaultdict(list)
        for one in unused:
            kinds[one.kind].append(one.size)
        rows = [f"| {kind} | {len(sizes)} | {bytes_in_words(sum(sizes))} |" for kind, sizes in sorted(kinds.items())]
        parts.append("\n".join(["| kind | things | size |", "| --- | --: | --: |", *rows]))
        largest = sorted(unused, key=lambda one: (-one.size, str(one.path)))[:_SHOWN]
        shown = [
            f"| {markdown_cell(path_in_words(one.path, below=workspace))} | {bytes_in_words(one.size)} | {one.why} |"
            for one in largest
        ]
        more = "" if len(unused) <= _SHOWN else f", the {_SHOWN} largest of {len(unused)}"
        parts.append(
            "\n".join([f"| in {markdown_cell(str(workspace))}{more} | size | why |", "| --- | --: | --- |", *shown])
        )
    kept = (
        f"Kept: what the newest {keep} runs of each recipe made, releases, the champion and those before it, and what "
        "`index rollback` needs."
    )
    if workspace.is_dir():
        kept += f" Free on this disk: {bytes_in_words(shutil.disk_usage(workspace).free)}."
    return "\n\n".join([*parts, kept]) + "\n"


def path_in_words(path: Path, *, below: Path) -> str:
    """A path below a folder; of one that is elsewhere (an index with a place of its own) all of it."""
    return str(path.relative_to(below) if path.is_relative_to(below) else path)


def bytes_in_words(size: int) -> str:
    """A number of bytes in the unit that people would use."""
    amount = float(size)
    for unit in ("B", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"
