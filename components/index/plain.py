"""From a line of a note to the words that are worth embedding: decoration out, words kept.

What it does not do: it does not judge prose. A sentence that carries no information stays.
"""

from __future__ import annotations

import re

__all__ = ["has_words", "plain_line", "plain_text"]

# Box drawing, blocks, geometric shapes, dingbats, arrows' decorative kin, emoji and their joiners.
_DECORATION = re.compile(
    "[\u2500-\u25ff\u2600-\u27bf\u2b00-\u2bff\ufe00-\ufe0f\u200b-\u200d\u20e3\U0001f000-\U0001faff\U000e0000-\U000e007f]+"
)
_RULE = re.compile(r"([=\-_~*#+.<>|^:])\1{2,}")  # =====, -----, ####, ....
_FRAME = re.compile(
    r"^(?:[\s|+>*]|-\s|#{1,6}\s)+|[\s|+]+$"
)  # walls of a box, pipes of a table, marks of lists and quotes
_IMAGE = re.compile(r"!\[([^\]\n]*)\]\([^)\n]*\)")  # a badge is an image: its words are in the alt text
_EMPHASIS = re.compile(r"\*\*|__(?=\w)|(?<=\w)__|`+")
_WORD = re.compile(r"[^\W_]")


def plain_line(line: str) -> str:
    """One line without drawing, rules, emoji, badges and emphasis marks; words inside boxes stay. May be empty."""
    text = _IMAGE.sub(r" \1 ", line) if "![" in line else line
    if not text.isascii():
        text = _DECORATION.sub(" ", text)
    text = _RULE.sub(" ", text)
    text = _FRAME.sub("", _EMPHASIS.sub("", text) if "*" in text or "_" in text or "`" in text else text)
    text = " ".join(text.split())
    return text if has_words(text) else ""


def plain_text(text: str) -> str:
    """`plain_line` of each line; lines without a letter or digit are left out."""
    return "\n".join(filter(None, map(plain_line, text.splitlines())))


def has_words(text: str) -> bool:
    """Whether there is at least one letter or digit, in any script."""
    return _WORD.search(text) is not None
