"""Conversations of a corpus, and what is said of them, for the tests of rules on a corpus as a whole."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from components.dataset.conversation import Conversation, Turn
from components.dataset.corpus.corpus import Corpus

Found = list[tuple[int, int | None, int | None, str, str, str | None]]


@dataclass(frozen=True)
class Question:
    id: str
    question: str
    evidence: str = ""
    answer: str = ""


CAPARRA = Question(
    id="v001",
    question="Che percentuale di caparra chiediamo per una settimana di agosto?",
    evidence="**Dall'11 luglio al 30 agosto e nei ponti:** 25 per cento.",
    answer="Il 25 per cento: la regola unica del 30, di febbraio, è superata dal 18 aprile.",
)


def talk(*texts: Any, index: int = 0, **keys: Any) -> Conversation:
    """A conversation of human and gpt in turns."""
    turns = tuple(Turn(("human", "gpt")[at % 2], text) for at, text in enumerate(texts))
    return Conversation(index=index, line=index + 1, turns=turns, **keys)


def words(seed: int, count: int = 30) -> str:
    chosen = random.Random(seed)  # noqa: S311
    return " ".join("".join(chosen.choices("abcdefghilmnopqrstuvz", k=6)) for _ in range(count))


def check(conversations: Sequence[Conversation], *, language: str | None = None, **given: Any) -> Found:
    corpus = Corpus(**given)
    for at, one in enumerate(conversations):
        placed = Conversation(at, at + 1, one.turns, one.system, one.tools, one.id, one.extra)
        corpus.add(placed, language=language)
    return [(file, line, at, hit.rule, hit.message, hit.severity) for file, line, at, hit in corpus.finish()]


def told(found: Found, *rules: str) -> list[tuple[int | None, str]]:
    return [(line, rule) for _, line, _, rule, *_ in found if not rules or rule in rules]
