"""Rule C12: whether an answer goes round in circles."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Sequence

from components.dataset.checks.glance import FENCE, LONG, Look

__all__ = ["loop"]

_LETTER_RUN = re.compile(r"([^\s\-=_*#~.|+/\\0\u2500-\u259f])\1{19}")
_FENCED = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_LONGEST = 12
_LONGEST_UNSPACED = 24


def loop(look: Look) -> str | None:
    """What is said over and over; None for nothing.

    That is a passage of 1 to 12 words four times in a row (one word: six), a line of three words or more four times, a
    letter twenty times, in text without spaces a passage of 2 to 24 letters five times. Code is left out.
    """
    text, words = look.text, look.words
    if look.marks & FENCE:
        text = _FENCED.sub(" ", text)
        words = text.split()
    if look.marks & LONG:
        if run := _LETTER_RUN.search(text):
            return f"{run[1]!r} comes twenty times in a row"
        for word in words:
            if len(word) >= 40 and not word.isascii() and (passage := _of_letters(word)):
                return f"it says {_short(passage)} over and over"
    if len(words) < 6:
        return None
    # Any loop says the same three words three times: quick, and seldom true of prose.
    threes = list(zip(words, words[1:], words[2:], strict=False))
    if len(threes) - len(set(threes)) < 3 or max(Counter(threes).values()) < 3:
        return None
    return _of_words(words, threes) or _of_lines(text)


def _of_words(words: Sequence[str], threes: Sequence[Hashable]) -> str | None:
    for period in _periods(threes, longest=_LONGEST):
        at = _repeats(words, period, times=6 if period == 1 else 4)
        if at is None:
            continue
        passage = words[at : at + period]
        if "|" not in passage and any(sum(map(str.isalpha, word)) > 1 for word in passage):  # no cells of a table
            return f"it says {_short(' '.join(passage))} over and over"
    return None


def _of_letters(word: str) -> str | None:
    fours = [word[at : at + 4] for at in range(len(word) - 3)]
    if len(fours) - len(set(fours)) < 2:
        return None
    for period in _periods(fours, longest=_LONGEST_UNSPACED):
        at = _repeats(word, period, times=5) if period > 1 else None
        if at is not None and word[at : at + period].isalpha():
            return word[at : at + period]
    return None


def _periods(grams: Sequence[Hashable], *, longest: int) -> list[int]:
    """At which distances the same comes again often enough for a passage of that length to be repeated."""
    last: dict[Hashable, int] = {}
    distances: Counter[int] = Counter()
    for at, gram in enumerate(grams):
        distance = at - last.get(gram, -longest - 1)
        last[gram] = at
        if distance <= longest:
            distances[distance] += 1
    return sorted(period for period, times in distances.items() if times >= max(3 * period - 2, 2))


def _repeats(items: Sequence[str], period: int, *, times: int) -> int | None:
    """Where a passage of so many items begins that comes so many times in a row."""
    needed, run = (times - 1) * period, 0
    for at in range(period, len(items)):
        run = run + 1 if items[at] == items[at - period] else 0
        if run >= needed:
            return at - period + 1
    return None


def _of_lines(text: str) -> str | None:
    """A sentence that has the same line to itself four times; headings, labels and tables may come again."""
    lines = Counter(line.strip() for line in text.splitlines())
    for line, times in lines.items():
        if (
            times >= 4
            and len(line.split()) >= 3
            and "|" not in line
            and line[0] != "#"
            and line.rstrip("*_")[-1:] != ":"
        ):
            return f"a line comes {times} times: {_short(line)}"
    return None


def _short(words: str) -> str:
    return repr(words if len(words) <= 60 else f"{words[:59]}…")
