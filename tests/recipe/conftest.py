"""A kitchen with notes, where recipes are written and tasted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from components.recipe import LoadedRecipe, RecipeError, load_recipe
from tests.recipe.forget_house import House

GOOD = """\
name: soup
phase: mvp
sncp:
  root: notes
persona:
  constitution: COSTITUZIONE.md
evaluate:
  golden: golden.jsonl
"""


class Kitchen:
    """A folder with notes, persona and golden questions; writes recipes into it and loads them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "notes").mkdir()
        (folder / "notes" / "NORD.md").write_text("# Nord\n", encoding="utf-8")
        (folder / "COSTITUZIONE.md").write_text("# Chi sono\n", encoding="utf-8")
        (folder / "golden.jsonl").write_text("{}\n", encoding="utf-8")

    def write(self, name: str, text: str | bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def load(self, text: str | bytes = GOOD, *overrides: str) -> LoadedRecipe:
        return load_recipe(self.write("soup.yaml", text), overrides=overrides, cwd=self.folder)

    def refused(self, text: str | bytes = GOOD, *overrides: str) -> RecipeError:
        with pytest.raises(RecipeError) as caught:
            self.load(text, *overrides)
        return caught.value


@pytest.fixture
def kitchen(tmp_path: Path) -> Kitchen:
    """A kitchen of its own for each test."""
    return Kitchen(tmp_path)


@pytest.fixture
def house(tmp_path: Path) -> House:
    """A workspace that was lived in."""
    return House(tmp_path)


@pytest.fixture
def good() -> str:
    """A recipe that is valid in every kitchen."""
    return GOOD


@pytest.fixture
def edited() -> Callable[..., str]:
    """The valid recipe with one text replaced by another."""

    def edit(old: str, new: str) -> str:
        assert old in GOOD
        return GOOD.replace(old, new)

    return edit
