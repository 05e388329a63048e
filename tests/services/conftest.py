"""What the tests of notifications share: hardly any time between two tries."""

from __future__ import annotations

import pytest

from components.services.notify import attempts


@pytest.fixture
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "_WAITS", (0.01, 0.02))
