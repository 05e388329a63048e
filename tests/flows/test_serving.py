"""What a recipe has in service: an edit of its file is followed, a faulty one is told and changes nothing."""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.serve.live import InService
from flows.commands.options import load
from flows.serving import InRecipe
from tests.flows.conftest import Workspace


@pytest.fixture
def files(tmp_path: Path, root: Path) -> tuple[Path, Path]:
    """A recipe of one's own, and what it extends, which extends the shipped one."""
    mine, base = tmp_path / "mine.yaml", tmp_path / "base.yaml"
    base.write_text(f"extends: {root}/recipes/mvp.yaml\nname: mvp\nindex: {{search: {{k: 7}}}}\n", encoding="utf-8")
    mine.write_text("extends: base.yaml\nname: mvp\n", encoding="utf-8")
    return mine, base


@pytest.fixture
def live(
    files: tuple[Path, Path], published: Workspace, root: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[InService]:
    monkeypatch.chdir(root)
    options = (*published.options[1::2], "serve.answers=recipe")
    source = InRecipe(load(str(files[0]), options), reload=lambda: load(str(files[0]), options))
    here = InService(look=source.look, open_now=source.open_now, look_seconds=60)
    here.start()
    yield here
    here.close()


def k(live: InService) -> int:
    with live.use() as opened:
        return opened.partner.search.k


def test_an_edit_of_the_recipe_or_of_what_it_extends_is_followed(files: tuple[Path, Path], live: InService) -> None:
    mine, base = files
    assert k(live) == 7 and not live.look()
    with live.use() as before:
        base.write_text(base.read_text().replace("k: 7", "k: 13"), encoding="utf-8")
        assert live.look() and k(live) == 13
        mine.write_text(mine.read_text() + "index: {search: {k: 11}}\n", encoding="utf-8")
        assert live.look() and k(live) == 11
        with live.use() as after:
            assert after.partner.index is before.partner.index and after.partner.budget is before.partner.budget


@pytest.mark.parametrize(
    ("edit", "kind"),
    [
        ("index: {search: {k: many}}\n", "RecipeError"),
        ("index: {search: {k: 11}, embedding: {dimensions: 12}}\n", "TerminalError"),
    ],
    ids=["a value that is none", "another embedder"],
)
def test_an_edit_that_cannot_be_followed_is_told_and_the_old_one_stays(
    files: tuple[Path, Path], live: InService, edit: str, kind: str
) -> None:
    mine, _ = files
    good = mine.read_text()
    mine.write_text(good + edit, encoding="utf-8")
    assert not live.look() and str(live.told()["fault"]).startswith(f"{kind}: ") and k(live) == 7
    mine.write_text(good + "index: {search: {k: 11}}\n", encoding="utf-8")
    assert live.look() and live.told()["fault"] is None and k(live) == 11


def test_rows_that_are_published_no_more_go_out_of_memory_at_the_next_look(
    files: tuple[Path, Path], live: InService, published: Workspace
) -> None:
    with live.use() as opened:
        index = opened.partner.index
        index.search("riunione")
        before = weakref.ref(index._snapshot())
        assert not live.look() and before() is index._snapshot()
        os.utime(index.uri / "live.json")  # as another publication leaves it
        live.look()
        assert before() is None
