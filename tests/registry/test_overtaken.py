"""A change that was decided on what is in service: where that is another by now, nothing is changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.registry.champion.change import OvertakenError
from tests.registry.shelf import Shelf


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "work")


def test_nothing_was_expected_and_something_is_there(shelf: Shelf) -> None:
    shelf.run("Uno.")
    with pytest.raises(OvertakenError, match="nothing is in service now, which this was not decided on"):
        shelf.promote(expected="2026-01-01T00:00:00.000+00:00")
    first = shelf.promote(expected="").champion
    shelf.run("Due.")
    with pytest.raises(OvertakenError, match=rf"\(release {first.digest[:12]}\) was put into service by Anna at"):
        shelf.promote(expected="")
    assert shelf.history() == [first]


def test_the_same_release_put_there_again_is_another_change(shelf: Shelf) -> None:
    shelf.run("Uno.")
    shelf.promote()
    shelf.run("Due.")
    second = shelf.promote().champion
    shelf.rollback()
    again = shelf.promote().champion
    assert again.digest == second.digest
    with pytest.raises(OvertakenError, match="nothing was changed"):
        shelf.rollback(expected=second.at)
    assert shelf.history()[-1] == again
    assert shelf.rollback(expected=again.at).changed
