"""Section `scale` of a recipe: which release is to go into service, how it is compared, and what it may take."""

from __future__ import annotations

from pydantic import Field

from components.params import Params

__all__ = ["ScaleParams"]


class ScaleParams(Params):
    """The candidate and its limits; defaults are the owner's measures of success."""

    candidate: str | None = Field(
        default=None, pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$",
        description="name of the recipe whose newest registered release it is, such as optimize-smoke; none: the "
        "newest that any recipe has registered in this workspace",
    )  # fmt: skip
    questions: int = Field(
        default=80, ge=1,
        description="asked of both: what people asked first (serve.keep_conversations), evaluate.golden, then prompts "
        "and tasks of evaluate. It takes 73 to show 5% errors or a 95th percentile",
    )  # fmt: skip
    max_p95_seconds: float = Field(
        default=3.0, gt=0, description="at most; question to answer, 95th percentile (seconds)"
    )
    max_errors: float = Field(default=0.05, gt=0, le=1, description="at most; share of questions without an answer")
    max_usd_per_query: float = Field(
        default=0.10, ge=0, description="at most; mean of the answered questions (US dollars)"
    )
    judge: bool = Field(
        default=False,
        description="have the judge (llm.judge) say of each question whose answer is better, in both orders; it counts "
        "where people have checked this judge (evaluate.judge.labels)",
    )
    force: str | None = Field(
        default=None, min_length=10,
        description="reason to go on although the candidate's own gate is not GO (10 characters or more); it is "
        "recorded",
    )  # fmt: skip
    promote: bool = Field(default=True, description="false: compare and decide, and change nothing")
    probation_questions: int = Field(
        default=20,
        ge=1,
        description="asked of the endpoint once it answers as the new release; then p95 and errors count",
    )
    wait_seconds: float = Field(
        default=300.0, gt=0, description="for the endpoint to take over another release, which it has to load"
    )
