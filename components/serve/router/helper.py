"""The helper: another model on the same prompt and the same notes, without those that must not leave this machine."""

from __future__ import annotations

import threading
from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from components.errors import CervellaError
from components.llm import load_chat
from components.llm.budget import BudgetError
from components.serve.params import HelperParams
from components.serve.router.faults import NotAllowedError, SpentError
from components.serve.router.money import MonthMoney

if TYPE_CHECKING:
    from components.answer.partner import Partner
    from components.llm import Budget, Chat

__all__ = ["Helper"]


class Helper:
    """The model of `serve.router.helper`, or that of `serve.router.classifier`. Threads may share it.

    Args:
        params: of the recipe.
        money: what it may cost.
        cache: SQLite file of the response cache; None: none.
        trusted_hosts: of `api_base`, count as this machine.
        temperature: of the sampler.
        seed: of the sampler, where the model has one.
    """

    def __init__(
        self, params: HelperParams, *, money: MonthMoney, cache: Path | None = None,
        trusted_hosts: Collection[str] = (), temperature: float = 0.0, seed: int = 13,
    ) -> None:  # fmt: skip
        self._params, self.money = params, money
        self._load = partial(
            load_chat, **params.model_dump(), cache=cache, trusted_hosts=trusted_hosts, temperature=temperature,
            seed=seed, retries=0,  # the next one is asked instead: nobody waits for a second try
        )  # fmt: skip
        self._lock = threading.Lock()
        self._loaded: tuple[Budget, Chat] | None = None

    @property
    def model(self) -> str:
        """Its name."""
        return self._params.model

    def refused(self, own: Partner) -> NotAllowedError | SpentError | None:
        """Why it is not to be asked in place of `own`, in words for people; None: it may be. Nothing is sent."""
        if why := self.money.why_not():
            return SpentError(why)
        if own.prompt.local_notes:
            return NotAllowedError("the persona itself must not leave this machine")
        return None

    def warm(self) -> None:
        """Load now what its first answer would wait for. Nothing is sent; what is wrong is told when it is asked."""
        with suppress(CervellaError):
            self._load().warm()

    def chat(self) -> tuple[Chat, Budget]:
        """The model itself, and what its calls are charged to.

        Raises:
            BudgetError: what was spent is not known.
            TerminalError: its package is not installed.
        """
        budget = self.money.budget()
        if budget is None:
            raise BudgetError("what the helper cost this month is not known")
        with self._lock:
            if self._loaded is None or self._loaded[0] is not budget:  # another month
                self._loaded = budget, self._load(budget=budget)
            return self._loaded[1], budget

    def partner(self, own: Partner) -> Partner:
        """The partner with this model, without what must not leave this machine. Raises as `chat`."""
        chat, budget = self.chat()
        return replace(own, chat=chat, budget=budget, leave_out_local=True)
