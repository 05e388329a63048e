"""Where each turn of a conversation stands in its rendered text, and what of it does not (D7)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from components.dataset.checks.templates import Message, Rendered

__all__ = ["Place", "place_messages"]

_OPEN, _CLOSE = "<think>", "</think>"
_MOST_TRIES = 64  # places that look like the begin of the turn


@dataclass(frozen=True, slots=True)
class Place:
    """Where a message's own text begins and ends in the rendered text: what carries loss if it is trained."""

    begin: int = 0
    end: int = 0
    lost: str = ""
    """What of it is not there, in words; empty: nothing."""
    reasoning_lost: bool = False
    """The template left out the reasoning, as Qwen3's does in turns before the last question."""


def place_messages(rendered: Rendered, *, thinks: bool) -> list[Place]:
    """The places of all messages, in order: each is looked for after the one before it.

    `thinks`: whether the template moves <think> and leaves out newlines around it, as Qwen3's does.
    """
    places = []
    cursor = 0
    last = len(rendered.messages) - 1
    for number, message in enumerate(rendered.messages):
        place, cursor = _place(rendered.text, message, cursor, thinks=thinks, is_last=number == last)
        places.append(place)
    return places


def _place(text: str, message: Message, cursor: int, *, thinks: bool, is_last: bool) -> tuple[Place, int]:
    header = "\n<tool_response>\n" if thinks and message.role == "tool" else f"<|im_start|>{message.role}\n"
    splits = thinks and message.role == "assistant"
    reasoning, content, dropped = _split(message.content) if splits else ("", message.content, False)
    lost = "text around <think> is left out by the template" if dropped else ""
    calls = "".join(_calls(message))
    bodies = list(_bodies(reasoning, content, is_last=is_last, splits=splits))
    begin = text.find(header, cursor)
    for _ in range(_MOST_TRIES):
        if begin < 0:
            break
        start = begin + len(header)
        for body, own, keeps in bodies:
            # The first call follows the text on a line of its own.
            whole = body + ("\n" if calls and content else "") + calls
            if text.startswith(whole, start):
                end = start + len(whole)
                return Place(start + own, end, lost, bool(reasoning) and not keeps), end
        begin = text.find(header, begin + 1)
    what = "the call" if message.calls else "the turn's text"
    return Place(lost=f"{what} is not in what the template makes of it"), cursor


def _bodies(reasoning: str, content: str, *, is_last: bool, splits: bool) -> Iterator[tuple[str, int, bool]]:
    """What may stand after the header, where in it the own text begins, and whether the reasoning is in it."""
    if splits:
        block = f"{_OPEN}\n{reasoning}\n{_CLOSE}\n\n"
        # Axolotl compares with a turn without reasoning: the last has an empty block too, the others have none.
        own = 0 if not is_last else len(_OPEN) + 1 if reasoning else len(block)
        yield block + content.lstrip("\n"), own, True
    yield content, 0, False


def _split(text: str) -> tuple[str, str, bool]:
    """Reasoning and answer as Qwen3's template splits them, and whether text besides them is lost."""
    if _CLOSE not in text:
        return "", text, False
    head, *between, tail = text.split(_CLOSE)
    before, _, reasoning = head.rstrip("\n").rpartition(_OPEN)
    dropped = bool(before.strip()) or any(piece.strip() for piece in between)
    return reasoning.strip("\n"), tail.lstrip("\n"), dropped


def _calls(message: Message) -> Iterator[str]:
    for number, (name, arguments) in enumerate(message.calls):
        line = "\n" if number else ""
        yield f'{line}<tool_call>\n{{"name": "{name}", "arguments": {_written(arguments)}}}\n</tool_call>'


def _written(arguments: object) -> str:
    return arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
