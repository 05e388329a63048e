"""The gate of phase scale: is the candidate, beside what is in service, good enough to take its place?

As the gate of a phase it wants proof: the whole 95 % interval on the good side of the limit. Against the release in
service it wants none: only what is clearly worse is a no, by McNemar's exact test of the questions on which the two
differ (McNemar 1947, "Note on the sampling error of the difference between correlated proportions", Psychometrika 12:
153-157; exact: binomial, two-sided at 5 %).

Not covered: whether an answer is right or sounds like her, beyond whose answer a judge prefers (`scale.judge`); that is
what the candidate's own gate is for, which must
have said GO, or a person gives a reason.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from components.evaluate.intervals import Measure, mean_measure, percentile_measure, rate_measure
from components.evaluate.judged import Outcome
from components.evaluate.verdicts import MOST_UNREAD
from components.registry.criteria import Rule
from components.registry.gate import Criterion, GateReport, Verdict
from components.registry.weighing import weigh
from components.scale.answers import Answered
from components.scale.params import ScaleParams

__all__ = ["clearly_worse", "decide"]

_ERRORS = Rule("errors", False, "rate")
_P95 = Rule("latency_p95_seconds", False, "percentile")
_COST = Rule("cost_per_query_usd", False, "cost")
_FEWEST_PAIRS = 6  # of fewer, not even all of them worse are clearly worse: 2 * 0.5**5 > 5 %
_POINTS: dict[Outcome, float] = {"candidate": 1.0, "tie": 0.5, "champion": 0.0}


def decide(
    params: ScaleParams, *, own: GateReport, run: str, answers: Iterable[Answered], samples: int, seed: int,
    distrust: str | None = None,
) -> GateReport:  # fmt: skip
    """Hold what a candidate answered against the limits, and against what the release in service answered.

    Args:
        params: section `scale`.
        own: what the gate of the candidate's own run said.
        run: id of that run.
        answers: of the candidate, and of the release in service where there is one.
        samples: of the bootstrap.
        seed: of the bootstrap.
        distrust: why the judge's word on whose answer is better does not count, in words; None: it counts.
    """
    rows = list(answers)
    mine = [row for row in rows if row.side == "candidate"]
    given = [row for row in mine if row.error is None]
    theirs = [row for row in rows if row.side == "champion"]
    costs = [row.cost_usd for row in given]
    known = [cost for cost in costs if cost is not None]
    criteria = [
        _own(own, run=run, force=params.force),
        _weighed(_ERRORS, params.max_errors, rate_measure([row.error is not None for row in mine])),
        _weighed(
            _P95, params.max_p95_seconds,
            percentile_measure([row.seconds for row in given if row.seconds is not None], 0.95),
        ),
        _weighed(
            _COST, params.max_usd_per_query,
            mean_measure(known if len(known) == len(costs) else [], samples=samples, seed=seed),
        ),
        *_beside(mine, theirs, max_errors=params.max_errors),
        *(_preferred(mine, theirs, distrust=distrust, samples=samples, seed=seed) if params.judge else ()),
    ]  # fmt: skip
    verdicts = {criterion.verdict for criterion in criteria}
    verdict: Verdict = "NO-GO" if "NO-GO" in verdicts else "INCONCLUSIVE" if "INCONCLUSIVE" in verdicts else "GO"
    return GateReport("scale", verdict, tuple(criteria))


def clearly_worse(only_mine: int, only_other: int) -> bool:
    """Whether `only_mine` successes of questions that only one had are clearly fewer than the other's `only_other`."""
    n = only_mine + only_other
    if only_mine >= only_other:
        return False
    return sum(math.comb(n, k) for k in range(only_mine + 1)) * 40 <= 1 << n


def _own(own: GateReport, *, run: str, force: str | None) -> Criterion:
    good = sum(criterion.verdict == "GO" for criterion in own.criteria)
    said = f"the gate of run {run} (phase {own.phase}) says {own.verdict}"
    missed = [f"{criterion.name} {criterion.verdict}" for criterion in own.criteria if criterion.verdict != "GO"]
    verdict = own.verdict
    if verdict != "GO":
        said += f": {', '.join(missed)}" if missed else ""
        said += f"; scale.force: {force}" if force else "; a person may decide otherwise: scale.force"
        verdict = "GO" if force else verdict
    share = good / len(own.criteria) if own.criteria else None
    return Criterion("own_gate", verdict, share, None, None, 1.0, True, len(own.criteria), said)


def _weighed(rule: Rule, threshold: float, measure: Measure) -> Criterion:
    verdict, reason, needed = weigh(rule, threshold, measure.value, measure.low, measure.high, measure.n)
    value, low, high, n = measure.value, measure.low, measure.high, measure.n
    return Criterion(rule.name, verdict, value, low, high, threshold, rule.at_least, n, reason, needed)


def _beside(mine: Sequence[Answered], others: Sequence[Answered], *, max_errors: float) -> list[Criterion]:
    """Answers that name a note, on the questions that the release in service has answered.

    Nothing where the candidate stands alone. INCONCLUSIVE where the release in service erred on more than `max_errors`
    of the questions that both were asked, or so few are left that nothing could be clearly worse.
    """
    theirs = {(row.origin, row.question): row for row in others}
    both = [(row, theirs[row.origin, row.question]) for row in mine if (row.origin, row.question) in theirs]
    if not both:
        return []
    pairs = [(row, one) for row, one in both if one.error is None]
    own = rate_measure([row.with_sources for row, _ in pairs])
    other = sum(one.with_sources for _, one in pairs) / len(pairs) if pairs else 0.0
    more = sum(row.with_sources and not one.with_sources for row, one in pairs)
    fewer = sum(one.with_sources and not row.with_sources for row, one in pairs)
    worse = clearly_worse(more, fewer)
    told = f"names a note where the release in service does not: {more} times, the other way round {fewer} times; "
    told += "clearly worse" if worse else "not clearly worse"
    verdict: Verdict = "NO-GO" if worse else "GO"
    if missing := _missing(len(both), len(pairs), max_errors=max_errors):
        verdict, told = "INCONCLUSIVE", missing
    return [
        Criterion(
            "answers_with_sources", verdict, own.value, own.low, own.high, other, True, len(pairs), told,
            _FEWEST_PAIRS if len(both) < _FEWEST_PAIRS else None,
        )
    ]  # fmt: skip


def _preferred(
    mine: Sequence[Answered], others: Sequence[Answered], *, distrust: str | None, samples: int, seed: int
) -> list[Criterion]:
    """Whose answer the judge prefers, on the questions that this run had both answer; (wins + half of the ties) / all.

    Nothing where the candidate stands alone. INCONCLUSIVE where the judge's word does not count, or it came to a
    verdict on too few.
    """
    if not others:
        return []
    answered = {row.question for row in others if row.origin == "asked" and row.error is None}
    both = [row for row in mine if row.origin == "asked" and row.error is None and row.question in answered]
    read = [row.preferred for row in both if row.preferred is not None]
    better, worse = read.count("candidate"), read.count("champion")
    rate = mean_measure([_POINTS[one] for one in read], samples=samples, seed=seed)
    lost = clearly_worse(better, worse)
    told = f"the judge prefers the candidate's answer {better} times, the other {worse} times, neither "
    told += f"{len(read) - better - worse} times; {'clearly worse' if lost else 'not clearly worse'}"
    verdict: Verdict = "NO-GO" if lost else "GO"
    if distrust:
        verdict, told = "INCONCLUSIVE", f"{distrust}; it was asked nothing"
    elif len(both) - len(read) > MOST_UNREAD * len(both):
        verdict, told = "INCONCLUSIVE", f"the judge came to no verdict on {len(both) - len(read)} of {len(both)} pairs"
    elif len(read) < _FEWEST_PAIRS:
        verdict, told = "INCONCLUSIVE", f"the judge was asked of {len(read)} pairs: it takes {_FEWEST_PAIRS} or more"
    return [Criterion("preferred", verdict, rate.value, rate.low, rate.high, 0.5, True, len(read), told)]


def _missing(asked: int, answered: int, *, max_errors: float) -> str | None:
    """Why what the release in service has answered is no measure, in words; None: it is one."""
    if asked - answered > max_errors * asked:
        return (
            f"the release in service has no answer to {asked - answered} of {asked} questions: it is no measure; a "
            "person may decide otherwise: cervella promote"
        )
    if answered < _FEWEST_PAIRS:
        return f"the release in service has answered {answered} of these questions: it takes {_FEWEST_PAIRS} or more"
    return None
