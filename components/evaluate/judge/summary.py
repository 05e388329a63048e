"""What is said of a judge beside its verdicts: how many it gave, how often it changed its mind, what to beware of.

Errors are not scores: expected = scored + failed + unparsable + tied, question by question.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from components.evaluate.intervals import Measure, rate_measure
from components.evaluate.judge.ask import Tally
from components.evaluate.judge.words import PROMPT_VERSION
from components.evaluate.judged import Judged, Pair
from components.llm.families import family_of, same_family

__all__ = ["flip_rate", "judge_summary"]

_MANY = 0.1  # share of replies without a verdict that is worth a word


def flip_rate(judged: Sequence[Judged]) -> Measure:
    """Share of questions on which repeats disagree, among those with at least two verdicts that could be read."""
    read = [[verdict for verdict in one.verdicts if verdict] for one in judged]
    return rate_measure([len(set(verdicts)) > 1 for verdicts in read if len(verdicts) > 1])


def judge_summary(
    judged: Sequence[Judged],
    pairs: Sequence[Pair],
    *,
    tally: Tally,
    settings: Mapping[str, Any],
    repeats: int,
    candidate: str,
    base: str | None,
) -> dict[str, Any]:
    """What `judge.json` holds.

    Args:
        judged: verdicts of the judge alone.
        pairs: of candidate and champion.
        tally: of all replies.
        settings: of its `ChatParams.sampled`.
        repeats: verdicts that each question was to get.
        candidate: model that the candidate answers with.
        base: of a trained candidate, the model that it was trained on.
    """
    scored = sum(one.verdict is not None for one in judged)
    failed = sum(bool(one.errors) for one in judged)
    unparsable = sum(not one.errors and not any(one.verdicts) for one in judged)
    asked_as = str(settings["model"])
    facts = {
        "model": ", ".join(sorted({*tally.models, *(one.model for one in judged if one.model)})) or asked_as,
        "asked_as": asked_as,
        "family": family_of(asked_as),
        "candidate_family": family_of(candidate, base=base),
        "same_family": same_family(candidate, asked_as, first_base=base),
        "prompt_version": PROMPT_VERSION,
        "repeats": repeats,
        "expected": len(judged),
        "scored": scored,
        "failed": failed,
        "unparsable": unparsable,
        "tied": len(judged) - scored - failed - unparsable,
        "flip_rate": flip_rate(judged).to_dict(),
        "replies": {
            "asked": tally.replies, "unparsable": tally.unparsable, "cut": tally.cut, "cost_usd": tally.cost_usd,
        },
        "pairs": _pairs(pairs),
    }  # fmt: skip
    return {**facts, "warning": " ".join(_warnings(facts, max_tokens=int(settings["max_tokens"])))}


def _pairs(pairs: Sequence[Pair]) -> dict[str, Any]:
    read = [pair for pair in pairs if pair.outcome is not None]
    return {
        "expected": len(pairs),
        "scored": len(read),
        "failed": sum(bool(pair.errors) for pair in pairs),
        # The outcome changed with the order alone: the judge looks at the place, or cannot tell the two apart.
        "order_decides": rate_measure([pair.first != pair.second for pair in read]).to_dict(),
    }


def _warnings(facts: Mapping[str, Any], *, max_tokens: int) -> list[str]:
    said = []
    if facts["same_family"]:
        said.append(
            f"The judge {facts['asked_as']} and the candidate are of one family ({facts['family']}): models judge "
            "their own kind too well. Set llm.judge to a model of another family."
        )
    elif facts["same_family"] is None:
        unknown = "judge" if facts["family"] is None else "candidate"
        said.append(
            f"The name of the {unknown}'s model does not say of which family it is: it may be that of the other."
        )
    replies = facts["replies"]
    if replies["unparsable"] > _MANY * replies["asked"]:
        cut = (
            f", {replies['cut']} of them cut at llm.judge.max_tokens ({max_tokens}): raise it" if replies["cut"] else ""
        )
        said.append(f"{replies['unparsable']} of {replies['asked']} replies held no verdict{cut}.")
    if ", " in facts["model"]:
        said.append(f"More than one model replied as {facts['asked_as']}: {facts['model']}.")
    return said
