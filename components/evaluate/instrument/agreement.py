"""How far a judge agrees with people, and when its word counts.

**Not covered**: people who are wrong themselves (their kappa with each other is shown, and nothing is made of it), and
a judge that errs more on one rule of the checklist than on another: the rules are one group.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import combinations
from typing import Any

from components.evaluate.instrument.counts import Counts, cohen_kappa, kappa_measure, measure_dict
from components.evaluate.instrument.labels import Labelled
from components.evaluate.judge.summary import flip_rate
from components.evaluate.judged import Judged
from components.evaluate.verdicts import count_verdicts

__all__ = ["MAX_UNREAD", "NOBODY", "agreement_of", "labels_left_out", "labels_needed", "people_agreement", "trusted"]

NOBODY = "nobody has checked this judge: cervella label RECIPE"
MAX_UNREAD = 0.10
"""Share of the judge's verdicts that may fail or be unparsable."""


def agreement_of(
    labelled: Sequence[Labelled],
    judged: Mapping[str, Judged],
    *,
    min_kappa: float,
    min_labels: int,
    samples: int,
    seed: int,
    left_out: int = 0,
) -> dict[str, Any]:
    """A judge beside people on one group of questions, as agreement.json has it.

    Args:
        labelled: what people said of questions that are asked; ties among them are left out, and counted.
        judged: digest of each of those, ties aside -> what the judge said.
        min_kappa: see `trusted`.
        min_labels: see `trusted`.
        samples: of the bootstrap of kappa, by item.
        seed: of the bootstrap.
        left_out: labels of questions that are not asked any more.

    Returns:
        `{n, yes, no, ties, left_out, tpr, tnr, kappa, counts, undecided, flip_rate, unparsable, failed, people,
        trusted, why}`: n, yes, no: labels, by what people said; undecided: of those without a verdict of the judge, for
        whatever reason; unparsable, failed: single verdicts, of all repeats.
    """
    pairs = [(one, judged[one.digest]) for one in labelled if one.verdict is not None]
    clusters: dict[str, Counts] = defaultdict(Counts)
    for one, of_judge in pairs:
        if of_judge.verdict is not None:
            clusters[one.item] += Counts.of(people=one.verdict == "yes", judge=of_judge.verdict == "yes")
    counts = sum(clusters.values(), Counts())
    asked = [of_judge for _, of_judge in pairs]
    told = count_verdicts(asked)
    yes = sum(one.verdict == "yes" for one, _ in pairs)
    undecided = len(pairs) - counts.n
    # A judge that is asked three times may be read once: both the verdicts and what became of them count.
    unread = max(
        (told["failed"] + told["unparsable"]) / told["expected"] if told["expected"] else 0.0,
        undecided / len(pairs) if pairs else 0.0,
    )
    kappa = kappa_measure(list(clusters.values()), samples=samples, seed=seed)
    is_trusted, why = trusted(
        yes=yes, no=len(pairs) - yes, counts=counts, unread=unread, min_kappa=min_kappa, min_labels=min_labels
    )
    if left_out:
        why += f"; {labels_left_out(left_out)}"
    return {
        "n": len(pairs), "yes": yes, "no": len(pairs) - yes, "ties": len(labelled) - len(pairs), "left_out": left_out,
        "tpr": measure_dict(counts.tpr), "tnr": measure_dict(counts.tnr), "kappa": measure_dict(kappa),
        "counts": asdict(counts), "undecided": undecided, "flip_rate": measure_dict(flip_rate(asked)),
        "unparsable": told["unparsable"], "failed": told["failed"],
        "people": people_agreement(labelled, samples=samples, seed=seed), "trusted": is_trusted, "why": why,
    }  # fmt: skip


def trusted(*, yes: int, no: int, counts: Counts, unread: float, min_kappa: float, min_labels: int) -> tuple[bool, str]:
    """Whether a judge's word counts, and why, or why not.

    It takes `min_labels` labels, a third of that number yes and a third no; at most 10 % of its verdicts failed or
    unparsable; a judge that is better than a coin (TPR + TNR > 1), and a kappa of at least `min_kappa`.

    Args:
        yes: labels on which people said yes.
        no: labels on which they said no.
        counts: of those that the judge has a verdict on.
        unread: share (0..1) of its verdicts that failed or were unparsable.
        min_kappa: Cohen's kappa with people, at least.
        min_labels: see above.
    """
    if not yes + no:
        return False, NOBODY
    if missing := labels_needed(yes=yes, no=no, min_labels=min_labels):
        return False, f"only {yes + no} labels ({yes} yes, {no} no): {missing}: cervella label RECIPE"
    if unread > MAX_UNREAD:
        return False, f"{unread:.0%} of its verdicts failed or could not be read, at most {MAX_UNREAD:.0%} may"
    tpr, tnr, kappa = counts.tpr.value, counts.tnr.value, cohen_kappa(counts)
    if tpr is None or tnr is None or kappa is None:
        return False, "it has no verdict on what people said yes to, or on what they said no to"
    if tpr + tnr <= 1:
        return False, (
            f"it is no better than a coin: it says yes to {tpr:.0%} of what people say yes to, and to {1 - tnr:.0%} of "
            "what they say no to"
        )
    if kappa < min_kappa:
        return False, f"its kappa with people is {kappa:.2f}, below {min_kappa:.2f}"
    return True, f"its kappa with people is {kappa:.2f} on {counts.n} answers"


def labels_needed(*, yes: int, no: int, min_labels: int) -> str:
    """How many more labels it takes until a judge can be believed, in words; empty: there are enough."""
    third = -(-min_labels // 3)
    more_yes, more_no = max(0, third - yes), max(0, third - no)
    more = max(min_labels - yes - no, more_yes + more_no)
    if more <= 0:
        return ""
    kinds = " and ".join(f"{count} {kind}" for count, kind in ((more_yes, "yes"), (more_no, "no")) if count)
    return f"{more} more needed" + (f", of them at least {kinds}" if kinds else "")


def labels_left_out(count: int) -> str:
    """That so many labels do not count, in words."""
    return f"{count} label{'' if count == 1 else 's'} of other questions {'is' if count == 1 else 'are'} left out"


def people_agreement(labelled: Sequence[Labelled], *, samples: int, seed: int) -> dict[str, Any] | None:
    """How far people agree with each other where two or more labelled the same: `{people, n, kappa}`; None: nowhere.

    `n`: answers that several people labelled. All pairs of people are pooled, each in the order of their names: of two
    people it is their Cohen's kappa.
    """
    shared = [one for one in labelled if len(one.verdicts) > 1]
    if not shared:
        return None
    clusters: dict[str, Counts] = defaultdict(Counts)
    for one in shared:
        for (_, first), (_, second) in combinations(sorted(one.verdicts.items()), 2):
            clusters[one.item] += Counts.of(people=first == "yes", judge=second == "yes")
    kappa = kappa_measure(list(clusters.values()), samples=samples, seed=seed)
    people = {by for one in shared for by in one.verdicts}
    return {"people": len(people), "n": len(shared), "kappa": measure_dict(kappa)}
