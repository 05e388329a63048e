"""A share of the conversations is answered by the candidate; a conversation stays with who began it.

Where the candidate fails before its first piece, or has not begun in its share of the time (is not at its end, where an
answer is wanted whole), the release in service answers: a comparison fails no question, but where both cost money and
the candidate left too little of the limit of a question. What the candidate cost by then is told with that answer, and
counted where nobody answers. When enough was asked, or the candidate may be asked no more, all conversations are
answered by the release in service again, and nothing more is recorded.

Both sides are recorded alike: answers of the own model, and its failures where it was to be asked first. A time that
was up is a failure, a client that went away is not; neither is money that was not there.

State after a hard crash: none; the share is told from the conversation's id or its first turn, and what was recorded
counts.

**Not covered**: people who come back under another conversation may meet both; conversations of one key that have no id
and begin alike are all on one side; answers that the helper gave first count to neither; what the release in service
answers in place of the candidate is a row of its side.
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
from components.serve.desk import OF_CANDIDATE, Bill, Desk, Served, Tried, Wanted, check_wanted
from components.serve.params import CompareParams, Tier
from components.serve.router.faults import TOO_DEAR, LateError
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
        max_chars: longest question (characters).
        keep_texts: whether the record has the texts.
        why_not: why the candidate is not to be asked now, in words; None: it may be.
        own_first: of a tier, whether the own model is asked first, where there is a router.
        patience: share of the time that is left, in which the candidate has to begin, or to be at its end where an
            answer is wanted whole.
    """

    def __init__(
        self, a: Desk, b: Desk, *, params: CompareParams, records: Comparisons, candidate: str, max_chars: int,
        keep_texts: bool = False, why_not: Callable[[], str | None] = lambda: None,
        own_first: Callable[[Tier], bool] = lambda tier: True, patience: float = 0.5,
    ) -> None:  # fmt: skip
        self._desks: dict[Side, Desk] = {"A": a, "B": b}
        self._params, self._records, self._max_chars = params, records, max_chars
        self._candidate, self._keep_texts, self._why_not = candidate, keep_texts, why_not
        self._own_first, self._patience = own_first, patience
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
        tried: list[Tried] = []
        if self.side(wanted) == "B":
            given, held, bill = False, list[str](), Bill()
            try:
                with closing(self._one("B", replace(wanted, bill=bill))) as pieces:
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
            finally:
                tried = [replace(one, why=OF_CANDIDATE + one.why) for one in bill.asked]
                wanted.bill.asked += tried
                wanted.bill.tier = bill.tier
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
            with closing(closable(self._desks[side], replace(wanted, begun_by=until))) as made:
                for piece in made:
                    if isinstance(piece, Served):
                        outcome = replace(piece, side=side)
                        yield outcome
                        continue
                    given = given or bool(piece)
                    yield piece
                    if until is not None and (wanted.whole or not given) and time.monotonic() > until:
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

    def _until(self, side: Side, wanted: Wanted, begun: float) -> float | None:
        """When an answer has to have begun, or be at its end where it is wanted whole (of the monotonic clock)."""
        if side == "A" or wanted.deadline is None:
            return wanted.begun_by
        return begun + self._patience * (wanted.deadline - begun)

    def _record(self, wanted: Wanted, given: Served | Exception, side: Side) -> None:
        tier = wanted.bill.tier
        own_first = tier is None or self._own_first(tier)
        too_dear = any(one.who == "own" and one.why == TOO_DEAR for one in wanted.bill.asked)  # and another was asked
        if isinstance(given, Served) and given.who != "own":
            given = HandedOnError("the helper answered")
        if isinstance(given, Exception) and (isinstance(given, BudgetError) or too_dear or not own_first):
            return
        if not self._goes_on():
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
