"""The conversation before a question: what the model is told of it, and what is searched for a short follow-up.

Not covered: what an earlier answer took from a note that must not leave this machine. No turn says where its words are
from, so where such notes are left out, all earlier answers are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from components.answer.answer import without_sources
from components.answer.guard import neutralise

if TYPE_CHECKING:
    from components.llm import Message

__all__ = ["FOLLOW_UP_WORDS", "conversation", "search_text", "within"]

FOLLOW_UP_WORDS = 6
"""A question of so many words or fewer may mean what was asked before it: "E ad agosto?"."""
_WHO = {"user": "Persona:", "assistant": "Risposta:"}
_CHARS_A_TOKEN = 8
"""More than a token has on average in any text that people write."""
_SEARCHED_CHARS = 1000
"""Of the question before a follow-up: what is searched must not be all of it."""
_CITATION = re.compile(r"[ \t]?\[\d{1,3}(?:\s*[,;]\s*\d{1,3})*\](?!\()")


def within(history: Sequence[Message], *, max_tokens: int) -> list[Message]:
    """The newest turns, as far as `max_tokens` could reach: what comes from a client may have any length.

    The person's newest turn is among them. Lists of sources go from the answers; a turn is cut at a blank, so that no
    half of a secret is left at its end. Lone halves of characters, which no tokenizer takes, become question marks.
    """
    most = max(_CHARS_A_TOKEN * max_tokens, _SEARCHED_CHARS)
    turns: list[Message] = []
    chars, asked = 0, False
    for message in reversed(history):
        if chars >= most and asked:
            break
        text = message["content"]
        text = _begun(without_sources(text) if message["role"] == "assistant" else text, most)
        turns.append({"role": message["role"], "content": text.encode("utf-8", "replace").decode()})
        chars, asked = chars + len(text), asked or message["role"] == "user"
    return turns[::-1]


def conversation(
    history: Sequence[Message], *, max_tokens: int, count_tokens: Callable[[str], int], answers: bool = True
) -> str:
    """The newest turns that fit, oldest first, each under who says it; "" for none.

    A turn is cut to half of `max_tokens`, so that a long answer does not push out the question before it. Numbers of
    notes go from the answers: the notes have other numbers now. Turns of anyone but the person and the model are left
    out.

    Args:
        history: the oldest first, as `within` gives it.
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
        text = message["content"]
        if role == "assistant":
            text = _CITATION.sub("", text)
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
    """What is searched: the question, and the beginning of the person's question before it when this one is short."""
    if len(question.split()) > FOLLOW_UP_WORDS:
        return question
    before = next((m["content"].strip() for m in reversed(history) if m["role"] == "user"), "")
    before = _begun(before, _SEARCHED_CHARS)
    return f"{question}\n{before}" if before else question


def _begun(text: str, chars: int) -> str:
    """The whole words at its beginning that have so many characters at most; of one endless word nothing."""
    if len(text) <= chars:
        return text
    words = re.match(r"(?s).*\s", text[: chars + 1])
    return words[0].rstrip() if words else ""


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
