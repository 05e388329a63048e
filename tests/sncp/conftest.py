"""A notebook in a temporary folder, read with the defaults of a recipe."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from components.sncp import DEFAULT_SOURCES, Collection, collect


@pytest.fixture
def notes(tmp_path: Path) -> Callable[..., Path]:
    """Write notes ({path: text or bytes}) and give their root."""

    def write(files: Mapping[str, str | bytes]) -> Path:
        root = tmp_path / "notes"
        root.mkdir(exist_ok=True)
        for name, content in files.items():
            file = root / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content.encode() if isinstance(content, str) else content)
        return root

    return write


@pytest.fixture
def read() -> Callable[..., Collection]:
    """`collect` with every Markdown note included, unless told otherwise."""

    def run(root: Path, **changes: Any) -> Collection:
        arguments: dict[str, Any] = {
            "sources": DEFAULT_SOURCES,
            "include": ["**/*.md"],
            "exclude": [],
            "max_bytes": 2_000_000,
            "redact": "redact",
        }
        return collect(root=root, **{**arguments, **changes})

    return run
