"""Blocks -> pieces: the smallest parts that are packed into chunks, each with its lines and its tokens."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from components.index.blocks import Block
from components.index.plain import plain_line

__all__ = ["Measure", "Piece", "block_pieces"]

_SENTENCE = re.compile(r"(?<=[.!?;:…])\s+")
_WORDS = re.compile(r"\s+")
_LETTERS = 40  # characters of a token, at most: words have four or five
_HARD_CUT = 24  # characters: last resort inside one endless word


class Measure:
    """Counts tokens of plain text without the marks and the prefix that every text costs once.

    A text that is far too long for a chunk is not counted, which can take seconds for a line of two megabytes (an
    image, a table in one line): it is only told that it does not fit.
    """

    def __init__(self, count_tokens: Callable[[str], int], *, max_tokens: int) -> None:
        self._count = count_tokens
        self._longest = _LETTERS * max_tokens
        self._known: dict[str, int] = {}
        # What a text costs once (prefix, marks), less what joining two lines costs: two lines against one of both.
        self.overhead = max(0, 2 * count_tokens("a") - count_tokens("a\na"))

    def __call__(self, text: str) -> int:
        """Tokens that `text` adds to a chunk."""
        if len(text) > self._longest:
            return len(text) // _LETTERS + 1
        if text not in self._known:
            self._known[text] = max(0, self._count(text) - self.overhead) if text else 0
        return self._known[text]


@dataclass(frozen=True)
class Piece:
    """Lines first..last (1-based, inclusive) as they are (`text`) and as they are embedded (`plain`)."""

    first: int
    last: int
    text: str
    plain: str
    tokens: int
    depth: int = -1  # of a heading: its place in the heading path; -1: not a heading
    lead: str = ""  # header of the table that this row was cut from
    lead_tokens: int = 0


def block_pieces(block: Block, *, lines: list[str], measure: Measure, room: int) -> list[Piece]:
    """A block as one piece where it fits into `room` tokens; else cut by rows or items, lines, sentences, words."""
    whole = _lines_piece(lines, block.start, block.end, measure)
    if whole is None or whole.tokens <= room:
        return [whole] if whole else []
    cuts = [block.start, *(cut for cut in block.parts if cut > block.start), block.end]
    lead = plain_line(lines[block.start]) if block.kind == "table" else ""
    lead_tokens = measure(lead)
    if 2 * lead_tokens > room:
        lead, lead_tokens = "", 0
    pieces: list[Piece] = []
    for start, end in zip(cuts, cuts[1:], strict=False):
        part = _lines_piece(lines, start, end, measure)
        if part is None:
            continue
        rows = (
            [part]
            if part.tokens <= room - lead_tokens
            else list(_by_lines(lines, start, end, measure, room - lead_tokens))
        )
        if lead and start != block.start:
            rows = [Piece(**{**vars(row), "lead": lead, "lead_tokens": lead_tokens}) for row in rows]
        pieces.extend(rows)
    return pieces


def _lines_piece(lines: list[str], start: int, end: int, measure: Measure) -> Piece | None:
    """Lines [start, end) as one piece, without blank lines at its ends; none when all are blank."""
    while start < end and not lines[start].strip():
        start += 1
    while end > start and not lines[end - 1].strip():
        end -= 1
    if start == end:
        return None
    plain = [words for line in lines[start:end] if (words := plain_line(line))]
    tokens = sum(map(measure, plain))
    return Piece(start + 1, end, "\n".join(lines[start:end]), "\n".join(plain), tokens)


def _by_lines(lines: list[str], start: int, end: int, measure: Measure, room: int) -> Iterator[Piece]:
    """Each line as a piece; a line that is too long by sentences, words and, at last, characters."""
    for number in range(start, end):
        line = lines[number]
        plain = plain_line(line)
        tokens = measure(plain)
        if not line.strip():
            continue
        if tokens <= room:
            yield Piece(number + 1, number + 1, line, plain, tokens)
            continue
        for text in _cut(line, measure, room):
            words = plain_line(text)
            yield Piece(number + 1, number + 1, text, words, measure(words))


def _cut(line: str, measure: Measure, room: int) -> Iterator[str]:
    """Parts of a line that each fit: sentences; a sentence that does not, words in runs; a word, characters."""
    for sentence in _SENTENCE.split(line.strip()):
        if measure(plain_line(sentence)) <= room:
            yield sentence
            continue
        run, used = "", 0
        for word in _WORDS.split(sentence):
            parts = [word] if measure(plain_line(word)) <= room else _characters(word)
            for part in parts:
                joined, tokens = (f"{run} {part}" if run else part), measure(plain_line(part))
                # The words' own tokens first: to measure the whole run at each word takes minutes on a line of 2 MB.
                if run and used + tokens > room and measure(plain_line(joined)) > room:
                    yield run
                    joined, used = part, 0
                run, used = joined, used + tokens
        if run:
            yield run


def _characters(word: str) -> list[str]:
    """An endless word in short runs of characters."""
    return [word[at : at + _HARD_CUT] for at in range(0, len(word), _HARD_CUT)]
