"""The exact texts of faults, one file each: overrides, recipe, a line of `=====`, and what a person reads.

After a wanted change: `RECIPE_TEXTS=write pytest tests/recipe/test_fault_texts.py`, then read the diff.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

TEXTS = sorted(Path(__file__).with_name("fault_texts").glob("*.txt"))
LINE = "=====\n"


def test_every_text_is_here() -> None:
    assert len(TEXTS) == 60


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
def test_text(path: Path, kitchen) -> None:
    written, _, expected = path.read_bytes().decode().partition(LINE)
    lines = written.splitlines(keepends=True)
    overrides = [line[3:].rstrip("\n") for line in lines if line.startswith("-o ")]
    recipe = "".join(line for line in lines if not line.startswith("-o "))
    told = str(kitchen.refused(recipe, *overrides)).replace(str(kitchen.folder), "KITCHEN") + "\n"
    if os.environ.get("RECIPE_TEXTS") == "write":
        path.write_bytes((written + LINE + told).encode())
    else:
        assert told == expected
