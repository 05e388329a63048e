"""A rate of yes, corrected for the errors of the judge who said yes.

**Not covered**: the judge must err on the scored answers as often as on the labelled ones. Labels of other prompts,
another language or another model's answers do not show that. Scores and labels are taken for independent draws; labels
on the very answers that are scored make the interval a little wider than need be.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from components.evaluate.instrument.counts import Counts
from components.evaluate.intervals import Z95, Measure, wilson_interval

__all__ = ["correct_rate"]


def correct_rate(yes: int, n: int, counts: Counts | Mapping[str, int]) -> Measure:
    """The share of yes that people would find, from `yes` of `n` verdicts of a judge.

    `counts`: of the judge on labels, as agreement.json has them, too.

    (p + TNR - 1) / (TPR + TNR - 1), cut to 0..1: Rogan & Gladen (1978), "Estimating prevalence from the results of a
    screening test", American Journal of Epidemiology 107: 71-76. The 95 % interval also holds the uncertainty of TPR
    and TNR: Lang & Reiczigel (2014), "Confidence limits for prevalence of disease adjusted for estimated sensitivity
    and specificity", Preventive Veterinary Medicine 113: 13-22; for judges, the same in Lee et al. (2025), "How to
    correctly report LLM-as-a-judge evaluations", arXiv 2511.21140. By simulation (tests/evaluate/test_correction.py) it
    holds the truth in about 97 % of cases, and in no setting that was tried in less than 93 %.

    Returns:
        The measure; `value` None when there is nothing to correct (no verdicts, or labels of one kind alone), or when
        the judge is no better than a coin (TPR + TNR <= 1).
    """
    unknown = Measure(None, None, None, n)
    counts = counts if isinstance(counts, Counts) else Counts(**counts)
    positives, negatives = counts.tp + counts.fn, counts.tn + counts.fp
    if not n or not positives or not negatives:
        return unknown
    tpr, tnr = counts.tp / positives, counts.tn / negatives
    # As with one more hit and one more error of each kind (Agresti & Coull): perfect on few labels is not perfect.
    tpr_n, tnr_n, rate_n = positives + 2, negatives + 2, n + Z95**2
    near_tpr, near_tnr, near_rate = (counts.tp + 1) / tpr_n, (counts.tn + 1) / tnr_n, (yes + Z95**2 / 2) / rate_n
    skill = near_tpr + near_tnr - 1
    if tpr + tnr <= 1 or skill <= 0:
        return unknown
    value = min(1.0, max(0.0, (yes / n + tnr - 1) / (tpr + tnr - 1)))
    centre = (near_rate + near_tnr - 1) / skill
    tpr_variance, tnr_variance = near_tpr * (1 - near_tpr) / tpr_n, near_tnr * (1 - near_tnr) / tnr_n
    spread = near_rate * (1 - near_rate) / rate_n + centre**2 * tpr_variance + (1 - centre) ** 2 * tnr_variance
    half = Z95 * math.sqrt(spread) / skill
    centre += 2 * Z95**2 * (centre * tpr_variance - (1 - centre) * tnr_variance)
    # A judge that says yes more often than it would to good answers alone gives an interval beyond 1, which would be
    # cut to nothing: it is never narrower than that of a judge without errors.
    low = min(centre - half, wilson_interval(math.floor(value * n), n)[0])
    high = max(centre + half, wilson_interval(math.ceil(value * n), n)[1])
    return Measure(value, max(0.0, low), min(1.0, high), n)
