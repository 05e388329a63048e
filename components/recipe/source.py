"""YAML text -> values that know where they are written.

YAML 1.2 core types, and less than YAML where YAML surprises: no tags, no merge keys, one document, each key once.
Keys are text as written (`2024:` is the key "2024"). `no`, `on`, `12:30:45`, `2026-01-05` and `1_000` are text;
`1e-5` is a number; `010`, `.inf` and `.nan` are refused, because two readers would read them differently or not at all.

Time and memory are bounded by the limits below, whatever is in the file: what is larger is refused before it is parsed.
"""

from __future__ import annotations

import os
import re
import stat
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Any

from components.recipe.faults import Fault, Place

__all__ = [
    "BROKEN",
    "MAX_BYTES",
    "MAX_DEPTH",
    "MAX_FAULTS",
    "MAX_VALUES",
    "Broken",
    "Node",
    "Scalar",
    "parse_yaml",
    "read_text",
]

MAX_BYTES = 200_000
"""Of a recipe file. The longest shipped one has 2,000; the slowest text of this size takes the parser a second."""
MAX_VALUES = 3_000
MAX_DEPTH = 30
MAX_FAULTS = 200
"""After so many the rest is not looked at: each costs time, and nobody reads them."""

Scalar = str | int | float | bool | None


class Broken:
    """A value that is written but cannot be read. Its fault is reported; nothing more is said about it."""


BROKEN = Broken()


@dataclass(frozen=True, slots=True)
class Node:
    """A value, the place where it is written, and the place of the key that names it (None in a list)."""

    value: Scalar | Broken | list[Node] | dict[str, Node]
    at: Place
    key_at: Place | None = None
    size: int = 1  # values in it, itself included


def read_text(path: Path, *, file: str, max_bytes: int = MAX_BYTES) -> str | Fault:
    """The text of a recipe file, or the fault that keeps it from being read. A byte order mark is dropped."""
    place = Place(file=file, folder=path.parent)
    try:
        with open(path, "rb", opener=_without_waiting) as opened:
            mode = os.fstat(opened.fileno()).st_mode
            if not stat.S_ISREG(mode):
                return Fault(place, "", "is not an ordinary file", expected="a YAML file")
            data = opened.read(max_bytes + 1)
    except FileNotFoundError:
        if path.is_symlink():
            return Fault(place, "", "is a link that leads nowhere", suggestion=f"it leads to {os.readlink(path)}")
        return Fault(place, "", "no such file", suggestion=_nearest_file(path))
    except IsADirectoryError:
        return Fault(place, "", "is a folder", expected="a YAML file")
    except (OSError, ValueError) as error:
        reason = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
        return Fault(place, "", f"cannot be read: {reason.lower()}")
    if len(data) > max_bytes:
        page = _Page(data.decode("utf-8", errors="replace"), file=file, folder=path.parent)
        return Fault(
            page.place(page.length), "", "is too large for a recipe", f"at most {max_bytes:,} bytes, which end here",
            "name many files by a glob, and what is shared in a file of its own with extends:",
        )  # fmt: skip
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or data[:40].count(0) > 10:
        return Fault(place, "", "is UTF-16 or UTF-32", expected="UTF-8", suggestion="save it again as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", errors="replace")
        page = _Page(data.decode("utf-8", errors="replace"), file=file, folder=path.parent)
        message = f"byte 0x{data[error.start]:02x} is not UTF-8"
        return Fault(page.place(len(before)), "", message, expected="UTF-8", suggestion="save it again as UTF-8")


def _without_waiting(path: str, flags: int) -> int:
    """Opens a pipe without waiting for somebody to write into it. Without effect on files."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)


def _nearest_file(path: Path) -> str | None:
    from difflib import get_close_matches

    names = sorted(entry.name for entry in path.parent.glob("*.yaml")) if path.parent.is_dir() else []
    near = get_close_matches(path.name, names, n=1) or get_close_matches(path.name + ".yaml", names, n=1, cutoff=0.9)
    return f"did you mean '{near[0]}'?" if near else None


class _Page:
    """A text that knows where its lines begin. Without `lines`, every place is the whole (an override)."""

    def __init__(self, text: str, *, file: str, folder: Path, lines: bool = True) -> None:
        self.whole = None if lines else Place(file=file, folder=folder)
        self.file, self.folder, self.length = file, folder, len(text)
        rows = re.split("(\r\n|\r|\n)", text)
        self.lines = rows[::2]
        self.starts = [0, *accumulate(len(row) + len(end) for row, end in zip(rows[::2], rows[1::2], strict=False))]

    def place(self, index: int) -> Place:
        if self.whole:
            return self.whole
        line = max(0, bisect_right(self.starts, min(index, self.length)) - 1)
        line = min(line, len(self.lines) - 1)
        return Place(self.file, self.folder, line + 1, index - self.starts[line] + 1, self.lines[line])


class _Stop(Exception):
    """The text cannot be read any further."""


def parse_yaml(
    text: str, *, file: str, folder: Path, faults: list[Fault], lines: bool = True, max_values: int = MAX_VALUES
) -> Node | None:
    """The value in `text`, or None when it cannot be read at all; what is wrong is added to `faults`.

    Args:
        text: YAML.
        file: its name as shown to people.
        folder: what relative paths in it start from.
        faults: gets one fault for each thing that is wrong.
        lines: whether places have line and column; an override on the command line has none.
        max_values: how many values there may be, each counted as often as an alias repeats it.
    """
    page = _Page(text, file=file, folder=folder, lines=lines)
    composer = _Composer(page, _events(text), faults, max_values)
    try:
        return composer.document()
    except _Stop:
        return None
    except Exception as error:  # the parser is not ours: whatever it raises on odd text means "not YAML"
        faults.append(_syntax_fault(error, page, composer.last))
        return None


def _events(text: str) -> Iterator[Any]:
    from ruamel.yaml import YAML

    yaml = YAML(typ="safe", pure=True)
    yield from yaml.parse(text)


_WORDS = (
    (r"'\\t' that cannot start", "a tab where a value or an indent is expected", "YAML indents with spaces"),
    (r"mapping values are not allowed", "a second ': ' in one value", "put the value in quotes"),
    (r"character '[@`%&*!|>]' that cannot start", "text cannot start with this character", "put the value in quotes"),
    (
        r"scanning an alias|did not find expected alphabetic",
        "'*' starts an alias of YAML here",
        "put the value in quotes",
    ),
    (r"scanning an anchor", "'&' starts an anchor of YAML here", "put the value in quotes"),
    (r"escape|too large to convert|chr\(\) arg", "an unknown escape in double quotes", "use single quotes"),
    (r"quoted scalar", "a quote that is never closed", None),
    (r"flow (sequence|mapping)|but found '[\]}]'", "a bracket that is never closed, or a comma that is missing", None),
    (r"could not find expected ':'", "a line without ': '", "write 'key: value'"),
    (r"expected <block end>", "the indent does not fit the lines above", "keys of one section start in one column"),
    (r"special characters are not allowed|unacceptable character", "a control character", "take it out"),
)


def _syntax_fault(error: Exception, page: _Page, last: int) -> Fault:
    told = str(error)
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    position = getattr(error, "position", None)
    index = mark.index if mark is not None else position if isinstance(position, int) else last
    opened = getattr(error, "context_mark", None)
    if opened is not None and index >= page.length:
        index = opened.index  # what is open at the end: show where it began
    for pattern, words, mend in _WORDS:
        if re.search(pattern, told):
            begun = page.place(opened.index).line if opened is not None else None
            if mend is None and begun and begun != page.place(index).line:
                mend = f"what is open there began in line {begun}"
            return Fault(page.place(index), "", f"not valid YAML: {words}", suggestion=mend)
    return Fault(page.place(index), "", "not valid YAML", expected="key: value, indented with spaces")


class _Composer:
    """Events of the parser -> nodes. Recoverable faults leave a BROKEN value; others stop."""

    def __init__(self, page: _Page, events: Iterator[Any], faults: list[Fault], max_values: int) -> None:
        self.page, self.events, self.faults, self.max_values = page, events, faults, max_values
        self.max_faults = len(faults) + MAX_FAULTS
        self.anchors: dict[str, Node | None] = {}
        self.count = self.last = 0

    def next(self) -> tuple[str, Any]:
        event = next(self.events)
        self.last = event.start_mark.index
        return type(event).__name__.removesuffix("Event"), event

    def stop(self, place: Place, message: str, **more: str) -> _Stop:
        self.faults.append(Fault(place, "", message, **more))
        return _Stop()

    def document(self) -> Node:
        nothing = self.page.place(0)
        self.next()
        name, event = self.next()
        if name == "StreamEnd":
            return Node(None, nothing)
        if getattr(event, "version", None) not in (None, (1, 2)):
            raise self.stop(nothing, "asks for another version of YAML", expected="YAML 1.2, without a %YAML line")
        node = self.value("", 0, *self.next())
        self.next()
        name, event = self.next()
        if name != "StreamEnd":
            place = self.page.place(event.start_mark.index)
            raise self.stop(place, "a second YAML document", expected="one document; take out the line '---'")
        return node

    def value(self, key: str, depth: int, name: str, event: Any) -> Node:
        at = self.page.place(event.start_mark.index)
        self.count += 1
        if depth > MAX_DEPTH:
            raise self.stop(at, "is nested too deeply", expected=f"at most {MAX_DEPTH} levels")
        if len(self.faults) >= self.max_faults:
            raise self.stop(at, "too many faults: what follows was not read")
        if name == "Alias":
            return self.alias(event.anchor, at)
        if event.anchor is not None:
            self.anchors[event.anchor] = None  # until it is complete: an alias inside it would be endless
        node: Node
        if name == "MappingStart":
            node = self.mapping(key, depth, at)
        elif name == "SequenceStart":
            node = self.sequence(key, depth, at)
        else:
            node = Node(self.scalar(key, event, at), at)
        if event.ctag is not None:
            tag = str(event.ctag).replace("tag:yaml.org,2002:", "!!", 1)
            self.faults.append(Fault(at, key, f"the tag {tag[:60]}", expected="a plain value: a recipe has no tags"))
            node = Node(BROKEN, at)
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        self.count_up(0, at)
        return node

    def count_up(self, more: int, at: Place) -> None:
        self.count += more
        if self.count > self.max_values:
            most = f"at most {self.max_values:,}, aliases written out"
            raise self.stop(at, "too many values for a recipe", expected=most)

    def alias(self, anchor: str, at: Place) -> Node:
        node = self.anchors.get(anchor)
        if node is None:
            inside = anchor in self.anchors
            message = (
                f"the alias *{anchor[:40]} is inside what it names"
                if inside
                else f"the alias *{anchor[:40]} names nothing"
            )
            raise self.stop(at, message, suggestion="text that starts with * is put in quotes")
        self.count_up(node.size - 1, at)
        return replace(node, at=at)

    def mapping(self, section: str, depth: int, at: Place) -> Node:
        items: dict[str, Node] = {}
        while True:
            name, event = self.next()
            if name == "MappingEnd":
                return Node(items, at, size=1 + sum(item.size for item in items.values()))
            key_at = self.page.place(event.start_mark.index)
            if name != "Scalar":
                raise self.stop(
                    key_at, f"{section + ': ' if section else ''}a key that is not text", expected="key: value"
                )
            key = event.value
            full = f"{section}.{key}" if section else key
            node = replace(self.value(full, depth + 1, *self.next()), key_at=key_at)
            if key == "<<" and event.style is None:
                fault = Fault(
                    key_at,
                    full,
                    "merge keys (<<) are not part of a recipe",
                    suggestion="use extends: for what is shared",
                )
            elif not key or not _is_text(key):
                fault = Fault(key_at, section, "a key without a name", expected="key: value")
            elif key in items:
                first = items[key].key_at
                line = f" (line {first.line})" if first and first.line else ""
                fault = Fault(key_at, full, f"the key is there twice{line}", suggestion="keep one of them")
                items[key] = replace(items[key], value=BROKEN)
            else:
                items[key] = node
                continue
            self.faults.append(fault)

    def sequence(self, key: str, depth: int, at: Place) -> Node:
        items: list[Node] = []
        while True:
            name, event = self.next()
            if name == "SequenceEnd":
                return Node(items, at, size=1 + sum(item.size for item in items))
            items.append(self.value(f"{key}[{len(items)}]", depth + 1, name, event))

    def scalar(self, key: str, event: Any, at: Place) -> Scalar | Broken:
        text: str = event.value
        if not _is_text(text):
            self.faults.append(Fault(at, key, "holds a character that is not text"))
            return BROKEN
        if event.style is not None:
            return text
        try:
            return plain(text)
        except ValueError as error:
            self.faults.append(Fault(at, key, *error.args))
            return BROKEN


def _is_text(text: str) -> bool:
    return "\0" not in text and not any("\ud800" <= char <= "\udfff" for char in text)


_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_OTHER = re.compile(r"[-+]?0[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_ENDLESS = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


def plain(text: str) -> Scalar:
    """The value of an unquoted scalar. Raises ValueError(message, expected, suggestion) on a number that is refused."""
    if text in ("", "~", "null", "Null", "NULL"):
        return None
    if text in ("true", "True", "TRUE", "false", "False", "FALSE"):
        return text.lower() == "true"
    if _OTHER.fullmatch(text):
        digits = text.lstrip("+-").lstrip("0") or "0"
        number = digits if text[-1].isdigit() and "x" not in text and "o" not in text else "the number in decimal"
        raise ValueError(
            "can be read as two different numbers", "a decimal number", f"write {number}, or '{text}' for text"
        )
    if _ENDLESS.fullmatch(text):
        raise ValueError("is not a number to count with", "a finite number", f"write a number, or '{text}' for text")
    if _INT.fullmatch(text):
        if len(text) > 20 or abs(int(text)) >= 2**63:
            raise ValueError(
                "has too many digits", "a number of at most 18 digits", "write a smaller number, or quotes for text"
            )
        return int(text)
    if _FLOAT.fullmatch(text):
        number_read = float(text)
        if number_read in (float("inf"), float("-inf")):
            raise ValueError("is too large", "a finite number", "write a smaller number, or quotes for text")
        return number_read
    return text
