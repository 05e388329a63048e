"""The notes of a folder as every contestant gets them: sorted, whole, with their path."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path


def files(root: Path) -> list[Path]:
    """All notes, sorted, those in hidden folders included."""
    return sorted(root.rglob("*.md"))


def read(root: Path) -> Iterator[tuple[str, str]]:
    """(Path below `root`, text) of each note."""
    for path in files(root):
        yield path.relative_to(root).as_posix(), path.read_text(encoding="utf-8")
