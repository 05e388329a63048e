"""Cleaning a workspace with nobody there to be asked: what `gc` would remove, once nothing is at work in it.

State after a hard crash: that of `unused`; what was removed is gone, the next cleaning finds the rest.
NOT covered: what grows because it is kept (the index, releases and their pages in MLflow, records of runs, what was
used and said, Prefect's history, which its server shortens by itself), and what lies outside the workspace.
"""

from __future__ import annotations

import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

from components.page import markdown_cell
from components.recipe.forget import AtWorkError, alone_in
from components.recipe.model import Recipe
from components.recipe.unused import Unused, find_unused, remove_unused
from components.store import logger

__all__ = ["KEEP_RUNS", "bytes_in_words", "clean_workspace", "cleaned_markdown"]

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
    """Remove what nothing needs from the recipe's workspace; returns what was removed, in the order of its finding.

    Args:
        recipe: names workspace and index.
        keep: runs of each recipe and phase, and of each combination of a matrix, whose artefacts stay.
        dry_run: only find it.
        wait_seconds: how long to wait for what is at work in the workspace.
        say: told once what is waited for.
        look_seconds: between two looks whether it has ended.

    Raises:
        AtWorkError: something is still at work. Nothing was removed.
        TerminalError: the file of champions or the index cannot be read, so nobody knows what is needed.
    """
    if not recipe.workspace.is_dir():
        return []
    end, told = time.monotonic() + wait_seconds, False
    while True:
        try:
            with alone_in(recipe.workspace, "gc", beside_prefect=True):
                unused = find_unused(recipe, keep=keep)
                if not dry_run:
                    remove_unused(recipe, unused)
                return unused
        except AtWorkError as error:
            if time.monotonic() >= end:
                raise
            if not told:
                say(f"waiting: {error}")
            told = True
        time.sleep(look_seconds)


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
            f"| {markdown_cell(str(one.path.relative_to(workspace)))} | {bytes_in_words(one.size)} | {one.why} |"
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


def bytes_in_words(size: int) -> str:
    """A number of bytes in the unit that people would use."""
    amount = float(size)
    for unit in ("B", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"
