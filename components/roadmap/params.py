"""Section `roadmap` of a recipe: what it takes to go on to the next phase."""

from __future__ import annotations

import math

from pydantic import Field, model_validator

from components.params import Params, RecipePath

__all__ = ["DecisionParams", "RoadmapParams", "TriggerParams"]


class TriggerParams(Params):
    """What it takes to fine-tune: all three."""

    prompt_tokens: int = Field(
        default=2000, gt=0, description="over; the whole persona as a system prompt, uncut (tokens of its tokenizer)"
    )
    validated: int = Field(
        default=3, ge=1,
        description="at least; evaluations in a row that passed the gate with an unchanged persona",
    )  # fmt: skip
    conversations_a_month: int | None = Field(
        default=None, gt=0, description="at least; null: the break-even of the cost table"
    )


class DecisionParams(Params):
    """The weighted decision matrix: weights in percent, scores from 0 to 10; the owner's of January 2026."""

    weights: dict[str, float] = Field(
        default={
            "costs": 20, "performance": 25, "independence": 20, "effort": 15, "risk": 10, "future-proofing": 10,
        },
        description="criterion -> percent; together 100",
    )  # fmt: skip
    scores: dict[str, float] = Field(
        default={"costs": 6, "performance": 7, "independence": 9, "effort": 7, "risk": 8, "future-proofing": 9},
        description="criterion -> 0 to 10",
    )
    go: float = Field(default=7.0, ge=0, le=10, description="at least; weighted sum for GO")

    @model_validator(mode="after")
    def _weighs(self) -> DecisionParams:
        without = sorted(self.weights.keys() - self.scores.keys()), sorted(self.scores.keys() - self.weights.keys())
        if any(without):
            said = [
                f"without a {what}: {', '.join(names)}"
                for what, names in zip(("score", "weight"), without, strict=True)
                if names
            ]
            raise ValueError(f"every criterion has a weight and a score; {'; '.join(said)}")
        if wrong := [name for name, score in self.scores.items() if not 0 <= score <= 10]:
            raise ValueError(f"scores go from 0 to 10; not so: {', '.join(wrong)}")
        if wrong := [name for name, weight in self.weights.items() if not weight >= 0]:
            raise ValueError(f"a weight is 0 or more; not so: {', '.join(wrong)}")
        total = math.fsum(self.weights.values())
        if not math.isclose(total, 100, abs_tol=1e-6):
            raise ValueError(f"weights are percent and add up to 100; these add up to {total:g}")
        return self


class RoadmapParams(Params):
    """Triggers, costs and decision."""

    force: str | None = Field(
        default=None, min_length=10,
        description="reason to go on to phase optimize without its triggers (10 characters or more); it is recorded",
    )  # fmt: skip
    triggers: TriggerParams = TriggerParams()
    costs: RecipePath | None = Field(
        default=None,
        description="YAML of costs; null: the owner's figures of January 2026, which come with the program",
    )
    decision: DecisionParams = DecisionParams()
