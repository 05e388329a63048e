"""The weighted decision matrix: is an own model worth it? Weights and scores are opinions; this only adds them up."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from components.roadmap.params import DecisionParams

__all__ = ["Decision", "Scenario", "weigh"]

Scenario = Literal["full go", "go", "conditional", "RAG only", "no-go"]
_FULL_GO, _CONDITIONAL, _RAG_ONLY = 7.5, 6.5, 5.5  # the owner's scenarios of January 2026


@dataclass(frozen=True)
class Decision:
    """The weighted sum and what follows from it.

    Attributes:
        total: 0 to 10.
        go: from which on it is GO.
        scenario: in the owner's words: full go from 7.5, go from `go`, conditional from 6.5, RAG only from 5.5.
        rows: criterion, weight (percent), score (0 to 10), what it adds to the total.
    """

    total: float
    go: float
    scenario: Scenario
    rows: tuple[tuple[str, float, float, float], ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def weigh(params: DecisionParams) -> Decision:
    """Sum of weight times score, in percent of the weights; rounded to 9 digits, so that 7.0 is not missed by a bit."""
    rows = tuple(
        (name, weight, params.scores[name], round(weight * params.scores[name] / 100, 9))
        for name, weight in params.weights.items()
    )
    total = round(math.fsum(weight * score for _, weight, score, _ in rows) / 100, 9)
    if total >= params.go:
        scenario: Scenario = "full go" if total >= _FULL_GO else "go"
    elif total >= _CONDITIONAL:
        scenario = "conditional"
    else:
        scenario = "RAG only" if total >= _RAG_ONLY else "no-go"
    return Decision(total, params.go, scenario, rows)
