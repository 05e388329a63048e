"""Cleaning a workspace: what `gc` and the deployment `clean-weekly` remove, once nothing is at work in it.

It is looked for beside runs and questions. The workspace is needed alone only for a second look, and to set aside what
is still unused (`.NAME.forgotten`, beside where it was); that is deleted when everybody may go on.
State after a hard crash: what was set aside is there under that name; the next cleaning deletes it and finds the rest.
NOT covered: what grows because it is kept (the index, releases and their pages in MLflow, records of runs, what was
used and said, Prefect's history, which its server shortens by itself), and what lies outside the workspace.
"""

from __future__ import annotations

import errno
import shutil
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from components.page import markdown_cell
from components.recipe.forget import AtWorkError, alone_in
from components.recipe.model import Recipe
from components.recipe.unused import KEEP_RUNS, Look, Unused, locks_of
from components.store import FileLock, bytes_in_words, logger
from components.store.files import delete_aside, set_aside
from components.store.locks import tidy_locks

__all__ = ["clean_workspace", "cleaned_markdown", "path_in_words", "remove_unused"]

_LOOK_SECONDS = 15.0
_SHOWN = 20


def clean_workspace(
    recipe: Recipe, *, keep: int = KEEP_RUNS, dry_run: bool = False, wait_seconds: float = 0.0
) -> list[Unused]:  # fmt: skip
    """Remove what nothing needs from the recipe's workspace, with nobody there to be asked.

    Returns what was removed, in the order of its finding.

    Args:
        recipe: names workspace and index.
        keep: runs of each recipe and phase, and of each combination of a matrix, whose artefacts stay.
        dry_run: only find it; what is at work in the workspace is no hindrance.
        wait_seconds: how long to wait for what is at work in the workspace.

    Raises:
        AtWorkError: something is still at work. Nothing was removed.
        TerminalError: the file of champions or an index cannot be read, so nobody knows what is needed.
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
                logger.info("waiting: %s", error)
            told = True
        time.sleep(_LOOK_SECONDS)


def remove_unused(look: Look, unused: Sequence[Unused]) -> list[Unused]:
    """Remove those of what was found that are unused still, and locks that nobody holds.

    Returns what was removed. What the machine refuses to remove is told and stays; the rest goes all the same.

    Raises:
        AtWorkError: something is at work in the workspace. Nothing was removed.
        TerminalError: the file of champions or an index cannot be read, so nobody knows what is needed.
    """
    workspace = look.recipe.workspace
    aside: dict[Unused, Path | None] = {}
    tidy_locks(workspace / "locks")  # first: a full disk may have no room for the name of one more
    with alone_in(workspace, "gc", beside_prefect=True):
        for item in look.still(unused):
            with _refusal_told(item), _locks_held(item, workspace=workspace) as is_ours:
                if is_ours:
                    aside[item] = _set_aside(item.path)
    removed = []
    for item, path in aside.items():
        with _refusal_told(item):
            if path:
                delete_aside(path)
            removed.append(item)
    return removed


@contextmanager
def _refusal_told(item: Unused) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        pass
    except OSError as error:
        logger.warning("%s cannot be removed (%s): delete it by hand, or give yourself the right to", item.path, error)


@contextmanager
def _locks_held(item: Unused, *, workspace: Path) -> Iterator[bool]:
    """Hold the locks of whoever works on it. False: somebody does."""
    with ExitStack() as held:
        paths = locks_of(item.kind, item.path, workspace=workspace)
        locks = [held.enter_context(closing(FileLock(path))) for path in paths]
        is_ours = all(lock.try_exclusive() for lock in locks)
        yield is_ours
        for lock in locks if is_ours else []:
            lock.remove()


def _set_aside(path: Path) -> Path | None:
    """Let nobody find it any more. Returns what is to be deleted then, if anything is."""
    if path.is_symlink() or not path.is_dir():
        path.unlink()
        return None
    try:
        return set_aside(path)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
    delete_aside(path)  # no room for a longer name. A crash may leave half of it, which is no artefact any more
    return None


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
