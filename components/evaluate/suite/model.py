"""Rules and tasks as they stand in their files, and the questions that they make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from components.evaluate.said import Contestant, Item

__all__ = ["Checklist", "CodeKind", "CodeRule", "JudgeQuestion", "Rule", "Task", "TaskRule", "TaskSuite", "Wording"]

CodeKind = Literal[
    "check", "never", "all_of", "any_of", "matches", "never_matches", "language", "max_words", "min_words", "lines",
    "json", "starts_with",
]  # fmt: skip
"""What each looks for is said in `components.evaluate.suite.code_rules`."""


@dataclass(frozen=True)
class CodeRule:
    """What code decides.

    `value` by kind, once it is read from a file:

    - check: the name of a persona check
    - never, all_of, any_of, starts_with: a tuple of texts
    - matches, never_matches: a regular expression of RE2
    - language: it, en or prompt (that of the prompt)
    - max_words, min_words: a whole number
    - lines: (least, most)
    - json: True, or a tuple of the keys that an object must have
    """

    kind: CodeKind
    value: Any


@dataclass(frozen=True)
class Rule:
    """A rule of the checklist. Exactly one of `ask` (a yes/no question, yes is good) and `code`.

    `rule`: in words, as the COSTITUZIONE has it. `kinds`: of the prompts that it is asked of; empty: all.
    """

    id: str
    rule: str
    ask: str | None = None
    code: CodeRule | None = None
    kinds: tuple[str, ...] = ()


@dataclass(frozen=True)
class Checklist:
    """`digest`: SHA-256 (hex) of the file's bytes."""

    rules: tuple[Rule, ...]
    digest: str


@dataclass(frozen=True)
class TaskRule:
    """What earns `points` (a whole number above 0) in a task. Exactly one of `ask` and `code`."""

    points: int
    what: str
    ask: str | None = None
    code: CodeRule | None = None


@dataclass(frozen=True)
class Task:
    """A task: what is asked (`item`, with its tier) and what earns points; the points add up to 5."""

    item: Item
    rules: tuple[TaskRule, ...]


@dataclass(frozen=True)
class TaskSuite:
    """Tasks and what passing is.

    Attributes:
        tasks: in the order of the file.
        passing: tier -> points that pass a task of it.
        needed: tier -> tasks of it that must pass for GO.
        go: tasks in all that must pass for GO.
        conditional: tasks in all that must pass for CONDITIONAL: simple tasks only.
        digest: SHA-256 (hex) of the file's bytes.
    """

    tasks: tuple[Task, ...]
    passing: Mapping[str, int] = field(default_factory=dict)
    needed: Mapping[str, int] = field(default_factory=dict)
    go: int = 15
    conditional: int = 10
    digest: str = ""


class Wording(NamedTuple):
    """A question as a judge reads it, whatever the prompt and the answer. `lang`: of the prompt."""

    question: str
    ask: str
    standard: str
    lang: str


@dataclass(frozen=True)
class JudgeQuestion:
    """One yes/no question on one answer. `question`: its name (`sounds`, `rule:<id>`, `task:<number>`).

    `ask`: in words; yes is good. `standard`: the rule or what is asked for, in words. `text`: the answer.
    """

    contestant: Contestant
    item: Item
    question: str
    ask: str
    standard: str
    text: str

    @property
    def wording(self) -> Wording:
        """What is asked, whatever the answer."""
        return Wording(self.question, self.ask, self.standard, self.item.lang)
