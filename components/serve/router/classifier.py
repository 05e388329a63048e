"""A model that says how hard a question is where the rules leave it on a border: optional, with little time.

It is given the question alone, its secrets masked, and two tiers to choose from. Where it fails, is late, says neither
or both, or the money of the question or the month is spent, the rules decide. State after a hard crash: none.

**Not covered**: whether it is right; a question that itself asks for a tier may get it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from components.errors import CervellaError
from components.llm.budget import in_own_context
from components.serve.desk import GIVEN_UP, Tried, Wanted
from components.serve.params import Tier
from components.serve.router.breaker import Breaker
from components.serve.router.classify import Classified, folded
from components.serve.router.faults import LateError, is_its_fault, why_of
from components.serve.router.helper import Helper
from components.sncp.redact import mask_secrets
from components.store import logger

if TYPE_CHECKING:
    from components.llm import Budget, Chat, Message, Reply

__all__ = ["BORDERS", "Classifier"]

BORDERS: Mapping[int, tuple[Tier, Tier]] = {1: ("simple", "medium"), 2: ("medium", "complex")}
"""Points of the rules -> the tiers that they lie between."""
_BEAT_SECONDS = 0.25
_TASK = """You say how hard a question is, for an assistant that answers from a person's notes. It is one of
simple: a fact that stands in a note;
medium: a reason, an explanation, a short list;
complex: a comparison, an analysis, a plan, a strategy, code.
Do not answer the question. Write one word and nothing else: {0} or {1}."""


class Classifier:
    """The model of `serve.router.classifier`. Threads may ask at the same time.

    Args:
        model: with its money.
        breaker: leaves it alone when it keeps failing.
        seconds: that it has, at most.
        clock: seconds that never go back; deadlines are of it too.
    """

    def __init__(
        self, model: Helper, *, breaker: Breaker, seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._model, self._breaker, self._seconds, self._clock = model, breaker, seconds, clock

    def ask(self, wanted: Wanted, found: Classified) -> Generator[str, None, tuple[Classified, tuple[Tried, ...]]]:
        """How hard the question is, by the rules and by the model where that has a word; and that it was asked.

        Empty pieces are given while it is at work, so that it can be closed.

        Args:
            wanted: the question; what the model cost is added to its bill.
            found: by the rules.
        """
        if found.points not in BORDERS or self._model.money.why_not():
            return found, ()
        if (turn := self._breaker.may_ask(within=self._seconds)) is None:
            return found, ()
        begun, why, settle = self._clock(), GIVEN_UP, self._breaker.gave_up
        until = min(begun + self._seconds, wanted.deadline or float("inf"))
        money: Budget | None = None
        try:
            chat, budget = self._model.chat()
            money = budget.for_question(before_usd=wanted.bill.charged_usd)
            reply: Reply | None = None
            with closing(in_own_context(_stream(chat, money, wanted.question, BORDERS[found.points]))) as pieces:
                for item in pieces:
                    if isinstance(item, str):
                        yield ""
                        if self._clock() > until:
                            raise LateError(self._clock() - begun)
                    else:
                        reply = item
            assert reply is not None  # noqa: S101 - a stream ends with it
            settle = self._breaker.gave_up if reply.cached else self._breaker.worked
            said = [tier for tier in BORDERS[found.points] if re.search(rf"\b{tier}\b", folded(reply.text))]
            why = "it said neither or both of the words"
            if len(said) == 1:
                why = f"it took the question for {said[0]}"
                because = f"a model ({chat.model}) took it for {said[0]}; by the rules: {found.because}"
                found = replace(found, tier=said[0], because=because)
        except Exception as error:
            why = why_of(error)
            settle = self._breaker.failed if is_its_fault(error) else self._breaker.gave_up
            logger.warning(
                "%s: the classifier: %s: %s", wanted.id, type(error).__name__, error,
                exc_info=None if isinstance(error, CervellaError) else error,
            )  # fmt: skip
        finally:
            settle(turn)
            cost, charged = money.question_usd if money else (0.0, 0.0)
            seconds = round(self._clock() - begun, 3)
            tried = Tried("classifier", self._model.model, why, seconds, cost, charged)
            wanted.bill.asked.append(tried)
        return found, (tried,)


def _stream(chat: Chat, money: Budget, question: str, border: tuple[Tier, Tier]) -> Generator[str | Reply]:
    messages: list[Message] = [
        {"role": "system", "content": _TASK.format(*border)},
        {"role": "user", "content": mask_secrets(question)},
    ]
    with money.query(), closing(chat.stream(messages, local_notes=(), beat_seconds=_BEAT_SECONDS)) as pieces:
        yield from pieces
