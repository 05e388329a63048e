"""Conversations for the tests of rules on text."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from components.dataset.conversation import MISSING, Conversation, Turn
from components.dataset.findings import Hit

__all__ = ["chat", "glaive", "rules", "said"]


def chat(*turns: tuple[Any, Any], system: Any = MISSING, tools: Any = MISSING) -> Conversation:
    """A conversation of (role, value)."""
    return Conversation(index=0, line=1, turns=tuple(Turn(*turn) for turn in turns), system=system, tools=tools)


def said(answer: str, question: str = "Che cosa abbiamo deciso per il database?") -> Conversation:
    """One question, one answer."""
    return chat(("human", question), ("gpt", answer))


def rules(hits: Iterator[Hit]) -> list[str]:
    """Ids of the rules that were hit, in order."""
    return [hit.rule for hit in hits]


def glaive(shared: Path) -> list[Conversation]:
    """The real conversations of shared/data/sharegpt/glaive_toolcall_en_demo.json."""
    rows = json.loads((shared / "data/sharegpt/glaive_toolcall_en_demo.json").read_text(encoding="utf-8"))
    return [
        Conversation(
            index=index,
            line=1,
            turns=tuple(Turn(turn["from"], turn["value"]) for turn in row["conversations"]),
            tools=row["tools"],
        )
        for index, row in enumerate(rows)
    ]


Rule = Callable[[Conversation], Iterator[Hit]]
