"""Money: what may be spent, what was spent, and the refusal before a call that would go over."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from copy import copy
from typing import TypeVar

from components.errors import TerminalError

__all__ = ["Budget", "BudgetError", "Reservation", "in_own_context"]

_T = TypeVar("_T")

# Each query has a purse of its own; threads that a query starts must copy its context to share it.
_query: ContextVar[_Purse | None] = ContextVar("cervella_llm_query", default=None)


class BudgetError(TerminalError):
    """A call would go over what may be spent; nothing was sent."""


class _Purse:
    def __init__(self, name: str, limit: float, *, before: float = 0.0) -> None:
        self.name = name
        self.limit = limit
        self.before = before  # spent of the same limit by others
        self.spent = 0.0
        self.reserved = 0.0
        self.unknown = False  # whether nobody knows what one of its calls cost


class Reservation:
    """Money set aside for one call. `settle` says what it really cost; unsettled, nothing is charged."""

    def __init__(self, estimate_usd: float | None) -> None:
        self.estimate_usd = estimate_usd
        self.charged_usd = 0.0
        self.unknown = False

    def settle(self, usd: float | None) -> None:
        """The call cost `usd` dollars; None: nobody knows, so the estimate is charged, where there is one."""
        self.unknown = usd is None
        self.charged_usd = (self.estimate_usd or 0.0) if usd is None else usd


class Budget:
    """What all calls of a run, and those of one question, may cost (US dollars). Safe to share between threads.

    It refuses on the worst case known before a call: prompt tokens and the longest answer at the listed price. It
    does not stop a call whose price nobody lists (counted in `unknown_calls`), nor know what other processes spend;
    and a prompt that the provider counts longer than litellm does may cost more than was foreseen.
    """

    def __init__(self, *, per_run_usd: float, per_query_usd: float) -> None:
        self.per_query_usd = per_query_usd
        self._run = _Purse("per_run_usd", per_run_usd)
        self._lock = threading.Lock()
        self._question: _Purse | None = None
        self.unknown_calls = 0
        """Calls that were made although their price is unknown."""
        self.exhausted = False
        """Whether a call was refused because what was spent, without what was set aside, left too little of the run."""

    @property
    def per_run_usd(self) -> float:
        """Limit of the run (US dollars)."""
        return self._run.limit

    @property
    def spent_usd(self) -> float:
        """Spent so far on calls of known price, by all threads (US dollars)."""
        with self._lock:
            return self._run.spent

    def for_question(self, *, before_usd: float = 0.0) -> Budget:
        """The same money, for one question alone: what that came to is its `question_usd`.

        `before_usd`: what other models were charged for the same question; they share its limit.
        """
        one = copy(self)
        one._question = _Purse("per_query_usd", self.per_query_usd, before=before_usd)
        return one

    @property
    def question_usd(self) -> tuple[float | None, float]:
        """Of a budget for one question: what its calls cost (US dollars; None: not known), and what was charged.

        Where the cost is not known, the most that it may be was charged, by the listed price.
        """
        purse = self._question or _Purse("", 0.0)
        with self._lock:
            return None if purse.unknown else purse.spent, purse.spent

    @contextmanager
    def query(self) -> Iterator[None]:
        """All calls within the block belong to one question and share its limit."""
        token = _query.set(self._question or _Purse("per_query_usd", self.per_query_usd))
        try:
            yield
        finally:
            _query.reset(token)

    @contextmanager
    def reserve(self, estimate_usd: float | None, *, what: str) -> Iterator[Reservation]:
        """Set `estimate_usd` aside for the block (None: price unknown) and charge what it settles.

        Raises:
            BudgetError: it would go over a limit; nothing was sent.
        """
        reservation = Reservation(estimate_usd)
        purses = [self._run, *([purse] if (purse := _query.get()) else [])]
        with self._lock:
            for purse in purses:
                self._check(purse, estimate_usd, what)
            for purse in purses:
                purse.reserved += estimate_usd or 0.0
        try:
            yield reservation
        finally:
            with self._lock:
                self.unknown_calls += reservation.unknown
                for purse in purses:
                    purse.reserved -= estimate_usd or 0.0
                    purse.spent += reservation.charged_usd
                    purse.unknown = purse.unknown or reservation.unknown

    def _check(self, purse: _Purse, estimate_usd: float | None, what: str) -> None:
        used = purse.before + purse.spent + purse.reserved
        if estimate_usd and used + estimate_usd > purse.limit:
            self.exhausted = self.exhausted or (purse is self._run and purse.spent + estimate_usd > purse.limit)
            raise BudgetError(
                f"{what} may cost up to ${estimate_usd:.4f}; ${used:.4f} of llm.budget.{purse.name} = "
                f"${purse.limit:.4f} is spent or reserved. Nothing was sent. Raise llm.budget.{purse.name} or "
                "shorten max_tokens."
            )


def in_own_context(items: Generator[_T, None, None]) -> Generator[_T, None, None]:
    """The same items, made in one context of their own, whoever takes or closes them.

    For generators that enter `Budget.query`: it is a variable of the context, which must neither be seen by whoever
    takes the items, between two of them, nor be lost when another thread takes the next.
    """
    context = copy_context()
    try:
        while True:
            try:
                item = context.run(next, items)
            except StopIteration:
                return
            yield item
    finally:
        context.run(items.close)
