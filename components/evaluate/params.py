"""Section `evaluate` of a recipe: what is scored, on which questions, and by which judge."""

from __future__ import annotations

from pydantic import Field

from components.params import Params, RecipePath

__all__ = ["EvaluateParams", "JudgeParams", "PersonalityParams"]


class PersonalityParams(Params):
    """Prompts that show whether it sounds like her, and the rules of the COSTITUZIONE that answers are held against."""

    prompts: RecipePath = Field(description="JSONL: id, prompt, lang, kind, and project if it has one")
    checklist: RecipePath = Field(
        description="YAML: one yes/no question for each rule of the COSTITUZIONE; what code can decide, code decides"
    )
    ask: int = Field(default=0, ge=0, description="so many of the prompts, every kind covered; 0: all")
    control: bool = Field(
        default=True, description="also ask the bare base model: no persona, no notes, no adapter. It should do worse"
    )
    champion: bool = Field(
        default=True, description="also ask the release that is in service, and compare answers in pairs, both orders"
    )


class JudgeParams(Params):
    """`llm.judge` as an instrument: how often it is asked, and what it takes to believe it."""

    repeats: int = Field(
        default=1, ge=1, le=15,
        description="verdicts on each question, the majority counts; more than one needs llm.judge.temperature above 0",
    )  # fmt: skip
    labels: RecipePath | None = Field(
        default=None, description="JSONL of verdicts of people, written by `cervella label`; none: nobody has checked"
    )
    min_kappa: float = Field(
        default=0.6, ge=0, le=1,
        description="at least; Cohen's kappa of the judge with people. Below, its word does not count",
    )  # fmt: skip
    min_labels: int = Field(
        default=30, ge=10, description="verdicts of people that it takes, a third of them yes and a third no"
    )


class EvaluateParams(Params):
    """Golden questions, prompts of personality, tasks, and how their scores are computed."""

    golden: RecipePath | None = Field(
        default=None, description="JSONL: id, question, lang, kind, gold (paths), evidence, answer"
    )
    answers: int = Field(
        default=8, ge=0, description="golden questions that the chat model answers; the rest score retrieval only"
    )
    personality: PersonalityParams | None = Field(
        default=None, description="does it sound like her? null: nobody asks, and the gate cannot be GO"
    )
    tasks: RecipePath | None = Field(
        default=None, description="YAML of a task suite: what the partner must be able to do; null: none"
    )
    judge: JudgeParams = Field(default=JudgeParams(), description="the judge of answers as an instrument")
    at_once: int = Field(
        default=1, ge=1, le=64, description="questions under way at a time; a model of this process takes one"
    )
    bootstrap_samples: int = Field(default=1000, ge=100, description="resamples for the 95% intervals")
    seed: int = Field(default=13, description="of the bootstrap and of the choice of questions")
