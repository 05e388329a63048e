"""What holds the rows of a file: lines, an array, objects; and where the next row of an array ends."""

from __future__ import annotations

import io
import re
from typing import Any, Literal

import orjson

from components.dataset.conversation import MISSING
from components.dataset.files.json_rows import end_of_value, parse_row

__all__ = ["LONGEST_ROW", "Container", "Finder", "Window", "sniff"]

Container = Literal["jsonl", "array", "object", "objects"]
"""`object`: one JSON object over several lines; `objects`: several of them, one after the other."""

LONGEST_ROW = 64 << 20
"""Bytes of the longest row that is read."""

_BLOCK = 1 << 20
_SPACES = re.compile(rb"[ \t\r\n]*")
_BETWEEN = re.compile(rb"[ \t\r\n]*,[ \t\r\n]*(?=\{)")
_FIRST_KEY = re.compile(rb'\{[ \t\r\n]*"[^"\\]*"')
_LINES = 200  # that are looked at where the first one does not tell
_MISSES = 3  # guesses in a row that were wrong: no more are made


def sniff(head: bytes, *, whole: bool) -> Container:
    """What the beginning of a file is the beginning of; `objects` are told as `object`.

    Args:
        head: the first block, without a byte order mark.
        whole: whether it is all of the file.
    """
    start = _SPACES.match(head).end()  # type: ignore[union-attr]  # it matches nothing, too
    first, _, rest = head[start:].partition(b"\n")
    first, rest = first.strip(), rest.strip()
    if first.startswith(b"["):
        return "jsonl" if rest and end_of_value(first + b"\n", 0) == len(first) else "array"
    if not first.startswith(b"{") or not rest or end_of_value(first, 0) == len(first.rstrip(b",")):
        return "jsonl"
    # The first line is no object by itself: an object over several lines, or a broken line of JSONL.
    end = end_of_value(head, start)
    if end is not None and parse_row(head[start:end], line=1)[0] is not MISSING:
        return "object"
    lines = [line.rstrip() for line in rest.split(b"\n", _LINES)[:_LINES]]
    lines = [line for line in (lines if whole or len(lines) < 2 else lines[:-1]) if line]
    if any(_is_row(line) for line in lines):
        return "jsonl"
    return "jsonl" if all(line[:1] == b"{" and line[-1:] == b"}" for line in lines) else "object"


def _is_row(line: bytes) -> bool:
    """Whether a line is an object by itself, and no turn."""
    if not line.startswith(b"{"):
        return False
    value = parse_row(line, line=1)[0]
    return isinstance(value, dict) and not ({"from", "role"} & value.keys())


class Window:
    """A moving part of a file, with the line and the offset of its beginning."""

    def __init__(self, file: io.BufferedReader, offset: int) -> None:
        self._file = file
        self.data = b""
        self.at = 0
        self.line = 1
        self._base = offset

    @property
    def offset(self) -> int:
        """Of the window's first byte, in the file."""
        return self._base + self.at

    def more(self) -> bool:
        """Read on; False at the end of the file. The window is then at the beginning of `data`."""
        kept = self.data[self.at :]
        # At least as much as there is: a row of many blocks is then looked at a few times, not once for each block.
        new = self._file.read(max(_BLOCK, len(kept)))
        self._base += self.at
        self.at = 0
        self.data = kept + new
        return bool(new)

    def take(self, count: int) -> None:
        """Move on."""
        self.line += self.data.count(b"\n", self.at, self.at + count)
        self.at += count

    def skip_space(self) -> None:
        """Move on to the next byte that is no white space."""
        while True:
            match = _SPACES.match(self.data, self.at)
            self.take(match.end() - self.at if match else 0)
            if self.at < len(self.data) or not self.more():
                return

    def first(self) -> bytes:
        """The byte there; empty at the end of the file."""
        return self.data[self.at : self.at + 1]


class Finder:
    """Finds the end of the next value of an array.

    Files are written by programs, so all rows end alike: on a line of their own with as much white space before the
    brace as the first one has, or before the same first key of the next row. Such an end is guessed, and true where
    orjson parses the bytes up to it; else the brackets are counted.
    """

    def __init__(self) -> None:
        self._end = b""
        self._of_row = 0  # bytes of the end that belong to the row
        self._misses = 0

    def next_value(self, window: Window) -> tuple[bytes, bool, Any]:
        """The bytes of the value at the window, whether its end is there, and the value, MISSING if not parsed yet."""
        if self._end:
            end = window.data.find(self._end, window.at)
            if end < 0 and window.more():
                end = window.data.find(self._end, window.at)
            try:
                raw = window.data[window.at : end + self._of_row] if end >= 0 else b""
                value = orjson.loads(raw)
            except orjson.JSONDecodeError:
                self._misses += 1
            else:
                self._misses = 0
                return raw, True, value
        while (stop := end_of_value(window.data, window.at)) is None:
            if len(window.data) - window.at >= LONGEST_ROW or not window.more():
                return window.data[window.at :], False, MISSING
        raw = window.data[window.at : stop]
        if self._misses >= _MISSES:
            self._end = b""
        elif not self._end:
            self._guess(window, raw)
        return raw, True, MISSING

    def _guess(self, window: Window, raw: bytes) -> None:
        """How rows end in this file, from one of them."""
        last = raw.rpartition(b"\n")[2]
        if last != raw and last.strip() == b"}":
            self._end = b"\n" + last
            self._of_row = len(self._end)
            return
        stop = window.at + len(raw)
        between = _BETWEEN.match(window.data, stop)
        key = _FIRST_KEY.match(raw)
        if between and key:
            self._end = b"}" + between[0] + key[0]
            self._of_row = 1
