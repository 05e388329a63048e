"""Intervals against published numbers and hand-made ones."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.errors import TerminalError
from components.evaluate import Measure, bootstrap_interval, wilson_interval
from components.evaluate.intervals import mean_measure, percentile_measure, rate_measure


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(95, 100, 0.888, 0.978), (90, 100, 0.826, 0.945), (19, 20, 0.764, 0.991)],
)
def test_wilson_gives_the_known_numbers(successes: int, n: int, low: float, high: float) -> None:
    found = wilson_interval(successes, n)
    assert (round(found[0], 3), round(found[1], 3)) == (low, high)


@pytest.mark.parametrize(("right", "n"), [(35, 35), (50, 50), (59, 60), (78, 80), (96, 100), (189, 200), (281, 300)])
def test_wilson_reaches_ninety_percent_exactly_from_there(right: int, n: int) -> None:
    assert wilson_interval(right, n)[0] >= 0.90 > wilson_interval(right - 1, n)[0]


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_stays_in_bounds_around_the_rate_and_mirrors(case: tuple[int, int]) -> None:
    successes, n = case
    low, high = wilson_interval(successes, n)
    assert 0 <= low <= successes / n <= high <= 1
    mirrored = wilson_interval(n - successes, n)
    assert math.isclose(low, 1 - mirrored[1], abs_tol=1e-12)


def test_bootstrap_is_the_same_for_a_seed_and_another_for_another() -> None:
    values = [1.0, 0.5, 0.0, 1.0, 0.25, 0.33, 0.0, 1.0]
    once = bootstrap_interval(values, samples=1000, seed=13)
    assert once == bootstrap_interval(values, samples=1000, seed=13)
    assert once != bootstrap_interval(values, samples=1000, seed=14)
    assert 0 <= once[0] < sum(values) / len(values) < once[1] <= 1


def test_bootstrap_agrees_with_the_normal_interval_of_many_values() -> None:
    values = [float(n % 2) for n in range(2000)]
    low, high = bootstrap_interval(values, samples=4000, seed=1)
    half = 1.96 * 0.5 / math.sqrt(2000)
    assert math.isclose(low, 0.5 - half, abs_tol=0.002)
    assert math.isclose(high, 0.5 + half, abs_tol=0.002)


def test_bootstrap_of_equal_values_has_no_width() -> None:
    assert bootstrap_interval([0.3] * 5, samples=100, seed=1) == pytest.approx((0.3, 0.3))


def test_percentiles_interpolate_and_bound_only_what_they_can() -> None:
    measure = percentile_measure([float(n) for n in range(1, 101)], 0.95)
    assert measure.value == pytest.approx(95.05)
    # Order statistics 90 and 100 of 100, of B = Bin(100, .95): P(B <= 89) = .012 <= .025 < P(B <= 90) = .028;
    # P(B <= 98) = .963 < .975 <= P(B <= 99) = .994.
    assert (measure.low, measure.high) == (90.0, 100.0)
    assert percentile_measure([1.0] * 71, 0.95).high is None
    assert percentile_measure([1.0] * 72, 0.95).high == 1.0
    few = percentile_measure([1.0, 2.0, 3.0], 0.5)
    assert (few.value, few.low, few.high) == (2.0, None, None)


def test_the_median_of_ten_has_the_textbook_bounds() -> None:
    measure = percentile_measure([float(n) for n in range(1, 11)], 0.5)
    assert (measure.value, measure.low, measure.high) == (5.5, 2.0, 9.0)


def test_nothing_measured_is_unknown_not_zero() -> None:
    unknown = Measure(None, None, None, 0)
    assert rate_measure([]) == mean_measure([], samples=100, seed=1) == percentile_measure([], 0.95) == unknown


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_measure_refuses_what_is_no_number(bad: float) -> None:
    with pytest.raises(TerminalError, match="expected a finite number"):
        Measure(bad, None, None, 1)
    with pytest.raises(TerminalError):
        mean_measure([1.0, bad], samples=100, seed=1)
