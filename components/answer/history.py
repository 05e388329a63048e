"""The conversation before a question: what the model is told of it, and what is searched for a short follow-up.

Not covered: what an earlier answer took from a note that must not leave this machine. No turn says where its words are
from, so where such notes are left out, all earlier answers are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from components.answer.guard import neutralise

if TYPE_CHECKING:
    from components.llm import Message

__all__ = ["FOLLOW_UP_WORDS", "conversation", "search_text"]

FOLLOW_UP_WORDS = 6
"""A question of so many words or fewer may mean what was asked before it: "E ad agosto?"."""
_WHO = {"user": "Persona:", "assistant": "Risposta:"}
_SOURCES = re.compile(
    r"\n\s*(?:Fonti|Sources|Note lette|Notes that were read):[ \t]*\n(?:[ \t]*\[\d{1,3}\][^\n]*(?:\n|\Z))+\s*\Z"
)
_CITATION = re.compile(r"[ \t]?\[\d{1,3}(?:\s*[,;]\s*\d{1,3})*\](?!\()")


def conversation(
    history: Sequence[Message], *, max_tokens: int, count_tokens: Callable[[str], int], answers: bool = True
) -> str:
    """The newest turns that fit, oldest first, each under who says it; "" for none.

    A turn is cut to half of `max_tokens`, so that a long answer does not push out the question before it. Numbers of
    notes and lists of sources go from the answers: the notes have other numbers now. Turns of anyone but the person and
    the model are left out.

    Args:
        history: the oldest first.
        max_tokens: of all turns together, by `count_tokens`; 0: none.
        count_tokens: the chat model's.
        answers: whether the model's turns are in.
    """
    kept: list[str] = []
    left = max_tokens
    for message in reversed(history):
        role = message["role"]
        if role not in _WHO or (role == "assistant" and not answers):
            continue
        text = _whole(message["content"])
        if role == "assistant":
            text = _CITATION.sub("", _SOURCES.sub("", text))
        text, _ = neutralise(text.strip())
        if not text:
            continue
        turn = _cut(f"{_WHO[role]} {text}", fits=lambda turn: count_tokens(turn) <= max_tokens // 2)
        tokens = count_tokens(turn)
        if not turn or tokens > left:
            break
        kept.append(turn)
        left -= tokens
    return "\n\n".join(reversed(kept))


def search_text(question: str, history: Sequence[Message]) -> str:
    """What is searched: the question, and after the person's question before it when this one is short."""
    if len(question.split()) > FOLLOW_UP_WORDS:
        return question
    before = next((_whole(m["content"]).strip() for m in reversed(history) if m["role"] == "user"), "")
    return f"{before}\n{question}" if before else question


def _whole(text: str) -> str:
    """Without halves of characters, which no tokenizer takes."""
    return text.encode("utf-8", "replace").decode()


def _cut(turn: str, *, fits: Callable[[str], bool]) -> str:
    """As many words from its beginning as fit; "" when not even the label and one word do."""
    if fits(turn):
        return turn
    words = turn.split(" ")
    low, high = 1, len(words) - 1
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(f"{' '.join(words[:middle])} …") else (low, middle - 1)
    return f"{' '.join(words[:low])} …" if low > 1 else ""
