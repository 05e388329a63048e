"""The desk without a router: whoever is in service answers everything."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import replace

from components.errors import InputError, TerminalError
from components.serve.desk import ANSWERED, GIVEN_UP, Live, Served, Tried, Wanted, check_wanted
from components.serve.router.faults import why_of
from components.store import logger

__all__ = ["OwnDesk"]

_BEAT_SECONDS = 0.5  # how long work goes on, at most, that nobody waits for any more


class OwnDesk:
    """Answers with the model of what is in service. Threads may ask at the same time.

    Args:
        live: what is in service.
        max_chars: longest question (characters).
        history_tokens: of the turns before, that the model is given.
    """

    def __init__(self, live: Live, *, max_chars: int, history_tokens: int) -> None:
        self._live, self._max_chars, self._history_tokens = live, max_chars, history_tokens

    def stream(self, wanted: Wanted) -> Generator[str | Served]:
        """See `Desk`; while the model has nothing to show, an empty piece is given now and then."""
        check_wanted(wanted, max_chars=self._max_chars)
        with self._live.use() as opened:
            begun, why, model = time.monotonic(), GIVEN_UP, opened.partner.chat.model
            money = opened.partner.budget.for_question(before_usd=wanted.bill.charged_usd)
            pieces = replace(opened.partner, budget=money).stream(
                wanted.question, history=wanted.history, max_tokens=wanted.tokens_of(opened.partner),
                history_tokens=self._history_tokens, max_chars=self._max_chars, beat_seconds=_BEAT_SECONDS,
            )  # fmt: skip
            try:
                with closing(pieces):
                    for piece in pieces:
                        if isinstance(piece, str):
                            yield piece
                            continue
                        why = ANSWERED
                        yield Served(
                            asked=piece, who="own", tier=None, because="there is no router", tried=(),
                            release=opened.release, index=piece.index,
                        )  # fmt: skip
            except Exception as error:
                why = why_of(error)
                if not isinstance(error, InputError):
                    raise
                logger.warning("%s: %s: %s", wanted.id, type(error).__name__, error)
                raise TerminalError(f"{model}: {why}") from error  # it is not the question's fault
            finally:
                seconds = round(time.monotonic() - begun, 3)
                wanted.bill.asked.append(Tried("own", model, why, seconds, *money.question_usd))

    def ask(self, wanted: Wanted) -> Served:
        """See `Desk`."""
        *_, served = self.stream(wanted)
        assert isinstance(served, Served)  # noqa: S101 - a partner's stream ends with what was asked
        return served
