"""What a step tells while it works: often enough to be watched, and not once for each of its parts."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator

import pytest

from components.store import Pace, progress_logger, progress_of


@pytest.fixture
def told() -> Iterator[list[tuple[str, int, int]]]:
    found: list[tuple[str, int, int]] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append((vars(record)["step"], vars(record)["done"], vars(record)["total"]))

    handler = Handler()
    progress_logger.addHandler(handler)
    yield found
    progress_logger.removeHandler(handler)


def test_ten_thousand_parts_are_told_a_few_times_and_the_first_and_the_last_always(
    told: list[tuple[str, int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(10**9))
    monkeypatch.setattr(time, "monotonic", lambda: next(clock) / 10_000)  # each part takes a tenth of a millisecond
    tell = progress_of("index.chunk")
    for done in range(1, 10_001):
        tell(done, 10_000)
    assert 5 <= len(told) <= 7
    assert (told[0], told[-1]) == (("index.chunk", 1, 10_000), ("index.chunk", 10_000, 10_000))


def test_each_step_is_told_by_itself(told: list[tuple[str, int, int]]) -> None:
    progress_of("index.chunk")(1, 2)
    progress_of("index.build")(1, 2)
    assert [step for step, _, _ in told] == ["index.chunk", "index.build"]


def test_a_step_is_told_with_its_speed_from_where_it_began(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    pace = Pace(2_000)  # so many were there before
    assert pace.words(2_000, 3_000) == ""
    now += 10
    assert pace.words(2_350, 3_000) == "35 a second, about 19 s left"
    assert pace.words(2_004, 2_006) == "0.4 a second, about 5 s left"
    assert pace.words(3_000, 3_000) == "100 a second"
    now += 90
    assert pace.words(2_001, 2_003) == "about 200 s left"  # slower than one in ten seconds
