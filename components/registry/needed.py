"""How many answers it takes to show a share: by the Wilson interval, as the gate decides.

With few answers even a perfect share proves little: 8 right of 8 means "between 68 and 100 %", so no 8 answers can show
0.90. Not covered: a share that is corrected for the errors of a judge has a wider interval, so it takes more.
"""

from __future__ import annotations

import math

from components.evaluate.intervals import Z95

__all__ = ["MOST", "fewest", "needed_at_rate", "needed_for", "needed_of"]

MOST = 1_000_000
"""Answers; what takes more cannot be shown."""


def needed_for(threshold: float, at_least: bool = True, *, asked: int | None = None) -> str:
    """What it takes to show a share of `threshold`, in words: `35 of 35, or 96 of 100`.

    `at_least` False: the share is a greatest one, such as of copied answers: `0 of 73, or 0 of 100`. `asked`: how many
    are asked; then the answer is about these: `8 cannot show 0.9: it takes 35 of 35, or 96 of 100`, or
    `it takes 48 of 48`.
    """
    least = fewest(threshold, at_least)
    if least is None:
        return f"no number of answers can show {threshold:g}"

    def count(n: int) -> str:
        passes = needed_of(threshold, n, at_least)
        return f"{n if passes is None else passes} of {n}"

    if asked is not None and asked >= least:
        return f"it takes {count(asked)}"
    takes = count(least) if least >= 100 else f"{count(least)}, or {count(100)}"
    return takes if asked is None else f"{asked} cannot show {threshold:g}: it takes {takes}"


def fewest(threshold: float, at_least: bool = True) -> int | None:
    """Smallest number of answers whose whole interval can be on the good side; None: no number of them (MOST)."""
    return needed_at_rate(1.0 if at_least else 0.0, threshold, at_least)


def needed_of(threshold: float, n: int, at_least: bool = True) -> int | None:
    """Of `n` answers (n >= 1) the least that must be right, or the most that may be wrong; None: n are too few."""
    if not at_least:
        right = needed_of(1 - threshold, n)
        return None if right is None else n - right
    if not _shows(1.0, n, threshold):
        return None
    low, high = -1, n  # the bound grows with the number that is right: `high` shows it, `low` does not
    while low + 1 < high:
        middle = (low + high) // 2
        low, high = (low, middle) if _shows(middle / n, n, threshold) else (middle, high)
    return high


def needed_at_rate(rate: float, threshold: float, at_least: bool = True) -> int | None:
    """Smallest n whose interval, at this rate, is on the good side of the threshold; None: above MOST."""
    if not at_least:
        return needed_at_rate(1 - rate, 1 - threshold)
    high = 1
    while not _shows(rate, high, threshold):
        high *= 2
        if high > MOST:
            return None
    low = high // 2
    while low + 1 < high:
        middle = (low + high) // 2
        low, high = (low, middle) if _shows(rate, middle, threshold) else (middle, high)
    return high


def _shows(rate: float, n: int, threshold: float) -> bool:
    """Whether Wilson's lower bound of a rate among n reaches the threshold."""
    if rate >= 1.0:
        return n / (n + Z95 * Z95) >= threshold
    z2 = Z95 * Z95
    half = Z95 * math.sqrt(rate * (1 - rate) / n + z2 / (4 * n * n))
    return (rate + z2 / (2 * n) - half) / (1 + z2 / n) >= threshold
