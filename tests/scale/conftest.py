"""A house of its own for each test, copied from one that is made once, and the double of an endpoint over it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scale.flow_house import Follows
from tests.scale.scale_house import ScaleHouse


@pytest.fixture(scope="session")
def first_house(tmp_path_factory: pytest.TempPathFactory) -> ScaleHouse:
    return ScaleHouse.make(tmp_path_factory.mktemp("scale"))


@pytest.fixture
def house(first_house: ScaleHouse, tmp_path: Path) -> ScaleHouse:
    return first_house.copied(tmp_path / "house")


@pytest.fixture
def endpoint(house: ScaleHouse, monkeypatch: pytest.MonkeyPatch) -> Follows:
    found = Follows(house)
    monkeypatch.setattr("flows.scale.endpoint_up", lambda run, recipe: found)
    return found
