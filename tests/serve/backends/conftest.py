"""Fixtures of the tests of servers of the own model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from components.serve.backends import server
from components.serve.backends.pool import Pool
from components.serve.params import VllmParams
from components.services.supervisor import service
from tests.serve.backends.house import House, make_house


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """vLLM is a double, looked at often; whatever it started has ended when the test is over."""
    made = make_house(tmp_path / "house")
    for name, value in made.variables().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(service, "_TICK_SECONDS", 0.05)
    monkeypatch.setattr(server.Server, "ask_seconds", 0.1)
    yield made
    assert not made.left()


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return tmp_path / "workspace"


@pytest.fixture
def pool(house: House, workspace: Path) -> Iterator[Pool]:
    """Servers of this process."""
    made = Pool(workspace, params=VllmParams(start_seconds=60), say=lambda text: None)
    yield made
    made.close()
