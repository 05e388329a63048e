"""Finds secrets in a note and masks them in place."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from components.sncp.document import Finding
from components.sncp.secret_rules import (
    ASSIGNED,
    AWS_SECRET,
    RULES,
    borrowed_patterns,
    entropy,
    is_placeholder,
    is_strong,
    is_token,
    is_word_like,
)

__all__ = ["redact"]

_WINDOW = 8_000
_OVERLAP = 500
_PEM_MARK = re.compile(r"-----(BEGIN|END) [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_PEM_LINES = 250
_PEM_BODY = re.compile(r"[\s>|]*[A-Za-z0-9+/=]{1,120}\s*|[\s>|]*[A-Za-z-]+: .{0,100}|[\s>|]*")
_AWS_WORDS = re.compile(r"(?i)aws|secret.?access|AKIA|ASIA")


@dataclass(frozen=True)
class _Span:
    start: int
    end: int
    rule: str
    prefix_is_public: bool


def redact(text: str, *, path: str) -> tuple[str, list[Finding]]:
    """Mask every secret as `[REDACTED:rule]`; the number of lines stays, placeholders stay.

    Sure to be caught: keys with their maker's prefix (the table in secret_rules.py), private key blocks,
    passwords in URLs, bearer tokens, `password = value` and its like where the value looks real.
    NOT caught: a secret without a prefix or a telling word before it; a password that is a plain word, or
    stands after a user name (`admin / ...`); one in a table column that only the header names; one broken
    over two lines; one in a file name; one in another encoding (base64 of a key); personal data such as IBANs
    or phone numbers.
    So this is a first net, not a permission to publish.
    """
    spans = _merge(sorted(_spans(text), key=lambda span: (span.start, -span.end)))
    if not spans:
        return text, []
    starts = [0] + [match.end() for match in re.finditer("\n", text)]
    out: list[str] = []
    findings: list[Finding] = []
    at = 0
    for span in spans:
        secret = text[span.start : span.end]
        out.append(text[at : span.start])
        out.append(_mask(secret, span.rule))
        at = span.end
        shown = f"{secret[:4]}…" if span.prefix_is_public else "…"
        line = bisect_right(starts, span.start)
        findings.append(Finding(rule=span.rule, path=path, line=line, masked=f"{shown}({len(secret)})"))
    out.append(text[at:])
    return "".join(out), findings


def _mask(secret: str, rule: str) -> str:
    return "\n".join(f"[REDACTED:{rule}]" if line.strip() else line for line in secret.split("\n"))


def _merge(spans: list[_Span]) -> list[_Span]:
    """Join spans that overlap, under the name of the first."""
    out: list[_Span] = []
    for span in spans:
        if out and span.start < out[-1].end:
            last = out.pop()
            span = _Span(last.start, max(last.end, span.end), last.rule, last.prefix_is_public)
        out.append(span)
    return out


def _windows(text: str) -> Iterator[tuple[int, str]]:
    """The text in pieces of whole lines, long lines cut with an overlap: no pattern can run away on one."""
    at = 0
    while at < len(text):
        end = text.rfind("\n", at, at + _WINDOW) + 1
        if end > at:
            yield at, text[at:end]
            at = end
            continue
        yield at, text[at : at + _WINDOW]
        if at + _WINDOW >= len(text):
            return
        newline = text.find("\n", at, at + _WINDOW)
        at = newline + 1 if newline >= 0 else at + _WINDOW - _OVERLAP


def _spans(text: str) -> Iterator[_Span]:
    if "PRIVATE KEY" in text:
        yield from _pem(text)
    rules = [rule for rule in RULES if any(prefix in text for prefix in rule.prefixes)]
    for offset, piece in _windows(text):
        for rule in rules:
            if any(prefix in piece for prefix in rule.prefixes):
                for match in rule.pattern.finditer(piece):
                    yield from _judge(rule.name, match, offset)
        for name, words, pattern in borrowed_patterns():
            if any(word in piece for word in words):
                for match in pattern.finditer(piece):
                    yield from _borrowed(name, match, offset)
        for match in ASSIGNED.finditer(piece):
            yield from _assigned(match, offset)
        if _AWS_WORDS.search(piece):
            for match in AWS_SECRET.finditer(piece):
                if is_token(match[0]) and _near_aws(piece, match.start()):
                    yield _Span(offset + match.start(), offset + match.end(), "aws-secret-key", False)


def _judge(name: str, match: re.Match[str], offset: int) -> Iterator[_Span]:
    """A match of one of our rules, unless it is a placeholder."""
    group = match.lastindex or 0
    value = match[group]
    if name == "url-password":
        real = not is_placeholder(value)
    elif name == "basic-auth":
        real = not is_placeholder(value)
    else:
        real = is_token(value)
    if real:
        start, end = match.span(group)
        yield _Span(offset + start, offset + end, name, group == 0)


def _borrowed(name: str, match: re.Match[str], offset: int) -> Iterator[_Span]:
    """A match of detect-secrets: its longest group if that can be the secret, else the whole."""
    groups = [number for number in range(1, match.re.groups + 1) if len(match[number] or "") >= 16]
    group = max(groups, key=lambda number: len(match[number]), default=0)
    if is_token(match[group].strip()) and any(c.isdigit() for c in match[group]):
        start, end = match.span(group)
        yield _Span(offset + start, offset + end, name, False)


def _assigned(match: re.Match[str], offset: int) -> Iterator[_Span]:
    """A value behind a telling word, if it looks like one that is in use."""
    before = match.string[: match.start()][-1:]
    if before.isalpha() and not (before.islower() and match[0][0].isupper()):
        return  # the end of another word: `bypass`; but not `dbPassword`
    value = match["value"].rstrip(".,;:)]}*_")
    name = match["name"].lower()
    is_password = any(word in name for word in ("pass", "pwd", "parola"))
    if is_placeholder(value) or is_word_like(value) or "](" in value or "://" in value:
        return
    if not match["sign"] and not (is_password and is_strong(value)):
        return
    if is_password or (is_token(value) and any(c.isdigit() for c in value)):
        rule = "password" if is_password else "assigned-secret"
        yield _Span(offset + match.start("value"), offset + match.start("value") + len(value), rule, False)


def _near_aws(piece: str, at: int) -> bool:
    """True if a word of AWS stands on the same line or the three before or after it."""
    first = at
    for _ in range(4):
        first = piece.rfind("\n", 0, max(first, 0))
        if first < 0:
            break
    last = at
    for _ in range(4):
        last = piece.find("\n", last + 1)
        if last < 0:
            break
    return bool(_AWS_WORDS.search(piece[max(first, 0) : last if last >= 0 else len(piece)]))


def _pem(text: str) -> Iterator[_Span]:
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
            yield _Span(mark.start(), end, "private-key", False)


def _end_of_body(text: str, at: int, limit: int) -> int:
    end = min(limit, text.find("\n", at) if "\n" in text[at:limit] else limit)
    while end < limit:
        stop = text.find("\n", end + 1, limit)
        line = text[end + 1 : stop if stop >= 0 else limit]
        if not line.strip() or not _PEM_BODY.fullmatch(line):
            break
        end += 1 + len(line)
    return end
