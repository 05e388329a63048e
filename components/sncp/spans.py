"""Places in a text, and the pieces in which it is searched."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

__all__ = ["Span", "line_around", "lowered", "merged", "pieces"]

_WINDOW = 8_000
_OVERLAP = 500


@dataclass(frozen=True)
class Span:
    """A secret at `text[start:end]`. `shown`: its first four characters are its maker's prefix and no secret."""

    start: int
    end: int
    rule: str
    shown: bool = False


def merged(spans: Iterable[Span]) -> list[Span]:
    """In order; those that overlap become one, under the name of the one that starts first, then of the longest."""
    out: list[Span] = []
    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
        if out and span.start < out[-1].end:
            last = out.pop()
            span = Span(last.start, max(last.end, span.end), last.rule, last.shown)
        out.append(span)
    return out


def pieces(text: str, start: int = 0, stop: int | None = None) -> Iterator[tuple[int, str]]:
    """(offset, piece) of whole lines, long lines cut with an overlap: no pattern can run away on one."""
    at, limit = start, len(text) if stop is None else stop
    while at < limit:
        end = min(at + _WINDOW, limit)
        if end < limit:
            newline = text.rfind("\n", at, end) + 1
            if newline <= at:
                yield at, text[at:end]
                newline = text.find("\n", at, end)
                at = newline + 1 if newline >= 0 else end - _OVERLAP
                continue
            end = newline
        yield at, text[at:end]
        at = end


def lowered(text: str) -> str:
    """In lower case, letter by letter: every character keeps its place."""
    low = text.lower()
    if len(low) == len(text):
        return low
    return "".join(small if len(small := letter.lower()) == 1 else letter for letter in text)


def line_around(text: str, at: int, *, lines: int = 0, most: int = 4_000) -> tuple[int, int]:
    """Start and end of the line at a place, with so many lines before and after; at most `most` characters each way."""
    first, last = at, at
    lowest, highest = max(0, at - most), min(len(text), at + most)
    for _ in range(lines + 1):
        found = text.rfind("\n", lowest, first)
        first = found if found >= 0 else lowest
        if found < 0:
            break
    for _ in range(lines + 1):
        found = text.find("\n", last, highest)
        last = found + 1 if found >= 0 else highest
        if found < 0:
            break
    return first, last
