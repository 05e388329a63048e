"""A partner on real notes for each module, and the record of comparisons for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from components.answer.partner import Partner
from components.serve.compare import Comparisons, comparisons_file
from tests.serve.router_house import make_partner


@pytest.fixture(scope="module")
def partner(tmp_path_factory: pytest.TempPathFactory, examples: Path) -> Partner:
    return make_partner(tmp_path_factory.mktemp("partner"), examples)


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Comparisons]:
    file = Comparisons(comparisons_file(tmp_path))
    yield file
    file.close()
