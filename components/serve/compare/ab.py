"""A share of the conversations is answered by the candidate; a conversation stays with who began it.

Where the candidate fails before its first piece, the release in service answers: a comparison fails no question. When
enough was asked, all conversations are answered by the release in service again.

State after a hard crash: none; the share is told from the conversation's id, and what was recorded counts.

**Not covered**: people who come back under another conversation may meet both; answers of the helper count to neither.
"""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import closing
from dataclasses import replace

from components.errors import InputError
from components.serve.compare.records import Compared, Comparisons, Side
from components.serve.compare.share import in_share
from components.serve.desk import Desk, Served, Wanted
from components.serve.params import CompareParams
from components.store import logger

__all__ = ["AbDesk"]


class AbDesk:
    """Answers as one of two desks does. Threads may ask at the same time.

    Args:
        a: what is in service.
        b: the candidate.
        params: of the recipe.
        records: where answers go, after they were given.
        candidate: digest of the candidate's release.
        keep_texts: whether the record has the texts.
    """

    def __init__(
        self, a: Desk, b: Desk, *, params: CompareParams, records: Comparisons, candidate: str, keep_texts: bool = False
    ) -> None:
        self._desks: dict[Side, Desk] = {"A": a, "B": b}
        self._params, self._records = params, records
        self._candidate, self._keep_texts = candidate, keep_texts
        self._lock = threading.Lock()
        self._compared = records.count(candidate, "ab")

    def side(self, wanted: Wanted) -> Side:
        """Who answers this conversation."""
        with self._lock:
            enough = self._compared >= self._params.questions
        return "B" if not enough and in_share(wanted, candidate=self._candidate, share=self._params.share) else "A"

    def told(self) -> dict[str, int]:
        """For people and metrics: questions the candidate was asked, and how many are enough."""
        with self._lock:
            return {"compared": self._compared, "enough": self._params.questions}

    def stream(self, wanted: Wanted) -> Generator[str | Served]:
        """See `Desk`; `Served.side` says who answered."""
        if self.side(wanted) == "B":
            given = False
            try:
                for piece in self._one("B", wanted):
                    given = given or bool(piece)
                    yield piece
                return
            except InputError:
                raise
            except Exception as error:
                self._record(wanted, error, "B")
                if given:
                    raise
                logger.warning("%s: the candidate did not answer, so what is in service does: %s", wanted.id, error)
        yield from self._one("A", wanted)

    def ask(self, wanted: Wanted) -> Served:
        """See `Desk`."""
        *_, served = self.stream(wanted)
        assert isinstance(served, Served)  # noqa: S101 - a desk's stream ends with it
        return served

    def _one(self, side: Side, wanted: Wanted) -> Generator[str | Served]:
        served: Served | None = None

        def pieces() -> Generator[str | Served]:
            yield from self._desks[side].stream(wanted)

        try:
            with closing(pieces()) as made:
                for piece in made:
                    if isinstance(piece, Served):
                        served = replace(piece, side=side)
                        yield served
                    else:
                        yield piece
        finally:  # once it was given; also when nobody takes what comes after it
            if served and served.who == "own":
                self._record(wanted, served, side)

    def _record(self, wanted: Wanted, given: Served | Exception, side: Side) -> None:
        try:
            kept = self._records.record([
                Compared.of(
                    wanted, given, candidate=self._candidate, mode="ab", side=side, keep_texts=self._keep_texts
                )
            ])  # fmt: skip
        except Exception:  # the answer was given: its record takes it from nobody
            logger.exception("%s was not recorded", wanted.id)
            return
        if kept and side == "B":
            with self._lock:
                self._compared += 1
