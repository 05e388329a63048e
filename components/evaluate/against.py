"""The candidate beside the champion and the bare base model: the same prompts, each with its own scores, and in pairs.

The control answers without persona, notes and adapter. Where it scores as well as the candidate, the prompts do not
tell her from any model, and a high score of the candidate says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from components.evaluate.intervals import Measure, mean_measure, percentile_measure, rate_measure
from components.evaluate.judged import SOUNDS, Judged, Pair
from components.evaluate.said import CONTESTANTS, Contestant, Said
from components.evaluate.verdicts import believed, raw_rate

__all__ = ["contestant_scores", "control_warning", "pair_scores"]


def contestant_scores(
    said: Mapping[Contestant, Sequence[Said]], judged: Sequence[Judged], agreement: Mapping[str, Any] | None,
    *, samples: int, seed: int,
) -> dict[str, dict[str, Measure]]:  # fmt: skip
    """Of each contestant that was asked, over its answers to prompts of personality.

    - sounds_raw, sounds_like_her: share of yes as the judge said it, and corrected for its errors (unknown where its
      word does not count)
    - persona_checks: share of answers that pass every check by code; the control has no persona and is not checked
    - latency_p50_seconds, latency_p95_seconds, cost_per_query_usd: unknown when one cost is unknown
    """
    scores: dict[str, dict[str, Measure]] = {}
    for name in CONTESTANTS:
        if name not in said:
            continue
        answers = [one for one in said[name] if one.item.part == "personality" and one.error is None]
        keys = {one.item.key for one in answers}
        own = [one for one in judged if one.contestant == name and one.question == SOUNDS and one.item in keys]
        timed = [one.seconds for one in answers if one.seconds is not None]
        costs = [one.cost_usd for one in answers if one.cost_usd is not None]
        known = len(costs) == len(answers) > 0
        unknown = Measure(None, None, None, len(costs))
        checked = {} if name == "control" else {"persona_checks": rate_measure([_passes(one) for one in answers])}
        scores[name] = {
            "sounds_raw": raw_rate(own), "sounds_like_her": believed(own, agreement, "sounds")[0], **checked,
            "latency_p50_seconds": percentile_measure(timed, 0.50),
            "latency_p95_seconds": percentile_measure(timed, 0.95),
            "cost_per_query_usd": mean_measure(costs, samples=samples, seed=seed) if known else unknown,
        }  # fmt: skip
    return scores


def control_warning(scores: Mapping[str, Mapping[str, Measure]]) -> str | None:
    """What to say where the control sounds like her as often as the candidate: their intervals overlap."""
    candidate, control = (scores.get(name, {}).get("sounds_raw") for name in ("candidate", "control"))
    if candidate is None or control is None or candidate.low is None or control.high is None:
        return None
    if control.high < candidate.low:
        return None
    return (
        f"the bare base model sounds like her in {control.value:.0%} of its answers, the candidate in "
        f"{candidate.value:.0%}, and the intervals overlap: "
        "the prompts, or the judge, do not tell her from a bare model"
    )


def pair_scores(pairs: Sequence[Pair], *, samples: int, seed: int) -> dict[str, Any] | None:
    """`{candidate, champion, tie, unread, rate, words}`; None: nothing was compared.

    `rate`: (wins + half of the ties) / pairs that could be read, with a bootstrap interval over pairs; above 0.5 the
    candidate is better. `words`: mean length of the candidate's answers and of the champion's, since judges like long
    ones.
    """
    if not pairs:
        return None
    points = {"candidate": 1.0, "tie": 0.5, "champion": 0.0}
    outcomes = [pair.outcome for pair in pairs]
    rate = mean_measure([points[one] for one in outcomes if one is not None], samples=samples, seed=seed)
    return {
        **{name: outcomes.count(name) for name in ("candidate", "champion", "tie")},
        "unread": outcomes.count(None), "failed": sum(bool(pair.errors) for pair in pairs), "rate": rate.to_dict(),
        "words": [round(sum(pair.words[side] for pair in pairs) / len(pairs), 1) for side in (0, 1)],
    }  # fmt: skip


def _passes(said: Said) -> bool:
    return all(check.passed is not False for check in said.checks)
