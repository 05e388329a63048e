"""The same questions to the candidate and to the release in service, one after the other, as people would wait for it.

Each is asked alone, so that neither takes the processor from the other, and who is asked first changes with every
question. **Not covered**: many questions at once, which is what the probation at the endpoint and its load are for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from components.errors import CervellaError, InputError
from components.evaluate.asking.paid import PaidLog
from components.llm.budget import BudgetError
from components.scale.answers import SIDES, Answered, Side
from components.scale.questions import Question
from components.serve.router.confidence import confidence_of
from components.store import logger

if TYPE_CHECKING:
    from components.answer.partner import Asked, Partner
    from components.scale.preferring import Prefer

__all__ = ["ask_sides"]


def ask_sides(
    questions: Sequence[Question], sides: Mapping[Side, Partner], *, log: PaidLog, progress: Callable[[int, int], None],
    max_chars: int, prefer: Prefer | None = None,
) -> Iterator[dict[str, Any]]:  # fmt: skip
    """A row (`Answered.to_dict`) for each question and side.

    Args:
        questions: to ask.
        sides: who is asked.
        log: rows that are in it are not asked again; a row with an error is in no log.
        progress: called with (asked, all).
        max_chars: longest question that is taken (characters).
        prefer: whose answer is better, of two that were just given; None: nobody is asked.

    Raises:
        BudgetError: the money is spent. What was answered until then is in `log`.
        InputError: a key or an option is missing.
    """
    total = len(questions) * len(sides)
    order, done = list(sides), 0
    cold = {side for side, partner in sides.items() if partner.chat.is_local}
    for number, question in enumerate(questions):
        rows: dict[Side, dict[str, Any]] = {}
        given: dict[Side, Asked] = {}
        for side in order if number % 2 == 0 else reversed(order):
            key = f"{side}/{question.id}"
            row = log.get(key)
            if row is None:
                if side in cold:
                    _ask(question, side, sides[side], max_chars)  # loads the model, which an endpoint has loaded
                    cold.remove(side)
                found, asked = _ask(question, side, sides[side], max_chars)
                row = found.to_dict()
                if asked is not None:
                    given[side] = asked
                    log.put(key, row)
            rows[side] = row
            done += 1
            progress(done, total)
        if prefer is not None:
            rows["candidate"]["preferred"] = _preferred(question, given, prefer, log)
        yield from rows.values()


def _preferred(question: Question, given: Mapping[Side, Asked], prefer: Prefer, log: PaidLog) -> str | None:
    """What the judge says of both answers, or has said before the run was killed."""
    key = f"preferred/{question.id}"
    kept = log.get(key)
    if kept is None and len(given) == len(SIDES):
        kept = {"preferred": prefer(question, given)}
        if kept["preferred"] is not None:
            log.put(key, kept)
    return kept["preferred"] if kept else None


def _ask(question: Question, side: Side, partner: Partner, max_chars: int) -> tuple[Answered, Asked | None]:
    """The row, and the answer; None: there is none."""
    begun = time.perf_counter()
    first: float | None = None
    asked: Asked | None = None
    try:
        for piece in partner.stream(question.text, max_chars=max_chars):
            if not isinstance(piece, str):
                asked = piece
            elif piece and first is None:
                first = time.perf_counter() - begun
    except (BudgetError, InputError):
        raise  # of the recipe, not of the release: it says what to mend, and the run goes on from there
    except CervellaError as error:
        logger.warning("the %s has no answer to %s: %s", side, question.id, error)
        return Answered(question.id, side, "asked", error=type(error).__name__), None
    assert asked is not None  # noqa: S101 - a partner's stream ends with it
    answer, reply = asked.answer, asked.answer.reply
    row = Answered(
        question=question.id, side=side, origin="asked", seconds=asked.seconds, first_token_seconds=first,
        cost_usd=reply.original_cost_usd if reply else 0.0, found=answer.found, cited=len(answer.places(cited=True)),
        confidence=confidence_of(answer), model=reply.model if reply else partner.chat.model,
    )  # fmt: skip
    return row, asked
