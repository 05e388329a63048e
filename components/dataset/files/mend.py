"""What can be mended in a text without changing a word: white space at its edges, hidden characters, broken accents.

**Left alone**: code between back quotes, calls of tools and their results (but for white space at their edges), marks
of direction in texts from right to left, joiners, indentation of the first line, which makes code of it in Markdown.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

__all__ = ["mend_edges", "mend_text"]

_CODE = re.compile(r"(```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)|`[^`\n]+`)", re.DOTALL)
_HIDDEN = re.compile("[\u00ad\u200b\u2060\ufeff\u202a-\u202e\u2066-\u2069]")
_DIRECTION = re.compile("[\u200e\u200f\u061c]")
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
_NO_SPACES = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]")  # scripts in which U+200B parts words
_MARKS = re.compile(r"[^\w\s!-~]{100}")  # marks in a heap cost their number squared to be put in order
_BLANK_LINES = re.compile(r"\A(?:[^\S\n]*\n)+")
_ROUNDS = 4


def mend_edges(text: str) -> str:
    """Without white space at the end and blank lines at the beginning; a text of nothing else stays."""
    trimmed = _BLANK_LINES.sub("", text.rstrip())
    return trimmed or text


def mend_text(text: str) -> list[tuple[str, str, str]]:
    """The changes to a text that somebody speaks, one after the other: (rule, what was done, the text then)."""
    steps: list[tuple[str, str, Callable[[str], str]]] = [
        ("C4", "letters that were decoded wrongly", _decoded),
        ("C3", "hidden characters removed", _unhidden),
        ("C4", "letters and their accents made one", _composed),
        ("C2", "line ends of Windows made line ends", lambda text: text.replace("\r\n", "\n")),
        ("C2", "white space at the edges removed", mend_edges),
    ]
    changes: list[tuple[str, str, str]] = []
    for _ in range(_ROUNDS):  # a step may show what another one mends
        before = text
        for rule, what, step in steps:
            mended = step(text)
            if mended != text and mended.strip():
                changes.append((rule, what, mended))
                text = mended
        if text == before:
            return changes
    return []  # it does not come to rest: left as it is


def _outside_code(text: str, mend: Callable[[str], str]) -> str:
    if "`" not in text and "~~~" not in text:
        return mend(text)
    return "".join(part if at % 2 else mend(part) for at, part in enumerate(_CODE.split(text)))


def _decoded(text: str) -> str:
    if text.isascii():
        return text
    import ftfy

    return _outside_code(text, ftfy.fix_encoding)


def _unhidden(text: str) -> str:
    if text.isascii():
        return text
    if not _NO_SPACES.search(text):
        text = _outside_code(text, lambda part: _HIDDEN.sub("", part))
    if not _RIGHT_TO_LEFT.search(text):
        text = _outside_code(text, lambda part: _DIRECTION.sub("", part))
    return text


def _composed(text: str) -> str:
    if text.isascii() or unicodedata.is_normalized("NFC", text) or _MARKS.search(text):
        return text
    return _outside_code(text, lambda part: unicodedata.normalize("NFC", part))
