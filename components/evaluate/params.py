"""Section `evaluate` of a recipe: what is scored, on which questions."""

from __future__ import annotations

from pydantic import Field

from components.params import Params, RecipePath

__all__ = ["EvaluateParams"]


class EvaluateParams(Params):
    """Golden questions and how their scores are computed."""

    golden: RecipePath | None = Field(
        default=None, description="JSONL: id, question, lang, kind, gold (paths), evidence, answer"
    )
    answers: int = Field(
        default=8, ge=0, description="golden questions that the chat model answers; the rest score retrieval only"
    )
    bootstrap_samples: int = Field(default=1000, ge=100, description="resamples for the 95% intervals")
    seed: int = Field(default=13, description="of the bootstrap and of the choice of questions")
