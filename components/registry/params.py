"""Sections `gate` and `registry` of a recipe: what is good enough, and where it is recorded."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from components.params import Params

__all__ = ["CHAMPION", "GateParams", "GroupBy", "GroupMetric", "RegistryParams"]

GroupBy = Literal["kind", "lang", "project"]
GroupMetric = Literal["recall_at_5", "mrr", "persona_checks", "sounds_like_her"]
"""Scores that groups have."""
CHAMPION = "champion"
"""Alias in MLflow of the release that is in service."""


class GateParams(Params):
    """Thresholds; defaults are the owner's success metrics. Those of the adapter count in phase optimize only."""

    recall_at_5: float = Field(
        default=0.80, ge=0, le=1, description="at least; share of questions with a gold note in the first 5"
    )
    mrr: float = Field(default=0.60, ge=0, le=1, description="at least; mean reciprocal rank of the first gold note")
    persona_checks: float = Field(
        default=0.90, ge=0, le=1, description="at least; share of answers that pass every check by code"
    )
    sounds_like_her: float = Field(
        default=0.90, ge=0, le=1,
        description="at least; share of answers to prompts of personality that sound like her, errors of the judge "
        "corrected (90% needs 96 yes of 100)",
    )  # fmt: skip
    constitution: float = Field(
        default=0.90, ge=0, le=1,
        description="at least; of each rule of the checklist the share of answers that keep it: the worst rule counts",
    )  # fmt: skip
    latency_p95_seconds: float = Field(default=3.0, gt=0, description="at most; question to answer (seconds)")
    cost_per_query_usd: float = Field(
        default=0.10, ge=0, description="at most; mean of the answered questions (US dollars)"
    )
    train_loss: float = Field(
        default=0.5, gt=0, description="at most; mean loss of the last epoch on the training examples (nats a token)"
    )
    held_out_perplexity: float = Field(
        default=10.0,
        gt=1,
        description="at most; of the adapter on the held-out examples, on the tokens that carry loss",
    )
    perplexity_against_base: float = Field(
        default=1.0, gt=0, description="below; perplexity of the adapter over that of its base on the same examples"
    )
    loss_gap: float = Field(
        default=1.8, description="at most; held-out loss less train loss (nats a token); 1.8 is ln 10 less 0.5"
    )
    copied_answers: float = Field(
        default=0.05, ge=0, le=1, description="at most; share of answers that repeat a training answer word by word"
    )
    tasks_passed: int = Field(
        default=15, ge=1, description="at least; tasks of evaluate.tasks passed, as its file says what passing is"
    )
    groups: dict[GroupBy, dict[str, dict[GroupMetric, float]]] = Field(
        default={},
        description="own thresholds of groups, such as {lang: {en: {recall_at_5: 0.7}}}; a group that misses fails all",
    )


class RegistryParams(Params):
    """Where runs and releases are recorded."""

    tracking_uri: str | None = Field(default=None, description="MLflow; none: sqlite under WORKSPACE/mlflow")
    experiment: str = Field(default="cervella", min_length=1, description="MLflow experiment of the runs")
    model_name: str = Field(
        default="cervella", min_length=1, description="registered model whose versions are releases"
    )
    alias: str = Field(
        default="candidate", pattern=r"^[a-z][a-z0-9-]*$",
        description="alias set on the new release; `champion` is set by promote alone",
    )  # fmt: skip
    ui_url: str = Field(
        default="http://127.0.0.1:5000", description="where MLflow's UI is shown, for links; nothing is sent there"
    )

    @field_validator("alias")
    @classmethod
    def _not_the_champion(cls, alias: str) -> str:
        if alias == CHAMPION:
            raise ValueError(f"{alias!r} is set by `cervella promote` alone; name the new release otherwise")
        return alias
