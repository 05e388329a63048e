"""Texts of a dataset as people may see them: what is hidden made visible, secrets and personal data masked."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, get_args

from components.dataset.params import PersonalDatum
from components.sncp.redact import redact

__all__ = ["as_text", "markdown_cell", "masked", "one_line", "segments", "visible"]

_HIDDEN = re.compile(
    "([\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200c\u200e-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\ud800-\udfff\ue000-\uf8ff\U000e0000-\U000e0fff\U000f0000-\U0010ffff]"
    "|\r(?!\n)|(?<![\u2190-\u2bff\ufe0f\U0001f000-\U0001faff])\u200d)"  # a joiner within an emoji is part of it
)
_LONGEST = 20_000
"""Characters that are looked at for secrets: far more than are ever shown, so that none is cut in two."""


def segments(text: str) -> Iterator[tuple[str, bool]]:
    """The text in pieces, and whether a piece stands for a character that is not to be seen, as `⟨U+200B⟩`."""
    for number, piece in enumerate(_HIDDEN.split(text)):
        if number % 2:
            yield f"⟨U+{ord(piece):04X}⟩", True
        elif piece:
            yield piece.replace("\r\n", "\n"), False


def visible(text: str) -> str:
    """The text with what is not to be seen written out. It does nothing to a terminal, and can be stored as UTF-8."""
    return "".join(piece for piece, _ in segments(text))


def one_line(text: str, *, longest: int = 200) -> str:
    """The same on one line, cut where it is long."""
    shown = visible(" ".join(text[: 4 * longest].split()))
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def markdown_cell(text: str) -> str:
    """Foreign text in a cell of a table: it cannot leave the cell, and no mark-up in it holds."""
    shown = one_line(text, longest=300)
    return "".join("\\" + char if char in "\\|`*_<>[]#&" else char for char in shown)


def masked(text: str, *, longest: int) -> tuple[str, int]:
    """The begin of a text without secrets and personal data, and how many characters are left out.

    What is not caught is listed in `components.sncp.redact`: names and addresses, above all.
    """
    looked_at = text[:_LONGEST]
    clean = redact(looked_at, path="", personal_data=get_args(PersonalDatum))[0]
    if len(clean) <= longest:
        return clean, len(text) - len(looked_at)
    return clean[:longest], len(clean) - longest + len(text) - len(looked_at)


def as_text(value: Any) -> str:
    """Any value of a row as text: text as it is, the rest as JSON."""
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False)[:_LONGEST]
    except (TypeError, ValueError, RecursionError):  # MISSING; a number of thousands of digits; lists without end
        return f"({type(value).__name__.strip('_').lower()})"
