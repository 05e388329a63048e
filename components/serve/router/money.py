"""What the helper may still cost this month.

What this process spends is counted as it is spent, and before each call the most that it may cost is set aside; what
others spent is read from the usage log, every minute.

State after a hard crash: none; the month is read from the usage log, where the calls under way at the kill are missing.
What failed or was given up is in the log as what was set aside for it, where nobody tells what it cost.

**Not covered**: a call whose price nobody lists; several processes that ask in the same minute may together go over the
limit; what was asked while the usage log could not be written counts until the process ends.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

from components.errors import CervellaError
from components.llm import Budget
from components.store import logger

__all__ = ["MonthMoney"]


def _month() -> str:
    return datetime.now(UTC).strftime("%Y-%m")


class MonthMoney:
    """The helper's money. Threads may share it.

    Args:
        per_month_usd: limit of a calendar month (UTC; US dollars).
        per_query_usd: limit of a question, over all models that are asked for it.
        spent: dollars that the helper cost this month, by the usage log. May raise CervellaError or OSError.
        month: the name of this month.
        clock: seconds that never go back.
        look_seconds: how often the log is read.
    """

    def __init__(
        self, *, per_month_usd: float, per_query_usd: float, spent: Callable[[], float],
        month: Callable[[], str] = _month, clock: Callable[[], float] = time.monotonic, look_seconds: float = 60.0,
    ) -> None:  # fmt: skip
        self._per_month, self._per_query, self._spent = per_month_usd, per_query_usd, spent
        self._now, self._clock, self._seconds = month, clock, look_seconds
        self._lock = threading.Lock()
        self._month = ""
        self._budget: Budget | None = None
        self._before = 0.0  # by the log, when the budget was made
        self._logged = 0.0
        self._looked = float("-inf")

    def budget(self) -> Budget | None:
        """What calls of this month are to be charged to, the same for a month; None: what was spent is not known."""
        with self._lock:
            self._look()
            return self._budget

    def spent_usd(self) -> float | None:
        """This month, as far as this process knows (US dollars); None: not known."""
        with self._lock:
            self._look()
            return self._total()

    def why_not(self) -> str | None:
        """Why the helper is not to be asked, in words; None: there is money."""
        spent = self.spent_usd()
        if spent is None:
            return "what it cost this month cannot be read from the usage log"
        if spent >= self._per_month:
            return f"the ${self._per_month:.2f} of this month are spent"
        return None

    def _total(self) -> float | None:
        return None if self._budget is None else max(self._logged, self._before + self._budget.spent_usd)

    def _look(self) -> None:
        """Read the log, if it is time to."""
        month, now = self._now(), self._clock()
        if month == self._month and now - self._looked < self._seconds:
            return
        self._looked = now
        try:
            logged = self._spent()
        except (CervellaError, OSError) as error:
            logger.warning("what the helper cost this month cannot be read: %s", error)
            if month != self._month:
                self._month, self._budget = month, None
            return
        if month != self._month or self._budget is None:
            self._month, self._before = month, logged
            self._budget = Budget(per_run_usd=max(0.0, self._per_month - logged), per_query_usd=self._per_query)
        self._logged = logged
