"""Secrets that their place hides: private key blocks, table columns, two lines, another encoding."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from urllib.parse import unquote

from components.sncp.placeholders import entropy, is_placeholder, is_strong, is_word_like
from components.sncp.secret_prefixes import RULES, prefixed_secrets
from components.sncp.secret_words import ASSIGNED_NAME, judged
from components.sncp.spans import Span

__all__ = ["placed_secrets"]

_PEM_MARK = re.compile(r"-----(BEGIN|END) [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_PEM_LINES = 250
_PEM_BODY = re.compile(r"[\s>|]*[A-Za-z0-9+/=]{1,120}\s*|[\s>|]*[A-Za-z-]+: .{0,100}|[\s>|]*")
_DELIMITER = re.compile(r"[ \t>]*\|?[ \t]*:?-{2,}:?[ \t]*(?:\|[ \t]*:?-{2,}:?[ \t]*)*\|?[ \t]*")
_COLUMN = re.compile(rf"(?ix) \W* (?: {ASSIGNED_NAME} | pw | pin | chiave )s? (?: [ ] [\w().-]{{1,20}} ){{0,2}} \W*")
_NAME_ALONE = re.compile(
    rf"(?ix) .{{0,60}}? (?P<name> {ASSIGNED_NAME} ) [\"'`*_\])]{{0,4}} [ ]{{0,3}} [:=] [ ]* [>|]?[-+]? [ ]* \\?"
)
_ENDS_A_NAME = tuple(":=>|-+")
_LONE_WORD = re.compile(r"[ \t>|]*[\"'`]?(?P<word>[A-Za-z0-9_.+/=!@#$%^&*?~-]{6,200})[\"'`]?[ \t,;]*")
_ENCODED = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{16,4000}={0,2}(?![A-Za-z0-9+/_=-])")
_QUOTED = re.compile(r"[A-Za-z0-9._~-]{0,300}(?:%[0-9A-Fa-f]{2}[A-Za-z0-9._~-]{0,300}){1,100}")
_PAIR_OR_PASSWORD = re.compile(r"[\w.@+-]{2,60}:(?P<password>\S{6,100})")

Finder = Callable[[str], Iterator[Span]]


def placed_secrets(text: str, *, find: Finder) -> Iterator[Span]:
    """What is only seen by looking at more than one place. `find` gives the secrets of a text that was decoded."""
    if "PRIVATE KEY" in text:
        yield from _pem(text)
    lines = text.split("\n")
    if "|" in text and "--" in text:
        yield from _columns(lines)
    yield from _over_two_lines(lines)
    yield from _encoded(text, find)


def _pem(text: str) -> Iterator[Span]:
    """Private key blocks to their END line; without one, as far as the lines look like a key's body."""
    marks = list(_PEM_MARK.finditer(text))
    for mark, following in zip(marks, [*marks[1:], None], strict=True):
        if mark[1] == "END":
            continue
        if following and following[1] == "END" and text.count("\n", mark.end(), following.start()) <= _PEM_LINES:
            end = following.end()
        else:
            end = _end_of_body(text, mark.end(), following.start() if following else len(text))
        body = re.sub(r"[^A-Za-z0-9+/]", "", text[mark.end() : end].replace("\\n", ""))[:400]
        # Words about keys hold few digits and letters of one case: their entropy stays near 4 bits.
        if len(body) >= 40 and any(map(str.isdigit, body)) and entropy(body) >= 4.5:
            yield Span(mark.start(), end, "private-key")


def _end_of_body(text: str, at: int, limit: int) -> int:
    end = min(limit, text.find("\n", at) if "\n" in text[at:limit] else limit)
    while end < limit:
        stop = text.find("\n", end + 1, limit)
        line = text[end + 1 : stop if stop >= 0 else limit]
        if not line.strip() or not _PEM_BODY.fullmatch(line):
            break
        end += 1 + len(line)
    return end


def _columns(lines: list[str]) -> Iterator[Span]:
    """Cells of a Markdown table whose column is headed `Password`, `Token`, `API key` and the like."""
    at = 0
    columns: list[int] = []
    for number, line in enumerate(lines):
        start, at = at, at + len(line) + 1
        if "|" not in line or len(line) > 4_000:
            columns = []
            continue
        if number + 1 < len(lines) and "--" in lines[number + 1] and _DELIMITER.fullmatch(lines[number + 1]):
            columns = [place for place, (_, cell) in enumerate(_cells(line)) if _COLUMN.fullmatch(cell)]
            heads = [cell for _, cell in _cells(line)]
            continue
        if not columns or _DELIMITER.fullmatch(line):
            continue
        cells = _cells(line)
        for place in columns:
            if place >= len(cells):
                continue
            first, cell = cells[place]
            value = cell.strip(" \t`*_\"'")
            begin = start + first + cell.find(value)
            if _is_cell_secret(heads[place], value):
                yield Span(begin, begin + len(value), "table-secret")


def _is_cell_secret(head: str, value: str) -> bool:
    """A value of one word that could be the secret its column promises: 4 digits are one where the head says PIN."""
    if re.search(r"(?i)\bpin\b", head):
        return bool(re.fullmatch(r"[0-9]{4,8}", value))
    if " " in value or is_placeholder(value):
        return False
    if judged(head, value):
        return True
    return bool(re.search(r"(?i)pass|pwd|psw|\bpw|credenzial|credential|segret|secret", head)) and (
        len(value) >= 6 and not is_word_like(value)
    )


def _cells(line: str) -> list[tuple[int, str]]:
    """(place in the line, text) of the cells between unescaped bars."""
    bars = [match.start() for match in re.finditer(r"(?<!\\)\|", line)]
    if line[: bars[0]].strip(" \t>"):
        bars.insert(0, -1)
    if line[bars[-1] + 1 :].strip():
        bars.append(len(line))
    return [(bar + 1, line[bar + 1 : after]) for bar, after in zip(bars, bars[1:], strict=False)]


def _over_two_lines(lines: list[str]) -> Iterator[Span]:
    """A key that goes on in the next line (a folded YAML value, a hard wrap), or whose name stands alone above it."""
    at = 0
    for number, line in enumerate(lines[:-1]):
        start, at = at, at + len(line) + 1
        following = lines[number + 1]
        bare = following.strip(" \t>|")
        if not 6 <= len(bare) <= 300 or " " in bare:  # quick: hardly any line is one word
            continue
        if not (lone := _LONE_WORD.fullmatch(following)):
            continue
        word, before = lone["word"], line.rstrip(" \t\\\"'")
        end = at + lone.end("word")
        if before[-1:] in _ENDS_A_NAME and (named := _NAME_ALONE.fullmatch(line[:200])):
            if judged(named["name"], word):
                yield Span(at + lone.start("word"), end, "assigned-secret")
            continue
        last = before[-300:].replace("\t", " ").rsplit(" ", 1)[-1]
        if len(last) < 6 or not any(mark in last for rule in RULES for mark in rule.marks):
            continue
        for span in prefixed_secrets(last + word):
            if span.start < len(last) < span.end:
                begin = start + len(before) - len(last) + span.start
                yield Span(begin, at + lone.start("word") + span.end - len(last), span.rule, span.shown)


def _encoded(text: str, find: Finder) -> Iterator[Span]:
    """base64 of a key or of `user:password`, and a URL in a URL: decoded once, and looked at again."""
    words = [word for word in text.split() if len(word) >= 16]
    if any(map(_may_be_base64, words)):
        for match in _ENCODED.finditer(text):
            if _may_be_base64(match[0]) and (plain := _from_base64(match[0])) and _is_secret(plain, find):
                yield Span(match.start(), match.end(), "base64-secret")
    if any("%" in word for word in words):
        for match in _QUOTED.finditer(text):
            if len(match[0]) >= 16 and any(find(unquote(match[0]))):
                yield Span(match.start(), match.end(), "encoded-secret")


def _may_be_base64(word: str) -> bool:
    """Quick: text in base64 mixes capitals with small letters."""
    return not word.islower() and not word.isupper() and not word.istitle()


def _from_base64(word: str) -> str | None:
    """What it says, if that is printable ASCII; random bytes hardly ever are."""
    bare = word.rstrip("=").replace("-", "+").replace("_", "/")
    if len(bare) % 4 == 1:
        return None
    try:
        data = base64.b64decode(bare[:4_000] + "=" * (-len(bare[:4_000]) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    text = data.decode("ascii", "replace").strip("\r\n")
    return text if len(text) >= 10 and text.isascii() and text.replace("\n", "").isprintable() else None


def _is_secret(plain: str, find: Finder) -> bool:
    if any(find(plain)):
        return True
    if pair := _PAIR_OR_PASSWORD.fullmatch(plain):
        return is_strong(pair["password"]) and not is_placeholder(pair["password"])
    return False
