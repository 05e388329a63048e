"""A conversation as it stands in a file: nothing repaired, nothing lost, every odd value still there to be told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

__all__ = ["ASSISTANT_ROLES", "MISSING", "ROLES", "USER_ROLES", "Conversation", "Turn"]

ROLES = ("system", "human", "gpt", "function_call", "observation")
"""Roles of ShareGPT with tools, as LLaMA-Factory names them."""
USER_ROLES = frozenset({"human", "observation"})
ASSISTANT_ROLES = frozenset({"gpt", "function_call"})


class _Missing:
    """The value of a key that is not there; null is another thing."""

    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False


MISSING: Final = _Missing()


@dataclass(frozen=True, slots=True)
class Turn:
    """One element of `conversations`, whatever it is.

    `role` and `value` are those of its keys `from` and `value` (MISSING where it has none, or is no object);
    `extra`: its other keys, such as `train` and `weight`; `raw`: the element as it was parsed.
    """

    role: Any
    value: Any
    extra: Mapping[str, Any] = field(default_factory=dict)
    raw: Any = None

    @property
    def text(self) -> str:
        """The value where it is text, else the empty text."""
        return self.value if isinstance(self.value, str) else ""


@dataclass(frozen=True, slots=True)
class Conversation:
    """One row of a file of chats, in the terms of ShareGPT, converted or not.

    `turns` is None where `conversations` is missing or no list. System turns are in `turns` too; a turn's position
    in it is the `turn` of findings. `system`, `tools` and `id` are MISSING where the row has no such key.
    """

    index: int
    """Position among the conversations of the file, from 0."""
    line: int
    """Line of the file where it begins, from 1."""
    turns: tuple[Turn, ...] | None
    system: Any = MISSING
    tools: Any = MISSING
    id: Any = MISSING
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Other keys of the row: stage, source, provenance, media."""
    raw: Any = None
    """The row as it was parsed, before any conversion."""
    converted: str | None = None
    """Name of the format that it was converted from; None for ShareGPT."""

    def system_text(self) -> str:
        """The system prompt, from the column or from the first turn; empty where there is none."""
        if isinstance(self.system, str):
            return self.system
        first = self.turns[0] if self.turns else None
        return first.text if first is not None and first.role == "system" else ""

    def first_user_text(self) -> str:
        """The first human turn's text; empty where there is none."""
        return next((turn.text for turn in self.turns or () if turn.role == "human"), "")
