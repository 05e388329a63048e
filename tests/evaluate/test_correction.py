"""Rates corrected for the judge's errors: the value, its interval, and by simulation that the interval holds the truth.

The simulation draws labels, verdicts and scores as binomials. In each world people's labels are a third to two thirds
yes, as it takes to trust a judge.
"""

from __future__ import annotations

import itertools
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.evaluate.instrument import Counts, correct_rate
from components.evaluate.intervals import Measure, wilson_interval

RATES = (0.5, 0.8, 0.9, 0.97)
SKILLS = (0.75, 0.9, 1.0)
ANSWERS = (20, 60, 100, 300)
LABELS = (30, 60, 200)
WORLDS = 400  # of each setting


def test_a_rate_by_hand() -> None:
    # 73 of 100, TPR 0.9, TNR 0.8: (0.73 + 0.8 - 1) / (0.9 + 0.8 - 1) = 0.757...
    measure = correct_rate(73, 100, Counts(tp=45, fn=5, tn=40, fp=10))
    assert measure.value == pytest.approx(0.53 / 0.7) and measure.n == 100
    # The limits of Lang & Reiczigel (2014), computed in another order: apparent rate and skills with one more hit and
    # error, their variances, and the shift.
    z2 = 1.959964**2
    rate, tpr, tnr = (73 + z2 / 2) / (100 + z2), 46 / 52, 41 / 52
    centre = (rate + tnr - 1) / (tpr + tnr - 1)
    tpr_v, tnr_v = tpr * (1 - tpr) / 52, tnr * (1 - tnr) / 52
    error = (rate * (1 - rate) / (100 + z2) + tpr_v * centre**2 + tnr_v * (1 - centre) ** 2) ** 0.5 / (tpr + tnr - 1)
    shifted = centre + 2 * z2 * (centre * tpr_v - (1 - centre) * tnr_v)
    assert (measure.low, measure.high) == pytest.approx((shifted - z2**0.5 * error, shifted + z2**0.5 * error))


def test_counts_may_come_from_agreement_json() -> None:
    counts = Counts(tp=45, fn=5, tn=40, fp=10)
    assert correct_rate(73, 100, {"tp": 45, "fn": 5, "tn": 40, "fp": 10}) == correct_rate(73, 100, counts)


def test_a_judge_without_errors_leaves_the_rate_and_still_widens_its_interval() -> None:
    measure = correct_rate(90, 100, Counts(tp=20, tn=20))
    assert measure.value == pytest.approx(0.9) and measure.low is not None and measure.high is not None
    low, high = wilson_interval(90, 100)
    assert measure.high - measure.low > high - low


@pytest.mark.parametrize("yes", [0, 2, 50, 98, 100])
def test_no_interval_is_narrower_than_that_of_a_judge_without_errors(yes: int) -> None:
    """More yes than all good answers would get from it: the formula's own interval lies beyond 1 and is cut to none."""
    for counts in (Counts(tp=27, fn=3, tn=30), Counts(tp=30, tn=27, fp=3), Counts(tp=300, tn=300)):
        measure = correct_rate(yes, 100, counts)
        assert measure.value is not None and measure.low is not None and measure.high is not None
        low, high = wilson_interval(round(100 * measure.value), 100)
        assert measure.high - measure.low >= (high - low) * 0.95  # the number of yes is rounded


def test_a_rate_beyond_what_the_errors_allow_is_cut() -> None:
    assert correct_rate(100, 100, Counts(tp=40, fn=10, tn=40, fp=10)).value == 1.0
    assert correct_rate(0, 100, Counts(tp=40, fn=10, tn=40, fp=10)).value == 0.0


@pytest.mark.parametrize(
    ("n", "counts"),
    [
        (50, Counts(tp=25, fn=25, tn=25, fp=25)),
        (50, Counts(tp=10, fn=40, tn=30, fp=20)),
        (50, Counts(tp=1, fn=0, tn=1, fp=98)),  # better than a coin by one label
        (50, Counts(tp=50)),
        (50, Counts(tn=50)),
        (50, Counts()),
        (0, Counts(tp=20, tn=20)),
    ],
    ids=["a coin", "worse than a coin", "hardly better", "only yes", "only no", "no labels", "no verdicts"],
)
def test_what_cannot_be_corrected_is_unknown(n: int, counts: Counts) -> None:
    assert correct_rate(n // 2, n, counts) == Measure(None, None, None, n)


@given(
    yes=st.integers(0, 300), more=st.integers(0, 300), tp=st.integers(0, 99), fn=st.integers(0, 99),
    tn=st.integers(0, 99), fp=st.integers(0, 99),
)  # fmt: skip
def test_the_interval_holds_the_value_and_is_within_0_and_1(
    yes: int, more: int, tp: int, fn: int, tn: int, fp: int
) -> None:
    measure = correct_rate(yes, yes + more, Counts(tp, fn, tn, fp))
    if measure.value is not None:
        assert measure.low is not None and measure.high is not None
        assert 0 <= measure.low <= measure.value <= measure.high <= 1


@given(yes=st.integers(0, 99))
def test_more_yes_is_never_less(yes: int) -> None:
    counts = Counts(tp=36, fn=4, tn=30, fp=10)
    fewer, more = correct_rate(yes, 100, counts), correct_rate(yes + 1, 100, counts)
    assert fewer.value is not None and more.value is not None and fewer.low is not None and more.low is not None
    assert fewer.value <= more.value and fewer.low <= more.low + 1e-12


def worlds(
    rng: np.random.Generator, *, rate: float, tpr: float, tnr: float, n: int, labels: int, share: float
) -> list[tuple[int, Counts]]:
    """(verdicts of yes, counts on the labels) of so many worlds."""
    positives = round(labels * share)
    negatives = labels - positives
    yes = rng.binomial(n, rate * tpr + (1 - rate) * (1 - tnr), WORLDS)
    hits, rejections = rng.binomial(positives, tpr, WORLDS), rng.binomial(negatives, tnr, WORLDS)
    return [
        (int(said), Counts(int(tp), positives - int(tp), int(tn), negatives - int(tn)))
        for said, tp, tn in zip(yes, hits, rejections, strict=True)
    ]


@lru_cache(maxsize=1)
def coverage() -> dict[tuple[float, ...], float]:
    """Setting -> share of its worlds whose interval holds the true rate; a judge taken for a coin decides nothing."""
    rng = np.random.default_rng(20140113)
    held: dict[tuple[float, ...], float] = {}
    shares = itertools.cycle((1 / 3, 1 / 2, 2 / 3))
    for rate, tpr, tnr, n, labels in itertools.product(RATES, SKILLS, SKILLS, ANSWERS, LABELS):
        drawn = worlds(rng, rate=rate, tpr=tpr, tnr=tnr, n=n, labels=labels, share=next(shares))
        measures = [correct_rate(yes, n, counts) for yes, counts in drawn]
        known = [one for one in measures if one.low is not None and one.high is not None]
        assert len(known) > 0.95 * WORLDS
        inside = sum(one.low <= rate + 1e-12 and one.high >= rate - 1e-12 for one in known)  # type: ignore[operator]
        held[rate, tpr, tnr, n, labels] = inside / len(known)
    return held


def test_the_interval_holds_the_truth_in_93_of_100_worlds_on_average() -> None:
    held = coverage()
    assert len(held) == 432
    assert 0.93 <= np.mean(list(held.values())) < 0.99  # nor is it so wide that it says nothing


def test_there_is_no_setting_in_which_it_holds_the_truth_in_less_than_90_of_100_worlds() -> None:
    worst = min(coverage().items(), key=lambda pair: pair[1])
    assert worst[1] >= 0.90, worst


@pytest.mark.parametrize("name", ["rate", "tpr", "tnr", "n", "labels"])
def test_no_value_of_a_setting_has_less_than_93_in_100(name: str) -> None:
    at = ["rate", "tpr", "tnr", "n", "labels"].index(name)
    grouped: dict[float, list[float]] = {}
    for setting, share in coverage().items():
        grouped.setdefault(setting[at], []).append(share)
    assert {
        value: round(float(np.mean(shares)), 3) for value, shares in grouped.items() if np.mean(shares) < 0.93
    } == {}


def test_the_raw_rate_does_not() -> None:
    """What the correction is for: the judge's own share of yes, with its interval, misses the truth nearly always."""
    rng = np.random.default_rng(3)
    drawn = worlds(rng, rate=0.97, tpr=0.9, tnr=0.75, n=300, labels=60, share=0.5)
    raw = sum(low <= 0.97 <= high for low, high in (wilson_interval(yes, 300) for yes, _ in drawn))
    corrected = [correct_rate(yes, 300, counts) for yes, counts in drawn]
    held = sum(one.low is not None and one.high is not None and one.low <= 0.97 <= one.high for one in corrected)
    assert raw < 0.2 * WORLDS and held > 0.93 * WORLDS
