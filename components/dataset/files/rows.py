"""A file -> its conversations, in any format, with all that is wrong about reading them: rules A1 to A6."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

from components.dataset.conversation import MISSING, Conversation
from components.dataset.files.columns import Columns
from components.dataset.files.formats import Conversions, detect_format, to_conversation
from components.dataset.files.reading import Reader, Row
from components.dataset.findings import Hit
from components.dataset.report import CheckedFile
from components.errors import InputError

__all__ = ["ReadRow", "Rows", "read_all", "read_conversations"]

_SNIFFED = 200  # rows that tell a file's format


class ReadRow(NamedTuple):
    """A row of a file. `conversation` is None where it is none; `hits` then says why."""

    row: Row
    conversation: Conversation | None
    hits: tuple[Hit, ...]


class Rows:
    """Iterates over the rows of a file, once; after its end, `hits` and `file` say what the file as a whole is.

    Raises:
        InputError: there is no such file, or it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reader = Reader(path)
        self._columns, self._conversions = Columns(), Conversions()
        self._format = ""
        self._count = 0

    def __iter__(self) -> Iterator[ReadRow]:
        stream = iter(self._reader)
        sniffed = list(islice(stream, _SNIFFED))
        self._format = detect_format([row.value for row in sniffed if row.value is not MISSING])
        for row in chain(sniffed, stream):
            self._count += 1
            if row.value is not MISSING:
                offset = row.offset if self._reader.container == "jsonl" else None
                self._columns.add(row.value, line=row.line, offset=offset)
            if not isinstance(row.value, dict):
                yield ReadRow(row, None, row.hits)
                continue
            found, changes = to_conversation(row.value, index=row.index, line=row.line, format=self._format)
            self._conversions.add(found)
            yield ReadRow(row, found, (*row.hits, *changes))

    @property
    def hits(self) -> list[tuple[Hit, int | None]]:
        """Of the file as a whole, with the line where there is one."""
        return [*self._reader.hits, *self._columns.finish(), *((hit, None) for hit in self._conversions.finish())]

    @property
    def file(self) -> CheckedFile:
        """What was read."""
        reader = self._reader
        return CheckedFile(str(self.path), self._format, reader.container, self._count, reader.bytes, reader.sha256)


def read_conversations(path: Path) -> Iterator[Conversation]:
    """The conversations of a file, in any format; rows that cannot be read are left out."""
    return (read.conversation for read in Rows(path) if read.conversation is not None)


def read_all(path: Path) -> Iterator[Conversation]:
    """The conversations of a file that must be read whole, such as what is held out.

    Raises:
        InputError: a row of it is no conversation, or it has none.
    """
    rows, count = Rows(path), 0
    for read in rows:
        if read.conversation is None or not read.conversation.turns:
            why = read.hits[0].message if read.hits else "no conversation"
            raise InputError(f"{path}:{read.row.line}: {why}; nothing would be held out for this row")
        count += 1
        yield read.conversation
    if not count:
        why = f" ({rows.hits[0][0].message})" if rows.hits else ""
        raise InputError(f"{path}: no conversations{why}, so nothing would be held out")
