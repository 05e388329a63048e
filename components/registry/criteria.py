"""What the gate of each phase decides: its closed list of criteria, and what each of them rests on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from components.errors import TerminalError

__all__ = ["CRITERIA", "Part", "Rule", "criteria_of"]

Part = Literal["answers", "personality", "task"]
"""Whose answers a criterion rests on: those to golden questions, to prompts of personality, to tasks."""


@dataclass(frozen=True)
class Rule:
    """One criterion of a phase. `name` is both the metric of the scorecard and the threshold of the recipe.

    kind: `factor`: the exponential of a mean, whose interval is as wide on both sides by a factor; `whole`: computed on
    all there is, so that it may come without an interval; `worst`: the worst of the scorecard's `rules`; `tasks`: a
    whole number, between what passed for certain and what may have passed. `rests_on`: whose answers must all be there.
    `judged`: part of the judge's verdicts that must not have failed. `below`: the threshold itself is not good enough.
    """

    name: str
    at_least: bool
    kind: Literal["rate", "mean", "percentile", "cost", "factor", "whole", "worst", "tasks"]
    rests_on: tuple[Part, ...] = ()
    of: str = "questions"
    below: bool = False
    judged: str = ""


_MVP = (
    Rule("recall_at_5", True, "rate"),
    Rule("mrr", True, "mean"),
    Rule("persona_checks", True, "rate", ("answers",)),
    Rule("sounds_like_her", True, "rate", ("personality",), "answers", judged="sounds"),
    Rule("constitution", True, "worst", ("personality",), "answers", judged="constitution"),
    Rule("latency_p95_seconds", False, "percentile", ("answers",)),
    Rule("cost_per_query_usd", False, "cost", ("answers",)),
)
CRITERIA: Mapping[str, tuple[Rule, ...]] = {
    "mvp": _MVP,
    "optimize": (
        *_MVP,
        Rule("train_loss", False, "whole", of="training examples"),
        Rule("held_out_perplexity", False, "factor", of="held-out examples"),
        Rule("perplexity_against_base", False, "factor", of="held-out examples", below=True),
        Rule("loss_gap", False, "mean", of="held-out examples"),
        Rule("copied_answers", False, "rate", ("answers", "personality", "task"), "answers"),
        Rule("tasks_passed", True, "tasks", ("task",), "tasks", judged="tasks"),
    ),
}
"""Phase -> its closed list of criteria."""


def criteria_of(phase: str) -> tuple[Rule, ...]:
    """What is decided in a phase. Raises TerminalError for a phase without criteria."""
    if phase not in CRITERIA:
        raise TerminalError(f"No gate for phase {phase!r}; expected one of: {', '.join(CRITERIA)}.")
    return CRITERIA[phase]
