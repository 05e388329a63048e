"""A file of conversations -> its rows, one at a time, each with its line, its place in bytes and what is wrong with it.

Read are JSONL, a JSON array, one JSON object, and objects one after the other, each also gzipped (`.gz`). Memory does
not grow with the file: one row and one block of it are held.

**Not caught**: rows after the first fault that hides where an array's next row begins (the hit says that the rest was
not read). In JSONL each line stands for itself.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from components.dataset.conversation import MISSING
from components.dataset.files.containers import LONGEST_ROW, Container, Finder, Window, sniff
from components.dataset.files.json_rows import examined, parse_row, shown
from components.dataset.findings import Hit
from components.errors import InputError

__all__ = ["LONGEST_ROW", "Reader", "Row"]

_BLOCK = 1 << 20
_BOM = b"\xef\xbb\xbf"
_SPACE = b" \t\r\n"
_GIVE_UP = 100  # lines, from the first: when none of them is JSON, the file is something else

_MAGIC = (
    (b"%PDF-", "a PDF", "name a file of conversations, JSONL or JSON"),
    (b"PK\x03\x04", "a ZIP archive", "unpack it, and name the file of conversations in it"),
    (b"PAR1", "a Parquet file", "write its rows as JSONL"),
    (b"SQLite format 3\0", "an SQLite database", "write its rows as JSONL"),
)
"""First bytes, what they say that a file is, and what to do."""
_WIDE = re.compile(rb"(?:[^\0]\0){4}|(?:\0[^\0]){4}")
"""Of UTF-16 without a byte order mark."""
_COLUMN = re.compile(rb"[A-Za-z_][\w .-]{0,40}")

_NAMES = {list: "a list", str: "a text", int: "a number", float: "a number", bool: "true or false", type(None): "null"}


@dataclass(slots=True)
class Row:
    """A row as it stands in the file. `value` is MISSING where it cannot be read; `hits` then says why."""

    index: int
    """Position among the rows of the file, from 0; blank lines are no rows."""
    line: int
    """From 1."""
    value: Any
    hits: tuple[Hit, ...]
    offset: int
    """Of its first byte in the file (in what it unpacks to, where it is gzipped)."""
    length: int
    """In bytes, without the line's end."""


class _Hashed(io.RawIOBase):
    """A file that is hashed as it is read."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb", buffering=0)
        self.digest = hashlib.sha256()
        self.bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = self._file.readinto(buffer) or 0
        self.digest.update(memoryview(buffer)[:count])
        self.bytes += count
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


class Reader:
    """Iterates over the rows of a file. Read it to its end; then the attributes say what the file is.

    Raises:
        InputError: there is no such file, or it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        if path.is_dir():
            raise InputError(f"{path}: a folder; name a file of conversations (JSONL or JSON) in it")
        if not path.exists():
            raise InputError(f"{path}: no such file; expected a file of conversations (JSONL or JSON)")
        self.path = path
        self.container: Container = "jsonl"
        self.hits: list[tuple[Hit, int | None]] = []
        """What is wrong with the file as a whole, with the line where it has one."""
        self.bytes = 0
        """Of the file as it lies there."""
        self.sha256 = ""
        self.unread: int | None = None
        """Offset from which on the file was not read, because of the last of `hits`; None: it was read to its end."""
        self._rows = 0
        self._read = 0

    def __iter__(self) -> Iterator[Row]:
        self.hits, self.unread, self._rows, self._read = [], None, 0, 0
        try:
            raw = _Hashed(self.path)
        except OSError as error:
            raise InputError(f"{self.path}: cannot be read: {error.strerror}") from None
        with raw:
            buffered = io.BufferedReader(raw, _BLOCK)
            try:
                if buffered.peek(2)[:2] == b"\x1f\x8b":
                    with gzip.GzipFile(fileobj=buffered) as unpacked:
                        yield from self._parse(io.BufferedReader(unpacked, _BLOCK))
                else:
                    yield from self._parse(cast(io.BufferedReader, buffered))
                while buffered.read(_BLOCK):  # what was not read is part of the file, too
                    pass
            except (gzip.BadGzipFile, zlib.error, EOFError) as error:
                self.hits.append((Hit("A1", f"the gzip file is broken: {error}; the rest was not read"), None))
            except OSError as error:
                raise InputError(f"{self.path}: cannot be read: {error.strerror or error}") from None
            self.bytes, self.sha256 = raw.bytes, raw.digest.hexdigest()

    def _parse(self, file: io.BufferedReader) -> Iterator[Row]:
        head = file.peek(_BLOCK)
        if hit := _something_else(head):
            self.hits.append((hit, 1))
            return
        if b"\0" in head[:1024] and head.lstrip(_BOM + _SPACE)[:1] not in (b"{", b"["):
            at = head.index(b"\0")
            self.hits.append((Hit("A2", f"not a text file: byte {at} is NUL; nothing of it was read"), 1))
            return
        if head.startswith(_BOM):
            message = "the file begins with a byte order mark (U+FEFF)"
            self.hits.append((Hit("A2", message, fix="save it as UTF-8 without the mark", severity="warning"), 1))
            self._read = len(file.read(len(_BOM)))
            head = head[len(_BOM) :]
        self.container = sniff(head, whole=len(head) < _BLOCK - len(_BOM))
        yield from self._lines(file) if self.container == "jsonl" else self._values(file)
        if self._rows == 0 and not self.hits:
            what = "the array has no rows" if self.container == "array" else "the file is empty"
            self.hits.append((Hit("A3", f"{what}: there is nothing to train on"), 1))
        if self.container == "object":
            if self._rows > 1:
                self.container = "objects"
            elif self._rows == 1:
                message = "one object, not a list of rows; read as one conversation"
                fix = "write one JSON object a line, or an array"
                self.hits.append((Hit("A3", message, fix=fix, severity="info"), 1))

    def _row(self, line: int, value: Any, hits: tuple[Hit, ...], offset: int, length: int) -> Row:
        index = self._rows
        self._rows += 1
        if type(value) is not dict and not hits:
            hits = (Hit("A3", f"the row is {_NAMES[type(value)]}, not an object with `conversations`"),)
        return Row(index, line, value, hits, offset, length)

    def _lines(self, file: io.BufferedReader) -> Iterator[Row]:
        """JSONL: each line stands for itself."""
        readable = False
        for line, raw in enumerate(iter(lambda: file.readline(LONGEST_ROW), b""), start=1):
            size = len(raw)
            offset, self._read = self._read, self._read + size
            if size == LONGEST_ROW and raw[-1:] != b"\n":
                while rest := file.readline(_BLOCK):  # the rest of the line is not held
                    self._read += len(rest)
                    if rest.endswith(b"\n"):
                        break
                yield self._row(line, MISSING, (_too_long(raw),), offset, self._read - offset)
                continue
            if raw.isspace():
                continue
            value, hits = parse_row(raw, line=line)
            yield self._row(line, value, hits, offset, len(raw.rstrip(_SPACE)))
            readable = readable or value is not MISSING
            if not readable and self._rows >= _GIVE_UP:
                message = f"none of the first {_GIVE_UP} lines is JSON; the rest was not read"
                self.hits.append((Hit("A1", message, fix="name a file of conversations, JSONL or JSON"), line))
                self.unread = self._read
                return

    def _values(self, file: io.BufferedReader) -> Iterator[Row]:
        """An array, or objects one after the other: each value is found by its brackets, then parsed."""
        window = Window(file, self._read)
        array = self.container == "array"
        window.skip_space()
        if array:
            window.take(1)
        comma = True  # whether a value may stand here
        finder = Finder()
        while True:
            window.skip_space()
            first = window.first()
            if not first:
                if array:
                    self._fault(window, "the file ends within the array")
                return
            if array and first == b"]":
                window.take(1)
                window.skip_space()
                if window.first():
                    self._fault(window, "more text after the end of the array; it was not read")
                    self.unread = window.offset
                return
            if array and first == b",":
                if comma:
                    self._fault(window, "a comma without a row before it")
                window.take(1)
                comma = True
                window.skip_space()
                if window.first() == b"]":
                    self._fault(window, "a comma after the last row")
                continue
            if array and not comma:
                self._fault(window, "a comma between two rows is missing")
            if first in b"}]:,":
                self._fault(window, f"`{first.decode()}` where a row should begin; the rest was not read")
                self.unread = window.offset
                return
            raw, whole, value = finder.next_value(window)
            line, offset = window.line, window.offset
            if len(raw) >= LONGEST_ROW:
                yield self._row(line, MISSING, (_too_long(raw),), offset, len(raw))
                self._fault(window, "the rest of the file was not read, since a row has no end")
                self.unread = offset + len(raw)
                return
            value, hits = parse_row(raw, line=line) if value is MISSING else examined(raw, value, line=line)
            yield self._row(line, value, hits, offset, len(raw.rstrip(_SPACE)))
            window.take(len(raw))
            comma = False
            if not whole:
                if not hits:
                    self._fault(window, "the file ends within a row")
                return

    def _fault(self, window: Window, message: str) -> None:
        self.hits.append((Hit("A1", f"{message} (line {window.line})"), window.line))


def _something_else(head: bytes) -> Hit | None:
    """What the file is where it is plainly no JSON, by its first bytes: nothing of it needs to be read."""
    for magic, name, mend in _MAGIC:
        if head.startswith(magic):
            return Hit("A2", f"the file is {name}; nothing of it was read", fix=mend)
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or _WIDE.match(head):
        return Hit("A2", "the file is UTF-16 text; nothing of it was read", fix="save it as UTF-8")
    lines = [line for line in head[len(_BOM) * head.startswith(_BOM) :].splitlines()[:_GIVE_UP] if line.strip()]
    if len(lines) < 2 or any(line.lstrip()[:1] in (b"{", b"[") for line in lines):
        return None
    for separator, name in ((b",", "CSV"), (b"\t", "TSV"), (b";", "CSV with semicolons")):
        names = [each.strip(b" \"'") for each in lines[0].split(separator)]
        if len(names) > 1 and all(map(_COLUMN.fullmatch, names)) and separator in lines[1]:
            shown_names = ", ".join(each.decode() for each in names[:4])
            message = f"the file looks like {name} (its first line: {shown_names}); nothing of it was read"
            return Hit("A1", message, fix="write each conversation as one JSON object a line (JSONL)")
    return None


def _too_long(raw: bytes) -> Hit:
    begin = raw[:100].decode(errors="replace")
    return Hit("A1", f"longer than {LONGEST_ROW >> 20} MiB, so it was not read; it begins: {shown(begin)}")
