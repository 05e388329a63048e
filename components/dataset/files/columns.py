"""What Arrow cannot hold in one column (A5): a text here, a list there. All trainers load JSON through it.

Arrow takes each key, at any depth, for a column of one type: null goes with every type, whole numbers with others, and
objects are merged. `datasets` up to 4.0 (LLaMA-Factory, Unsloth) stops where types are mixed; 5.2 hands such a column
over as JSON. Tools and calls, whose arguments are as different as the tools, are a warning only.

Of JSONL, `datasets` takes the columns from the first 10 MiB, and stops (5.2, too) on a key that comes only later, or
one that was null or an empty list until then.

**Not caught**: texts that all look like dates in the first 10 MiB, and do not later.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from components.dataset.findings import Hit

__all__ = ["Columns"]

_FIRST_CHUNK = 10 << 20  # bytes, that `datasets` reads at once
_MOST_LATE = 100  # columns that are told
_MOST = 20_000  # columns that are looked at; keys that differ in every row are data, not columns
_TYPES = {
    str: "a text", bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object",
}  # fmt: skip
_TOOLS = frozenset({"tools", "functions", "tool_calls", "function_call", "arguments", "parameters"})
_OTHERS = frozenset({"messages", "conversation", "prompt", "completion"})  # converted before anybody trains on them


class _Column:
    """A key, or the elements of a list: the types that it had and the line where each was first."""

    __slots__ = ("above", "elements", "keys", "lines", "name")

    def __init__(self, above: _Column | None = None, name: str = "") -> None:
        self.above = above
        self.name = name
        self.lines: dict[type, int | None] = {}
        self.keys: dict[str, _Column] = {}
        self.elements: _Column | None = None


class Columns:
    """Gathers the types of all rows of a file. Memory grows with the number of different keys only."""

    def __init__(self) -> None:
        self._root = _Column()
        self._count = 0
        self._chunked = False  # the row is beyond the first chunk
        self._late: list[tuple[_Column, int | None]] = []

    def add(self, value: Any, *, line: int | None = None, offset: int | None = None) -> None:
        """Looks at a row; one that is no object is another rule's.

        Args:
            value: the row.
            line: where it begins in the file.
            offset: of its first byte in a file of JSONL; None for another file, which `datasets` reads in one piece.
        """
        if type(value) is dict:
            self._chunked = offset is not None and offset >= _FIRST_CHUNK
            self._object(self._root, value, line)

    def _object(self, column: _Column, value: dict[str, Any], line: int | None) -> None:
        keys = column.keys
        for key, each in value.items():
            kind = type(each)
            below = keys.get(key)
            if below is None:
                if self._count >= _MOST:
                    continue
                self._count += 1
                below = keys[key] = _Column(column, key)
            if kind not in below.lines:
                self._first(below, kind, line)
            if kind is dict:
                self._object(below, each, line)
            elif kind is list:
                self._list(below, each, line)

    def _list(self, column: _Column, value: list[Any], line: int | None) -> None:
        below = column.elements
        if below is None:
            below = column.elements = _Column(column, "[]")
        for each in value:
            kind = type(each)
            if kind not in below.lines:
                self._first(below, kind, line)
            if kind is dict:
                self._object(below, each, line)
            elif kind is list:
                self._list(below, each, line)

    def _first(self, column: _Column, kind: type, line: int | None) -> None:
        """A type that the column did not have before."""
        if self._chunked and len(self._late) < _MOST_LATE and column.lines.keys() <= {type(None)}:
            late = {id(each) for each, _ in self._late}
            if not any(id(above) in late for above in _above(column)):
                self._late.append((column, line))
        column.lines[kind] = line

    def finish(self) -> list[tuple[Hit, int | None]]:
        """A hit for each column of several types, with the line where the second one begins."""
        found: list[tuple[Hit, int | None]] = []
        stack: list[tuple[tuple[str, ...], _Column]] = [((), self._root)]
        while stack:
            path, column = stack.pop()
            names: dict[str, int | None] = {}
            for kind, line in column.lines.items():  # in the order in which they came
                if kind in _TYPES:  # null goes with all
                    names.setdefault(_TYPES[kind], line)
            if len(names) > 1:
                found.append((_hit(path, names), list(names.values())[1]))
            stack += [((*path, key), each) for key, each in reversed(column.keys.items())]
            if column.elements is not None:
                stack.append(((*path, "[]"), column.elements))
        told = {id(column): (column, line) for column, line in reversed(self._late)}  # each once, where it began
        found += [(_late_hit(_path(column)), line) for column, line in reversed(told.values())]
        return found


def _path(column: _Column | None) -> tuple[str, ...]:
    return () if column is None or column.above is None else (*_path(column.above), column.name)


def _above(column: _Column) -> Iterator[_Column]:
    above = column.above
    while above is not None:
        yield above
        above = above.above


def _named(path: tuple[str, ...]) -> str:
    return "".join(part if part == "[]" else f".{part[:40]}" for part in path).lstrip(".")


def _late_hit(path: tuple[str, ...]) -> Hit:
    message = (
        f"`{_named(path)}` has its first value here, beyond the first {_FIRST_CHUNK >> 20} MiB from which `datasets` "
        "takes the columns, so it stops on the file"
    )
    fix = "give the first row the key with a value, or shuffle the rows"
    return Hit("A5", message, fix=fix, severity=None if _TOOLS.isdisjoint(path[1:]) else "warning")


def _hit(path: tuple[str, ...], names: dict[str, int | None]) -> Hit:
    name = _named(path)
    seen = ", ".join(what if line is None else f"{what} (first in line {line})" for what, line in names.items())
    if not _OTHERS.isdisjoint(path[:1]):
        return Hit("A5", f"`{name}` is {seen}", fix="it is of one type once it is converted", severity="warning")
    if not _TOOLS.isdisjoint(path):
        fix = "write tools and arguments as JSON text"
        message = f"`{name}` is {seen}; `datasets` up to 4.0 stops on the file"
        return Hit("A5", message, fix=fix, severity="warning")
    return Hit("A5", f"`{name}` is {seen}; `datasets` up to 4.0 (LLaMA-Factory, Unsloth) stops on the file")
