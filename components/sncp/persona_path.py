"""Where a file of the persona stands among the documents."""

from __future__ import annotations

import unicodedata
from pathlib import Path

__all__ = ["persona_path"]


def persona_path(file: Path, *, root: Path) -> str:
    """Path of its document: relative to the root (POSIX, NFC), or `@persona/NAME` when it lies outside of it."""
    real, root = file.resolve(), root.resolve()
    inside = real.is_relative_to(root)
    return unicodedata.normalize("NFC", real.relative_to(root).as_posix() if inside else f"@persona/{file.name}")
