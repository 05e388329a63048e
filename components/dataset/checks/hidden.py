"""Rule C3: characters that nobody sees."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator

from components.dataset.checks.glance import Look
from components.dataset.findings import Hit

__all__ = ["hidden_characters"]

_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u2800\u3164\ud800-\udfff\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffd\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
_TO_AND_FRO = "\u200e\u200f\u061c"


def hidden_characters(look: Look, *, lowered: bool = False) -> Iterator[Hit]:
    """C3: control characters, zero width, direction, U+FFFD, halves of surrogates.

    Emoji with their joiners and selectors, joiners between letters of scripts that have them, marks of direction in
    texts from right to left, and line ends of Windows are left alone. `lowered`: info, because a machine wrote it.
    """
    text = look.text
    if text.isascii():
        # Quick: of ASCII all but control characters is printable.
        if text.isprintable() or text.replace("\r\n", "").replace("\n", "").replace("\t", "").isprintable():
            return
    found: Counter[str] = Counter()
    first: dict[str, int] = {}
    to_and_fro: bool | None = None
    for match in _HIDDEN.finditer(text):
        letter, at = match[0], match.start()
        if letter == "\r" and text[at + 1 : at + 2] == "\n":
            continue
        if letter in _TO_AND_FRO:
            if to_and_fro is None:
                to_and_fro = _RIGHT_TO_LEFT.search(text) is not None
            if to_and_fro:
                continue
        elif letter > "\u0300" and _is_in_place(text, at):
            continue
        found[letter] += 1
        first.setdefault(letter, at)
    for letter, times in found.most_common(3):
        name = unicodedata.name(letter, "control character" if letter < "\xa0" else "")
        often = f", {times} times" if times > 1 else ""
        message = f"U+{ord(letter):04X} {name}".rstrip() + f"{often}, first after {first[letter]} characters"
        yield Hit("C3", message, look.turn, None, "info" if lowered else None)


def _is_in_place(text: str, at: int) -> bool:
    """Whether a joiner or a selector makes one sign of its neighbours, as in emoji, Persian and Hindi."""
    letter, before, after = text[at], text[at - 1 : at], text[at + 1 : at + 2]
    if not before:
        return False
    if "\ufe00" <= letter <= "\ufe0f" or "\U000e0100" <= letter <= "\U000e01ef":
        return _takes_selector(before)
    if "\U000e0020" <= letter <= "\U000e007f":  # flags of regions
        return before == "\U0001f3f4" or "\U000e0020" <= before <= "\U000e007e"
    if "\u180b" <= letter <= "\u180f":
        return "\u1800" <= before <= "\u18af"
    if letter in "\u200c\u200d":
        if before == "\ufe0f" or "\U0001f3fb" <= before <= "\U0001f3ff" or _is_picture(before):
            return letter == "\u200d" and bool(after) and _is_picture(after)
        # Joiners end words too: Persian plurals, half letters of Hindi.
        return "\u0600" <= before <= "\u1cff" or "\ua840" <= before <= "\uabff"
    return False


def _takes_selector(letter: str) -> bool:
    return _is_picture(letter) or letter in "0123456789#*" or unicodedata.category(letter) in {"Sm", "Lo", "Po"}


def _is_picture(letter: str) -> bool:
    return (
        unicodedata.category(letter) == "So"
        or letter in "\u2139\u2640\u2642\u2194\u2195\u27a1\u2b05\u3030\u303d\u203c\u2049\u25fe\u25fd"
    )
