"""Repairs a note's text without ever changing how many lines it has."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field

__all__ = ["Cleaned", "blank_comments", "clean_text"]

# C1 bytes that some editors drop: then `═` (E2 95 90) is left as its first two characters.
_LOST_DOUBLE_BAR = re.compile("\u00e2\u2022(?![\u0080-\u00bf\u0152-\u0178\u02c6\u02dc\u2013-\u203a\u20ac\u2122])")
# What splits or hides text: other line ends, control characters, zero width, bidi, tags, variation selectors.
_LINE_ENDS = re.compile("[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_HIDDEN = re.compile(
    "[\x00-\x08\x0e-\x1b\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0d\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff]"
)
_JOINERS = "\u200c\u200d"
_FENCE = re.compile(r" {0,3}(`{3,}(?=[^`]*$)|~{3,})")
_CODE_OR_COMMENT = re.compile(r"(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)|<!--")
_LONG_LINE = 10_000


@dataclass(frozen=True)
class Cleaned:
    """The text, and the 1-based lines of what was done to it."""

    text: str
    repaired: list[int] = field(default_factory=list)
    """Lines whose mojibake was repaired."""
    hidden: dict[int, int] = field(default_factory=dict)
    """Line -> invisible characters removed there."""


def _repair(line: str) -> str:
    """One line without mojibake.

    Not caught: mojibake that lost characters on its way, except the double bar. A line that shows mojibake
    and its repair side by side is about mojibake, and is left as it is.
    """
    import ftfy

    fixed = ftfy.fix_encoding(_LOST_DOUBLE_BAR.sub("\u00e2\u2022\u0090", line))
    if "\u2022\u0090" in fixed:  # the guess did not fit
        fixed = ftfy.fix_encoding(line)
    if fixed == line or "\n" in fixed or "\r" in fixed:
        return line
    return fixed if set(fixed) - set(line) else line


def _is_joined(line: str, at: int) -> bool:
    """True if the joiner at this place makes one emoji, or joins letters of a script that needs it."""
    before, after = line[at - 1 : at], line[at + 1 : at + 2]
    if before == "\ufe0f" or "\U0001f3fb" <= before <= "\U0001f3ff":
        before = "\u2764"
    return all(letter and ("\u0600" <= letter <= "\u1cff" or _is_picture(letter)) for letter in (before, after))


def _is_picture(letter: str) -> bool:
    return unicodedata.category(letter) == "So" or letter in "\u2640\u2642"


def _reveal(line: str) -> tuple[str, int]:
    """The line without invisible characters, and how many there were. Tabs stay; emoji stay whole."""
    line = _LINE_ENDS.sub(" ", line)
    gone = 0
    out: list[str] = []
    for at, letter in enumerate(line):
        if _HIDDEN.match(letter) and not (letter in _JOINERS and _is_joined(line, at)):
            gone += 1
        else:
            out.append(letter)
    return "".join(out), gone


def blank_comments(text: str) -> tuple[str, list[int]]:
    """The text with its HTML comments emptied in place, and the 1-based lines that they were on.

    Comments shown to the reader stay: in fenced code and in code spans. One that starts a line and never
    ends hides the rest of the note from a reader, and so is blanked to the end.
    Not caught: a fence inside an HTML block, which a reader does not see as one.
    """
    if "<!--" not in text:
        return text, []
    lines = text.split("\n")
    touched: list[int] = []
    fence = ""
    open_comment = False
    ends_later = _next_ends(lines)
    for number, line in enumerate(lines):
        if not open_comment and (mark := _FENCE.match(line)):
            if not fence:
                fence = mark[1]
                continue
            if mark[1].startswith(fence) and not line[mark.end() :].strip():
                fence = ""
                continue
        if fence or not (open_comment or "<!--" in line):
            continue
        out, at = "", 0
        while at < len(line):
            if open_comment:
                touched.append(number + 1)
                end = line.find("-->", at)
                open_comment = end < 0
                at = len(line) if end < 0 else end + 3
                continue
            start, after = _next_comment(line, at)
            # As in CommonMark: one that starts a line is a comment whether it ends or not; one within a
            # paragraph only if it ends there.
            starts_line = start <= 3 and not line[:start].strip()
            if start < 0 or not (starts_line or ends_later[number] or line.find("-->", after) >= 0):
                out += line[at:]
                break
            out += line[at:start]
            at, open_comment = after, True
            touched.append(number + 1)
        if open_comment and not line:
            touched.append(number + 1)
        lines[number] = out.rstrip() if out != line else line
    return "\n".join(lines), sorted(set(touched))


def _next_comment(line: str, at: int) -> tuple[int, int]:
    """Where the next comment starts, and where its content may end from (`<!-->` is a whole comment)."""
    if len(line) > _LONG_LINE:
        start = line.find("<!--", at)
        return start, start + 2
    for match in _CODE_OR_COMMENT.finditer(line, at):
        if match[1] is None:
            return match.start(), match.start() + 2
    return -1, -1


def _next_ends(lines: list[str]) -> list[bool]:
    """For each line: does a later line of the same paragraph (to the next blank line) end a comment?"""
    out = [False] * len(lines)
    for number in range(len(lines) - 2, -1, -1):
        later = lines[number + 1]
        out[number] = "-->" in later or (bool(later.strip()) and out[number + 1])
    return out


def clean_text(text: str) -> Cleaned:
    r"""Repair mojibake, compose accents (NFC), remove invisible characters.

    In: text with `\n` as its only line end. Out: as many lines as before, whether they are counted by
    `split("\n")` or by `splitlines()`.
    """
    lines = text.split("\n")
    repaired: list[int] = []
    hidden: dict[int, int] = {}
    if not text.isascii() or _HIDDEN.search(text) or _LINE_ENDS.search(text):
        for number, line in enumerate(lines):
            if line.isascii() and line.isprintable():
                continue
            fixed = line if line.isascii() else _repair(line)
            if fixed != line:
                repaired.append(number + 1)
            if _HIDDEN.search(fixed) or _LINE_ENDS.search(fixed):
                fixed, gone = _reveal(fixed)
                if gone:
                    hidden[number + 1] = gone
            lines[number] = unicodedata.normalize("NFC", fixed)
    return Cleaned(text="\n".join(lines), repaired=repaired, hidden=hidden)
