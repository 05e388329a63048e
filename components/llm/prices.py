"""What a model's tokens cost, from litellm's list of prices, read as a file: litellm itself takes seconds to import.

Not covered: prices for long prompts, for batches and for a provider's own cache, which are other prices; discounts. A
model that the list does not name has no price here. Unknown is never 0.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from components.errors import TerminalError
from components.llm.names import is_remote
from components.llm.packages import package_file

__all__ = ["Price", "price_of"]

_LIST = "model_prices_and_context_window_backup.json"


@dataclass(frozen=True)
class Price:
    """US dollars of one token that is read, and of one that is written."""

    prompt: float
    completion: float

    def of(self, prompt_tokens: int, completion_tokens: int = 0) -> float:
        """US dollars of so many tokens."""
        return self.prompt * prompt_tokens + self.completion * completion_tokens


def price_of(model: str) -> Price | None:
    """The price of a model by the name that a recipe has; 0 for what runs in this process, None: nobody lists it.

    `fake/` models that name a cost are asked for it instead: it is a price of a call, not of a token.
    """
    if not is_remote(model):
        return Price(0.0, 0.0)
    entry = _entry(model)
    if entry is None or not isinstance(entry.get("input_cost_per_token"), int | float):
        return None
    return Price(float(entry["input_cost_per_token"]), float(entry.get("output_cost_per_token") or 0.0))


def _entry(model: str) -> dict[str, Any] | None:
    """The list names some models with their provider, some without."""
    table = _table()
    if model in table:
        return table[model]
    provider, slash, name = model.partition("/")
    entry = table.get(name) if slash else None
    # The same name at another provider is another price.
    return entry if entry is not None and str(entry.get("litellm_provider", "")).startswith(provider) else None


@cache
def _table() -> dict[str, dict[str, Any]]:
    try:
        path: Path = package_file("litellm", _LIST, package="litellm")
        found = json.loads(path.read_bytes())
    except (TerminalError, OSError, ValueError):  # no list: every price is unknown
        return {}
    return found if isinstance(found, dict) else {}
