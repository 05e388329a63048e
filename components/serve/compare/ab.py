"""A share of the conversations is answered by the candidate; a conversation stays with who began it.

Where the candidate fails before its first piece, or has not begun in its share of the time (is not at its end, where an
answer is wanted whole), the release in service answers: a comparison fails no question. What the candidate cost by then
is told with that answer. When enough was asked, or the candidate may be asked no more, all conversations are answered
by the release in service again, and nothing more is recorded.

Both sides are recorded alike: answers of the own model, and its failures where it was to be asked first. A time that
was up is a failure, a client that went away is not; neither is money that was not there.

State after a hard crash: none; the share is told from the conversation's id, and what was recorded counts.

**Not covered**: people who come back under another conversation may meet both; answers that the helper gave first count
to neither; what the release in service answers in place of the candidate is a row of its side; what both cost where
both fail.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import replace

from components.errors import TerminalError
from components.llm.budget import BudgetError
from components.serve.compare.records import Compared, Comparisons, Side
from components.serve.compare.share import closable, in_share
from components.serve.desk import OF_CANDIDATE, Desk, Served, Tried, Wanted, check_wanted
from components.serve.params import CompareParams, Tier
from components.serve.router.faults import LateError, why_of
from components.store import logger

__all__ = ["AbDesk", "HandedOnError"]


class HandedOnError(TerminalError):
    """The own model was to answer, and the helper did. Recorded, never raised."""


class AbDesk:
    """Answers as one of two desks does. Threads may ask at the same time.

    Args:
        a: what is in service.
        b: the candidate, under the same router where there is one.
        params: of the recipe.
        records: where answers go, after they were given.
        candidate: digest of the candidate's release.
        model: of the candidate.
        is_local: whether that model is on this machine, and costs nothing.
        max_chars: longest question (characters).
        keep_texts: whether the record has the texts.
        why_not: why the candidate is not to be asked now, in words; None: it may be.
        classified: of a question, how hard it is and whether the own model is asked first; None: there is no router.
        patience: share of the time that is left, in which the candidate has to begin, or to be at its end where an
            answer is wanted whole; None: its desk sees to that.
    """

    def __init__(
        self, a: Desk, b: Desk, *, params: CompareParams, records: Comparisons, candidate: str, model: str,
        is_local: bool, max_chars: int, keep_texts: bool = False, why_not: Callable[[], str | None] = lambda: None,
        classified: Callable[[str], tuple[Tier, bool]] | None = None, patience: float | None = 0.5,
    ) -> None:  # fmt: skip
        self._desks: dict[Side, Desk] = {"A": a, "B": b}
        self._params, self._records, self._max_chars = params, records, max_chars
        self._candidate, self._model, self._is_local = candidate, model, is_local
        self._keep_texts, self._why_not = keep_texts, why_not
        self._classified, self._patience = classified, patience
        self._lock = threading.Lock()
        self._compared = records.count(candidate, "ab")

    def side(self, wanted: Wanted) -> Side:
        """Who answers this conversation."""
        asked = in_share(wanted, candidate=self._candidate, share=self._params.share) and self._goes_on()
        return "B" if asked else "A"

    def told(self) -> dict[str, int]:
        """For people and metrics: questions the candidate was asked, and how many are enough."""
        with self._lock:
            return {"compared": self._compared, "enough": self._params.questions}

    def stream(self, wanted: Wanted) -> Generator[str | Served]:
        """See `Desk`; `Served.side` says who answered."""
        check_wanted(wanted, max_chars=self._max_chars)  # what is wrong with it is no fault of either
        tried: tuple[Tried, ...] = ()
        if self.side(wanted) == "B":
            begun, given, held = time.monotonic(), False, list[str]()
            try:
                with closing(self._one("B", wanted)) as pieces:
                    for piece in pieces:
                        if wanted.whole and piece and isinstance(piece, str):
                            held.append(piece)
                            yield ""  # so that it can be closed while it is held back
                            continue
                        if isinstance(piece, Served):
                            yield from held
                        given = given or bool(piece)
                        yield piece
                return
            except Exception as error:
                if given:
                    raise
                logger.warning("%s: the candidate did not answer, so what is in service does: %s", wanted.id, error)
                tried = self._tried(error, seconds=time.monotonic() - begun)
        with closing(self._one("A", wanted)) as pieces:
            for piece in pieces:
                yield replace(piece, tried=(*tried, *piece.tried)) if isinstance(piece, Served) else piece

    def ask(self, wanted: Wanted) -> Served:
        """See `Desk`."""
        *_, served = self.stream(replace(wanted, whole=True))
        assert isinstance(served, Served)  # noqa: S101 - a desk's stream ends with it
        return served

    def _one(self, side: Side, wanted: Wanted) -> Generator[str | Served]:
        begun, given = time.monotonic(), False
        outcome: Served | Exception | None = None
        until = self._until(side, wanted, begun)
        try:
            with closing(closable(self._desks[side], wanted)) as made:
                for piece in made:
                    if isinstance(piece, Served):
                        outcome = replace(piece, side=side)
                        yield outcome
                        continue
                    given = given or bool(piece)
                    yield piece
                    if (wanted.whole or not given) and time.monotonic() > until:
                        raise LateError(time.monotonic() - begun)
        except GeneratorExit:
            if outcome is None and wanted.deadline is not None and time.monotonic() >= wanted.deadline:
                outcome = LateError(time.monotonic() - begun)
            raise
        except Exception as error:
            outcome = outcome or error
            raise
        finally:  # once it was given; also when nobody takes what comes after it
            if outcome is not None:
                self._record(wanted, outcome, side)

    def _until(self, side: Side, wanted: Wanted, begun: float) -> float:
        """When an answer has to have begun, or be at its end where it is wanted whole (of the monotonic clock)."""
        if side == "A" or self._patience is None or wanted.deadline is None:
            return float("inf")
        return begun + self._patience * (wanted.deadline - begun)

    def _tried(self, error: Exception, *, seconds: float) -> tuple[Tried, ...]:
        """What asking the candidate came to: each of its router's models, or its own."""
        cost = None if getattr(error, "may_be_charged", False) and not self._is_local else 0.0
        own = Tried("own", self._model, why_of(error), round(seconds, 3), cost_usd=cost)
        asked: tuple[Tried, ...] = getattr(error, "tried", ()) or (own,)
        return tuple(replace(one, why=OF_CANDIDATE + one.why) for one in asked)

    def _record(self, wanted: Wanted, given: Served | Exception, side: Side) -> None:
        tier, own_first = self._classified(wanted.question) if self._classified else (None, True)
        if isinstance(given, Served) and given.who != "own":
            given = HandedOnError("the helper answered")
        if isinstance(given, BudgetError) or (isinstance(given, Exception) and not own_first) or not self._goes_on():
            return
        try:
            kept = self._records.record([
                Compared.of(
                    wanted, given, candidate=self._candidate, mode="ab", side=side, keep_texts=self._keep_texts,
                    tier=tier,
                )
            ])  # fmt: skip
        except Exception:  # the answer was given: its record takes it from nobody
            logger.exception("%s was not recorded", wanted.id)
            return
        if kept and side == "B":
            with self._lock:
                self._compared += 1

    def _goes_on(self) -> bool:
        with self._lock:
            enough = self._compared >= self._params.questions
        return not enough and self._why_not() is None
