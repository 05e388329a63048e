"""Verdicts counted: what was expected, what failed, what could not be read, and what share of yes is left to believe.

Errors are not scores: a verdict that failed or could not be read is neither yes nor no. A judge counts when people have
checked it (`agreement`); then its share of yes is corrected for its errors, else there is no share, only a raw one.

Not covered: a judge that errs more on this candidate than on the answers that people labelled.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from components.evaluate.instrument.correct import correct_rate
from components.evaluate.instrument.counts import Counts
from components.evaluate.intervals import Measure, rate_measure
from components.evaluate.judge.summary import flip_rate
from components.evaluate.judged import GROUPS, Judged, group_of

__all__ = [
    "MOST_UNREAD",
    "believed",
    "count_questions",
    "count_verdicts",
    "judge_report",
    "raw_rate",
    "untrusted",
]

MOST_UNREAD = 0.05
"""Share of verdicts without a yes or a no beyond which what is left is no fair sample."""

Key = tuple[str, str]
"""(item, question)"""


def raw_rate(judged: Iterable[Judged]) -> Measure:
    """Share of yes among the verdicts that are yes or no (Wilson); of a judge: errors and all."""
    return rate_measure([one.verdict == "yes" for one in judged if one.verdict is not None])


def untrusted(agreement: Mapping[str, Any] | None, part: str) -> str | None:
    """Why the judge's word does not count for these questions; None: it counts."""
    group = (agreement or {}).get(part)
    if not group:
        return "the judge's word does not count: nobody has checked this judge: cervella label RECIPE"
    return None if group["trusted"] else f"the judge's word does not count: {group['why']}"


def believed(judged: Sequence[Judged], agreement: Mapping[str, Any] | None, part: str) -> tuple[Measure, str | None]:
    """Share of yes, corrected for the judge's errors, and why there is none where there is none."""
    read = [one.verdict == "yes" for one in judged if one.verdict is not None]
    why = untrusted(agreement, part) or _unread(judged)
    if why is None and read and agreement is not None:
        corrected = correct_rate(yes=sum(read), n=len(read), counts=Counts(**agreement[part]["counts"]))
        if corrected.value is not None:
            return corrected, None
        why = "the judge errs too often for its errors to be corrected"
    return Measure(None, None, None, len(read)), why or "the judge was asked nothing"


def _unread(judged: Sequence[Judged]) -> str | None:
    verdicts = count_verdicts(judged)
    asked = verdicts["scored"] + verdicts["unparsable"]
    if verdicts["unparsable"] > MOST_UNREAD * asked:
        return f"{verdicts['unparsable']} of {asked} verdicts of the judge could not be read"
    questions = count_questions(judged)
    without = questions["unparsable"] + questions["tied"]
    if without > MOST_UNREAD * questions["expected"]:
        return f"on {without} of {questions['expected']} answers the judge came to no verdict"
    return None


def count_verdicts(judged: Iterable[Judged]) -> dict[str, int]:
    """`{expected, scored, failed, unparsable}` single verdicts, of all repeats; the last three add up to the first."""
    verdicts = failed = read = 0
    for one in judged:
        verdicts += len(one.verdicts)
        failed += len(one.errors)
        read += sum(verdict is not None for verdict in one.verdicts)
    return {"expected": verdicts, "scored": read, "failed": failed, "unparsable": max(verdicts - failed - read, 0)}


def count_questions(judged: Sequence[Judged], *, missing: int = 0) -> dict[str, int]:
    """`{expected, scored, failed, unparsable, tied}` questions, each asked once or more; the last four are the first.

    `missing`: questions that never came, so failed.
    """
    scored = sum(one.verdict is not None for one in judged)
    failed = sum(bool(one.errors) and one.verdict is None for one in judged)
    unparsable = sum(not one.errors and not any(one.verdicts) for one in judged)
    return {
        "expected": len(judged) + missing, "scored": scored, "failed": failed + missing, "unparsable": unparsable,
        "tied": len(judged) - scored - failed - unparsable,
    }  # fmt: skip


def judge_report(
    judged: Sequence[Judged],
    *,
    expected: Collection[Key],
    about: Mapping[str, Any],
    agreement: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """The judge in the scorecard: who it is, what it was asked and how much of it can be used.

    `judged`: of the judge, on all contestants; counts in `parts` are of the candidate alone, on which the gate rests.
    `expected`: (item, question) of the candidate. `about`: who the judge is, as its step sealed it.
    """
    own = [one for one in judged if one.contestant == "candidate"]
    came = {(one.item, one.question) for one in own}
    missing = [question for item, question in expected if (item, question) not in came]
    parts = {}
    for group in GROUPS:
        of_group = [one for one in own if group_of(one.question) == group]
        parts[group] = count_questions(of_group, missing=sum(group_of(question) == group for question in missing))
    known = ("model", "family", "candidate_family", "same_family", "prompt_version", "repeats", "warning")
    return {
        **{name: about.get(name) for name in known}, **count_questions(judged, missing=len(missing)), "parts": parts,
        "flip_rate": flip_rate(judged).to_dict(),
        "agreement": {name: dict(group) for name, group in agreement.items()} if agreement else None,
    }  # fmt: skip
