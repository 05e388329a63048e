"""What one run may still spend, over all of its steps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from components.llm.budget import Budget
from components.llm.params import BudgetParams
from components.store import Run

__all__ = ["run_budget"]


@contextmanager
def run_budget(run: Run, params: BudgetParams) -> Iterator[Budget]:
    """A budget for one step: what the steps before it left over. What this one spends is kept in `run.json`.

    A step that is killed leaves what it spent uncounted; its answers and vectors are in the caches, so they are not
    paid twice.
    """
    before = float(run.read().get("spent_usd", 0.0))
    budget = Budget(per_run_usd=max(0.0, params.per_run_usd - before), per_query_usd=params.per_query_usd)
    try:
        yield budget
    finally:
        run.update(spent_usd=before + budget.spent_usd)
