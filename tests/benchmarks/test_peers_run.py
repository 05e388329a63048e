"""The whole comparison on few notes: this program is never wrong, and a contestant runs where it is installed."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.contestants import HAYSTACK, LANGCHAIN, LLAMAINDEX, Contestant, Environment
from benchmarks.peers.__main__ import Started, compared

pytestmark = pytest.mark.slow

COUNT = 60


def outcome(started: Started, notes: Path, *, only: tuple[str, ...] = ()) -> dict[str, Any]:
    """Figures of the steps of one contestant, once."""
    told = compared([started], source=notes, count=COUNT, repeats=1, only=only)
    assert not told["broken"]
    return dict(told["results"][started.name])


def test_this_program_has_no_wrong_row_after_any_step_and_embeds_what_changed(example_notes: Path) -> None:
    told = outcome(Started("cervella", Path(sys.executable), os.environ), example_notes)
    assert {name: one["wrong_rows"] for name, one in told.items()} == dict.fromkeys(told, 0)
    texts = {name: one["texts"] for name, one in told.items()}
    assert [texts[name] for name in ("S1", "S3", "S4", "S5", "S6", "S8")] == [0] * 6
    assert 10 <= texts["S2"] <= 20
    assert 1 <= texts["S6+"] <= 2
    assert told["S6"]["failed"] is not None


@pytest.mark.parametrize("contestant", [LANGCHAIN, LLAMAINDEX, HAYSTACK], ids=lambda one: one.name)
def test_a_contestant_that_is_installed_indexes_fails_and_goes_on(contestant: Contestant, example_notes: Path) -> None:
    """What its adapter has code for: a first index, an embedder that fails, other chunks. All: `make bench-peers`."""
    environment = Environment(contestant)
    if environment.told() is None:
        pytest.skip(f"{contestant.name} is not installed here, and tests install no contestant: make bench-peers does")
    started = Started(contestant.name, environment.python, environment.variables())
    told = outcome(started, example_notes, only=("S0", "S6", "S7"))
    assert told["S0"]["wrong_rows"] == 0
    assert told["S0"]["texts"] >= COUNT
    assert told["S6"]["failed"] is not None
