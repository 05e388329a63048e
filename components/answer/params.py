"""Section `answer` of a recipe: how a question is answered from the notes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from components.params import Params

__all__ = ["AnswerParams"]


class AnswerParams(Params):
    """From retrieved chunks to an answer with sources."""

    max_context_tokens: int = Field(
        default=1500, gt=0, description="of retrieved text in the prompt (tokens of the chat model)"
    )
    language: Literal["auto", "it", "en"] = Field(default="auto", description="auto: the language of the question")
    min_score: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="a best hit below this score means: it is not in the notes (cosine of the embedder)",
    )
