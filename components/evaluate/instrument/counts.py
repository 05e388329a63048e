"""Verdicts of a judge beside those of people: counts of hits and errors, rates, Cohen's kappa.

**Not covered**: a kappa is low where nearly all verdicts of people are the same, whatever the judge does, so kappas of
sets with another share of yes cannot be compared. The intervals of TPR and TNR take each label for a draw of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any

from components.evaluate.intervals import Measure, wilson_interval

__all__ = ["Counts", "cohen_kappa", "kappa_measure"]


@dataclass(frozen=True)
class Counts:
    """How often people (first) and the judge (second) said: yes yes, yes no, no no, no yes."""

    tp: int = 0
    fn: int = 0
    tn: int = 0
    fp: int = 0

    def __add__(self, other: Counts) -> Counts:
        """Both together."""
        return Counts(self.tp + other.tp, self.fn + other.fn, self.tn + other.tn, self.fp + other.fp)

    @classmethod
    def of(cls, *, people: bool, judge: bool) -> Counts:
        """One answer: whether people, and whether the judge, said yes."""
        if people:
            return cls(tp=1) if judge else cls(fn=1)
        return cls(fp=1) if judge else cls(tn=1)

    @property
    def n(self) -> int:
        """All of them."""
        return sum(astuple(self))

    @property
    def tpr(self) -> Measure:
        """True positive rate (sensitivity): of what people say yes to, the share that the judge says yes to."""
        return _rate(self.tp, self.tp + self.fn)

    @property
    def tnr(self) -> Measure:
        """True negative rate (specificity): of what people say no to, the share that the judge says no to."""
        return _rate(self.tn, self.tn + self.fp)


def cohen_kappa(counts: Counts) -> float | None:
    """Agreement beyond chance, -1..1; None: not defined, since people or judge gave no verdict, or people but one kind.

    (po - pe) / (1 - pe), with po the share of agreement and pe that which two would reach who give their shares of yes
    at random. Cohen, J. (1960), "A coefficient of agreement for nominal scales", Educational and Psychological
    Measurement 20: 37-46.
    """
    yes, no, n = counts.tp + counts.fn, counts.tn + counts.fp, counts.n
    if not yes or not no:
        return None
    expected = yes * (counts.tp + counts.fp) + no * (counts.tn + counts.fn)  # times n * n: whole numbers are exact
    return (n * (counts.tp + counts.tn) - expected) / (n * n - expected)


def kappa_measure(clusters: Sequence[Counts], *, samples: int, seed: int) -> Measure:
    """Cohen's kappa of all, with a 95 % percentile interval by `samples` seeded resamples of whole clusters.

    A cluster holds what belongs together, such as all questions on one item (Davison & Hinkley 1997, Bootstrap Methods
    and their Application, section 3.8). Resamples in which kappa is not defined are left out. Without any error the
    interval has no width, as bootstrap intervals have.
    """
    import numpy as np

    total = sum(clusters, Counts())
    value = cohen_kappa(total)
    if value is None:
        return Measure(None, None, None, total.n)
    table = np.array([astuple(cluster) for cluster in clusters], dtype=np.float64)
    weights = np.random.default_rng(seed).multinomial(len(table), np.full(len(table), 1 / len(table)), size=samples)
    tp, fn, tn, fp = (weights @ table).T
    yes, no = tp + fn, tn + fp
    defined = (yes > 0) & (no > 0)
    tp, fn, tn, fp, yes, no = (column[defined] for column in (tp, fn, tn, fp, yes, no))
    n = yes + no
    expected = (yes * (tp + fp) + no * (tn + fn)) / n**2
    low, high = np.percentile(((tp + tn) / n - expected) / (1 - expected), [2.5, 97.5])
    return Measure(value, min(float(low), value), max(float(high), value), total.n)


def measure_dict(measure: Measure) -> dict[str, Any]:
    """As JSON, rounded to what such a number says."""
    return {key: round(value, 4) if isinstance(value, float) else value for key, value in measure.to_dict().items()}


def _rate(hits: int, n: int) -> Measure:
    if not n:
        return Measure(None, None, None, 0)
    return Measure(hits / n, *wilson_interval(hits, n), n)
