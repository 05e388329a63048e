"""One line of the evaluation per golden question: what was answered, what it took, what the checks said."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from components.errors import TerminalError
from components.evaluate.checks import Check, persona_checks
from components.evaluate.golden import Question

__all__ = ["AnswerRecord"]


@dataclass(frozen=True)
class AnswerRecord:
    """An answer to a golden question, or the error in its place.

    `seconds`: question to answer, search included; None: not measured. `cost_usd`: None is unknown, local models cost
    0. `cached`: the reply came from the response cache; seconds and cost are those of the original reply.
    `model`: the one that really answered; empty when none was asked.
    `sources`: where the notes that the model was given stand, those that the text cites first; `cited`: these alone.
    """

    id: str
    lang: str
    answerable: bool
    question: str = ""
    text: str = ""
    found: bool = False
    sources: tuple[str, ...] = ()
    cited: tuple[str, ...] = ()
    seconds: float | None = None
    cost_usd: float | None = None
    model: str = ""
    is_local: bool = False
    cached: bool = False
    checks: tuple[Check, ...] = field(default=())
    error: str | None = None

    def __post_init__(self) -> None:
        for name in ("seconds", "cost_usd"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise TerminalError(f"Answer {self.id!r}: {name} is {value}; expected a number >= 0, or none: unknown.")

    @classmethod
    def answered(
        cls,
        question: Question,
        *,
        text: str,
        found: bool,
        sources: Sequence[str],
        cited: Sequence[str],
        seconds: float | None,
        cost_usd: float | None,
        model: str,
        is_local: bool = False,
        cached: bool = False,
        max_words: int = 350,
    ) -> AnswerRecord:
        """A record with its persona checks."""
        return cls(
            id=question.id,
            lang=question.lang,
            answerable=question.answerable,
            question=question.question,
            text=text,
            found=found,
            sources=tuple(sources),
            cited=tuple(cited),
            seconds=seconds,
            cost_usd=cost_usd,
            model=model,
            is_local=is_local,
            cached=cached,
            checks=persona_checks(
                text,
                question_lang=question.lang,
                answerable=question.answerable,
                found=found,
                cited=cited,
                max_words=max_words,
                never=question.never,
            ),
        )

    @classmethod
    def failed(cls, question: Question, error: str) -> AnswerRecord:
        """A record for a question whose answer ended in an error: it counts as failed, never as a low score."""
        return cls(
            id=question.id,
            lang=question.lang,
            answerable=question.answerable,
            question=question.question,
            error=error or "unknown error",
        )

    @property
    def passed(self) -> bool:
        """Whether every check that applies passed; False for an error."""
        return self.error is None and all(check.passed is not False for check in self.checks)

    def to_dict(self) -> dict[str, Any]:
        """As JSON; `from_dict` reads it back."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        texts = {"sources": list(self.sources), "cited": list(self.cited)}
        return fields | texts | {"checks": [check.to_dict() for check in self.checks]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> AnswerRecord:
        """The record that `to_dict` wrote."""
        checks = tuple(Check(**check) for check in data.get("checks", ()))
        texts = {name: tuple(data.get(name, ())) for name in ("sources", "cited")}
        return cls(**{**data, **texts, "checks": checks})
