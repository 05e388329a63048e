"""One row's bytes -> its JSON value, and what is wrong with them: faults of JSON and of encoding, doubled keys.

Rows are parsed by orjson. It takes the last of two equal keys, makes floats of huge integers and refuses lone
surrogates without saying where, so a row that looks like it goes through the slower parser of the standard library.

**Not caught**: white space or numbers that another parser would write differently (`1.0`, `1e0`); they mean the same.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import orjson

from components.dataset.conversation import MISSING
from components.dataset.findings import Hit
from components.sncp.redact import redact

__all__ = ["DEEPEST", "end_of_value", "examined", "parse_row", "shown"]

DEEPEST = 62
"""Levels of lists and objects within a row that Arrow can hold; deeper rows are not read."""

_MOST_DIGITS = 4300  # of an integer; Python reads no longer ones
_MOST_DUPLICATES = 20  # told of one row
_TURNS = ("conversations", "conversation", "messages")
_CONTAINERS = frozenset({dict, list})
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[{]|[\]}]|"', re.DOTALL)
_SCALAR = re.compile(rb"[^,\]}\s]+")
_CONSTANT = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|(-?Infinity|NaN)', re.DOTALL)
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_LONE = re.compile("[\ud800-\udfff]")
_PERSONAL = ("codice_fiscale", "partita_iva", "iban", "card", "phone", "email")


class _BadNumber(Exception):
    """A number that is none in JSON, or that no reader can hold."""


def parse_row(raw: bytes, *, line: int) -> tuple[Any, tuple[Hit, ...]]:
    """The value of a row, MISSING where it cannot be read, and what is wrong with it.

    Args:
        raw: the row's bytes, white space around it allowed.
        line: of the file where it begins, for messages.
    """
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return _careful(raw, line)
    return examined(raw, value, line=line)


def examined(raw: bytes, value: Any, *, line: int) -> tuple[Any, tuple[Hit, ...]]:
    """As `parse_row`, of bytes that orjson has parsed already."""
    # Written anew, a sound row has as many quotes as before; a lost key takes two with it. In doubt: the slow way.
    try:
        again = orjson.dumps(value)
    except TypeError:  # nested too deep to be written
        return _careful(raw, line)
    if (
        raw.count(b'"') != again.count(b'"')
        or (b"\\u00" in raw and (b"\\u0022" in raw or b"\\u0000" in raw))  # a quote, or NUL
        or (b"+" in again and b"e+" in again)  # perhaps an integer of many digits, of which orjson made a float
        or (again.count(b"[") + again.count(b"{") > DEEPEST and _depth(value) > DEEPEST)
    ):
        return _careful(raw, line)
    return value, ()


def end_of_value(data: bytes | bytearray, start: int) -> int | None:
    """Where the JSON value ends that begins at `start`, by its brackets and quotes alone; None: not within `data`."""
    first = data[start : start + 1]
    if first not in (b"{", b"[", b'"'):
        match = _SCALAR.match(data, start)
        return match.end() if match and match.end() < len(data) else None
    depth = 0
    for match in _TOKEN.finditer(data, start):
        token = data[match.start()]
        if token in b"{[":
            depth += 1
        elif token in b"}]":
            depth -= 1
        elif match.end() - match.start() == 1:  # a quote that is never closed
            return None
        if depth == 0:
            return match.end()
    return None


def shown(text: str, most: int = 60) -> str:
    """The beginning of a text as it may stand in a message: secrets and personal data masked, on one line."""
    masked = redact(text[:400], path="", personal_data=_PERSONAL)[0]  # type: ignore[arg-type]
    flat = " ".join(masked.split())
    flat = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in flat)
    return flat if len(flat) <= most else f"{flat[:most]}…"


def _depth(value: Any) -> int:
    """Levels of lists and objects, counted up to one too many."""
    depth = 0
    level = [value] if type(value) in _CONTAINERS else []
    while level and depth <= DEEPEST:
        values = [node.values() if type(node) is dict else node for node in level]
        level = [each for node in values for each in node if type(each) in _CONTAINERS]
        depth += 1
    return depth


def _careful(raw: bytes, line: int) -> tuple[Any, tuple[Hit, ...]]:
    """The slow way: everything that is wrong, with its place."""
    hits: list[Hit] = []
    if raw.lstrip().startswith(b"\xef\xbb\xbf"):
        hits.append(Hit("A2", "a byte order mark (U+FEFF) before the row", fix="remove the mark"))
        raw = raw.lstrip()[3:]
    try:
        text = raw.rstrip().decode()
    except UnicodeDecodeError as error:
        at = _place(raw[: error.start].decode(), line)
        guess = raw[error.start : error.end].decode("cp1252", errors="ignore")
        looks = f"; it may be Windows-1252, where it is `{guess}`" if guess.isprintable() and guess else ""
        hits.append(Hit("A2", f"byte 0x{raw[error.start]:02X} at {at} is not UTF-8{looks}"))
        return MISSING, tuple(hits)
    if "\0" in text:
        hits.append(Hit("A2", f"a NUL byte at {_place(text[: text.index(chr(0))], line)}", fix="remove it"))
        return MISSING, tuple(hits)
    doubled: list[tuple[dict[str, Any], str]] = []
    try:
        value = _decoder(doubled).decode(text)
    except json.JSONDecodeError as error:
        hits.append(Hit("A1", _fault(text, error, line)))
    except _BadNumber as error:
        match = next((match for match in _CONSTANT.finditer(text) if match[1]), None)
        at = f" at {_place(text[: match.start()], line)}" if match else ""
        hits.append(Hit("A1", f"{error}{at}: {shown(text)}"))
    except RecursionError:
        hits.append(_too_deep(text, line))
    else:
        if _depth(value) > DEEPEST:
            return MISSING, (*hits, _too_deep(text, line))
        return value, (*hits, *_doubled_hits(value, doubled), *_surrogate_hits(value, text))
    return MISSING, tuple(hits)


def _decoder(doubled: list[tuple[dict[str, Any], str]]) -> json.JSONDecoder:
    """A decoder that notes keys which stand twice in an object, and refuses numbers that JSON does not have."""

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(items)
        if len(found) != len(items) and len(doubled) < _MOST_DUPLICATES:
            doubled.extend((found, key) for key, times in Counter(key for key, _ in items).items() if times > 1)
        return found

    def integer(digits: str) -> int:
        if len(digits) > _MOST_DIGITS:
            raise _BadNumber(f"a number of {len(digits):,} digits")
        return int(digits)

    def real(digits: str) -> float:
        number = float(digits)
        if math.isinf(number):
            raise _BadNumber(f"a number too large, {digits[:20]}")
        return number

    def constant(name: str) -> float:
        raise _BadNumber(f"{name}, which JSON does not have,")

    return json.JSONDecoder(object_pairs_hook=pairs, parse_int=integer, parse_float=real, parse_constant=constant)


def _place(before: str, line: int) -> str:
    """`line:column` of what follows `before`, which begins at the beginning of `line`."""
    return f"{line + before.count(chr(10))}:{len(before) - (before.rfind(chr(10)) + 1) + 1}"


def _fault(text: str, error: json.JSONDecodeError, line: int) -> str:
    """What the parser says, in words for a person, with its place and the beginning of the line."""
    rest = text[error.pos :].strip()
    begin = text.rfind("\n", 0, error.pos) + 1
    words = error.msg[:1].lower() + error.msg[1:]
    if not rest:
        words = f"it ends in the middle ({words})"
    elif error.msg == "Unterminated string starting at":
        words = "a text begins and is not closed"
    elif error.msg.startswith("Invalid control character at"):
        words = (
            f"a character within a text that must be written as \\u{ord(text[error.pos]):04x}, or a quote is missing"
        )
    elif error.msg == "Extra data":
        words = "a comma after the row" if rest == "," else "more text after the end of the row"
    elif rest[0] == "'":
        words = "single quotes, where JSON has double ones"
    elif rest[:4] in ("None", "True", "Fals"):
        words = f"Python's {rest[:5].rstrip(',]} ')}, where JSON has null, true and false"
    return (
        f"not JSON at {_place(text[: error.pos], line)}: {words}; the line begins: {shown(text[begin : begin + 400])}"
    )


def _too_deep(text: str, line: int) -> Hit:
    return Hit("A1", f"nested more than {DEEPEST} levels deep, which Arrow cannot hold: {shown(text[:100])}")


def _doubled_hits(value: Any, doubled: list[tuple[dict[str, Any], str]]) -> Iterator[Hit]:
    """A4, with the turn where the object is one."""
    turns = {id(turn): at for at, turn in enumerate(_turns(value))}
    for found, key in doubled[:_MOST_DUPLICATES]:
        where = "the row" if found is value else "a turn" if id(found) in turns else "an object"
        message = (
            f"the key `{shown(key, 40)}` stands more than once in {where}; the last one counts, the others are lost"
        )
        yield Hit("A4", message, turn=turns.get(id(found)))


def _surrogate_hits(value: Any, text: str) -> Iterator[Hit]:
    """A2: halves of surrogate pairs, which UTF-8 cannot hold, and NUL, which many programs end a text at."""
    if not _SURROGATE.search(text) and "\\u0000" not in text:
        return
    turns = _turns(value)
    rest = {key: each for key, each in value.items() if each is not turns} if isinstance(value, dict) else value
    for turn, part in ((None, rest), *enumerate(turns)):
        strings = list(_strings(part))
        lone = next((match for string in strings if (match := _LONE.search(string))), None)
        if lone:
            message = f"half of a surrogate pair, \\u{ord(lone[0]):04x}, which is no character"
            yield Hit("A2", message, turn=turn, fix="write the whole character")
        if any("\0" in string for string in strings):
            yield Hit("A2", "a NUL character, \\u0000", turn=turn, fix="remove it", severity="warning")


def _turns(value: Any) -> list[Any]:
    """The list of turns of a row, empty where it has none."""
    found = next((value[key] for key in _TURNS if key in value), None) if isinstance(value, dict) else None
    return found if isinstance(found, list) else []


def _strings(value: Any) -> Iterator[str]:
    """All texts in a value, keys included."""
    stack = [value]
    while stack:
        node = stack.pop()
        if isinstance(node, str):
            yield node
        elif isinstance(node, dict):
            stack += (*node, *node.values())
        elif isinstance(node, list):
            stack += node
