"""Verdicts on what was said: of the judge, of code, and of pairs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from components.evaluate.said import Contestant

__all__ = ["GROUPS", "SOUNDS", "Group", "Judged", "Outcome", "Pair", "Verdict", "group_of", "rule_id", "task_rule_id"]

Verdict = Literal["yes", "no"]
"""yes: it is as it should be, whatever the question."""
Outcome = Literal["candidate", "champion", "tie"]
SOUNDS = "sounds"
"""The question "Suona come Cervella?"."""
Group = Literal["sounds", "constitution", "tasks"]
"""Questions that a judge is checked on together: "Suona come Cervella?", rules of the checklist, rules of tasks."""
GROUPS: tuple[Group, ...] = get_args(Group)


def rule_id(rule: str) -> str:
    """Name of the question that a rule of the checklist asks."""
    return f"rule:{rule}"


def task_rule_id(number: int) -> str:
    """Name of the question that a task's rule asks; `number`: its place in the task, from 0."""
    return f"task:{number}"


def group_of(question: str) -> Group:
    """The group of a question by its name (`sounds`, `rule:<id>`, `task:<number>`). Raises ValueError for no name."""
    kind, _, rest = question.partition(":")
    if question == SOUNDS:
        return "sounds"
    if rest and kind in ("rule", "task"):
        return "constitution" if kind == "rule" else "tasks"
    raise ValueError(f"{question!r} is the name of no question")


@dataclass(frozen=True)
class Judged:
    """One question asked of one answer, of code once, of the judge `evaluate.judge.repeats` times.

    `item`: its key (`part/id`). `question`: `sounds`, `rule:<id>` or `task:<number>`. `verdicts`: one for each repeat;
    None: unparsable, or failed where `errors` says so. `verdict`: of the majority; None: undecided (a tie, or nothing
    that could be read). `rationale`: of a repeat that said what the majority said.
    """

    contestant: Contestant
    item: str
    question: str
    by: Literal["code", "judge"]
    verdicts: tuple[Verdict | None, ...]
    verdict: Verdict | None
    rationale: str = ""
    errors: tuple[str, ...] = ()
    model: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As JSON; `from_dict` reads it back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Judged:
        """What `to_dict` wrote."""
        return cls(**{**data, "verdicts": tuple(data["verdicts"]), "errors": tuple(data["errors"])})


@dataclass(frozen=True)
class Pair:
    """Candidate and champion on one item, judged in both orders. `outcome` None: not both orders could be read.

    `first`: the winner when the candidate stands first, `second`: when it stands second; differing ones are a tie.
    """

    item: str
    first: Outcome | None
    second: Outcome | None
    outcome: Outcome | None
    rationale: str = ""
    errors: tuple[str, ...] = ()
    words: tuple[int, int] = (0, 0)
    """Of the candidate's answer and of the champion's: judges like long ones."""

    def to_dict(self) -> dict[str, Any]:
        """As JSON; `from_dict` reads it back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Pair:
        """What `to_dict` wrote."""
        return cls(**{**data, "errors": tuple(data["errors"]), "words": tuple(data["words"])})
