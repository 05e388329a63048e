"""Intervals around scores: Wilson for rates, bootstrap for means, order statistics for percentiles.

A score without its interval is an anecdote: with 20 questions, 19 right means "between 76 and 99 %".
All are two-sided 95 % intervals and none needs a random source that is not seeded.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from components.errors import TerminalError

__all__ = ["Measure", "bootstrap_interval", "mean_measure", "percentile_measure", "rate_measure", "wilson_interval"]

Z95 = 1.959963984540054  # 97.5 % quantile of the standard normal distribution
_RESAMPLE_BLOCK = 2_000_000  # indices drawn at once: 16 MB, whatever the number of questions


@dataclass(frozen=True)
class Measure:
    """One score. `value` None: unknown (not zero). `low`, `high`: 95 % interval, None: no bound can be given.

    `n` is how many questions or answers it rests on. Raises TerminalError for NaN or infinity: they are never scores.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int

    def __post_init__(self) -> None:
        for number in (self.value, self.low, self.high):
            if number is not None and not math.isfinite(number):
                raise TerminalError(f"A score is {number}: expected a finite number, or none when it is unknown.")

    def to_dict(self) -> dict[str, Any]:
        """As JSON: `{value, low, high, n}`."""
        return {"value": self.value, "low": self.low, "high": self.high, "n": self.n}


def wilson_interval(successes: int, n: int) -> tuple[float, float]:
    """95 % score interval of a rate: `successes` of `n`, n >= 1.

    Wilson, E. B. (1927), "Probable inference, the law of succession, and statistical inference", JASA 22: 209-212.
    """
    if n < 1 or not 0 <= successes <= n:
        raise TerminalError(f"No rate of {successes} out of {n}: expected 0 <= successes <= n and n >= 1.")
    rate, z2 = successes / n, Z95 * Z95
    centre = (rate + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 * math.sqrt(rate * (1 - rate) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    # The formula gives exactly 0 and 1 at the ends; floating point does not.
    return (0.0 if successes == 0 else centre - half, 1.0 if successes == n else centre + half)


def bootstrap_interval(values: Sequence[float], *, samples: int, seed: int) -> tuple[float, float]:
    """95 % percentile interval of the mean of `values` (at least one), by `samples` seeded resamples.

    Efron & Tibshirani (1993), An Introduction to the Bootstrap, ch. 13. It is too narrow for few values (equal values
    give an interval of no width), so whoever decides on it asks for a minimum number of them.
    """
    import numpy as np

    if not values:
        raise TerminalError("No interval without values: expected at least one.")
    data = np.asarray(values, dtype=np.float64)
    if not np.isfinite(data).all():
        raise TerminalError("A score is not a finite number: no mean can be made of it.")
    rng = np.random.default_rng(seed)
    block = max(1, _RESAMPLE_BLOCK // len(data))
    means = np.concatenate(
        [
            data[rng.integers(0, len(data), size=(min(block, samples - start), len(data)))].mean(axis=1)
            for start in range(0, samples, block)
        ]
    )
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def rate_measure(passed: Sequence[bool]) -> Measure:
    """Share of `passed` that are true, with its Wilson interval; unknown when there are none."""
    if not passed:
        return Measure(None, None, None, 0)
    low, high = wilson_interval(sum(passed), len(passed))
    return Measure(sum(passed) / len(passed), low, high, len(passed))


def mean_measure(values: Sequence[float], *, samples: int, seed: int) -> Measure:
    """Mean of `values` with its bootstrap interval; unknown when there are none."""
    if not values:
        return Measure(None, None, None, 0)
    low, high = bootstrap_interval(values, samples=samples, seed=seed)
    return Measure(math.fsum(values) / len(values), low, high, len(values))


def percentile_measure(values: Sequence[float], share: float) -> Measure:
    """The `share` (0..1) percentile of `values`, interpolated linearly, with a distribution-free 95 % interval.

    The bounds are order statistics (Conover, Practical Nonparametric Statistics, section 3.2): the number of values
    below the true percentile is binomial. Where few values cannot bound it, the bound is None: the upper bound of a
    95th percentile needs 72 values. (A bootstrap would give the largest value seen, which is no bound at all.)
    """
    if not values:
        return Measure(None, None, None, 0)
    ordered, n = sorted(values), len(values)
    at = share * (n - 1)
    below = math.floor(at)
    above = min(below + 1, n - 1)
    value = ordered[below] + (ordered[above] - ordered[below]) * (at - below)
    # cumulative[k] = P(at most k of n values lie below the true percentile)
    cumulative, total = [], 0.0
    for k in range(n + 1):
        total += math.exp(
            math.lgamma(n + 1)
            - math.lgamma(k + 1)
            - math.lgamma(n - k + 1)
            + k * math.log(share)
            + (n - k) * math.log1p(-share)
        )
        cumulative.append(total)
    lower = [k for k in range(1, n + 1) if cumulative[k - 1] <= 0.025]
    upper = [k for k in range(1, n + 1) if cumulative[k - 1] >= 0.975]
    low = ordered[lower[-1] - 1] if lower else None
    high = ordered[upper[0] - 1] if upper else None
    return Measure(value, low, high, n)
