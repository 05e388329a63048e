"""The notes that comparisons are tested on."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def example_notes(examples: Path) -> Path:
    """The example notes of the project."""
    return examples / "sncp"
