"""How many answers it takes to show a share: the numbers of the Wilson interval."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.evaluate import wilson_interval
from components.registry.needed import fewest, needed_at_rate, needed_for, needed_of


@pytest.mark.parametrize(
    ("threshold", "at_least", "asked", "told"),
    [
        (0.90, True, None, "35 of 35, or 96 of 100"),
        (0.90, True, 8, "8 cannot show 0.9: it takes 35 of 35, or 96 of 100"),
        (0.90, True, 35, "it takes 35 of 35"),
        (0.90, True, 60, "it takes 59 of 60"),
        (0.90, True, 100, "it takes 96 of 100"),
        (0.99, True, None, "381 of 381"),
        (1.00, True, None, "no number of answers can show 1"),
        (0.05, False, None, "0 of 73, or 0 of 100"),
        (0.05, False, 200, "it takes 3 of 200"),
        (0.05, False, 20, "20 cannot show 0.05: it takes 0 of 73, or 0 of 100"),
        (0.00, False, None, "no number of answers can show 0"),
        (0.00, True, 5, "it takes 0 of 5"),
    ],
)
def test_it_is_told_in_words(threshold: float, at_least: bool, asked: int | None, told: str) -> None:
    assert needed_for(threshold, at_least, asked=asked) == told


# The same published numbers as in test_gate.py.
@pytest.mark.parametrize(("right", "n"), [(35, 35), (50, 50), (59, 60), (78, 80), (96, 100), (189, 200), (281, 300)])
def test_ninety_percent(right: int, n: int) -> None:
    assert needed_of(0.90, n) == right


@given(st.floats(0.01, 0.99), st.integers(1, 400))
def test_what_is_needed_shows_it_and_one_less_does_not(threshold: float, n: int) -> None:
    needed = needed_of(threshold, n)
    if needed is None:
        assert wilson_interval(n, n)[0] < threshold
        return
    assert wilson_interval(needed, n)[0] >= threshold - 1e-12
    assert needed == 0 or wilson_interval(needed - 1, n)[0] < threshold + 1e-12


@given(st.floats(0.01, 0.99), st.booleans())
def test_the_fewest_are_the_fewest(threshold: float, at_least: bool) -> None:
    n = fewest(threshold, at_least)
    assert n is not None
    assert needed_of(threshold, n, at_least) is not None
    assert n == 1 or needed_of(threshold, n - 1, at_least) is None


def test_a_rate_that_is_the_threshold_is_never_shown() -> None:
    assert needed_at_rate(0.9, 0.9) is None
    assert needed_at_rate(0.1, 0.1, at_least=False) is None


def test_how_many_answers_a_rate_needs() -> None:
    n = needed_at_rate(0.95, 0.90)  # 140 x 0.95 is a whole number
    assert n == 139
    assert wilson_interval(133, 140)[0] >= 0.90 > wilson_interval(95, 100)[0]
