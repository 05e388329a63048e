"""Markdown into sections with their lines, and what decoration costs taken out of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from components.index.blocks import front_matter_lines

__all__ = ["Section", "compress", "split_sections"]

_NEWLINE = re.compile(r"\r\n|\r|\n")
_BARE_FENCE = re.compile(r"\s*(`{3,}|~{3,})\s*(text|txt)?\s*$", re.IGNORECASE)
_RULE = re.compile(r"\s*(?:[=\-_*~#+\u2500-\u259f]\s*){3,}$")
_FRAME = re.compile(r"\s*\+[=\-+]{3,}\+\s*$")
_BOX = re.compile(r"[\u2500-\u259f]+")


@dataclass(frozen=True)
class Section:
    """A heading with its own body, up to the next heading of any level.

    Level 0 without heading is what stands before the first heading. Lines are 1-based and inclusive, and the
    sections of a text cover all its lines. `parents` are positions in the list of sections, outermost first.
    `heading_last_line` is the last line of the heading itself (two lines when it is underlined), 0 for level 0.
    """

    source: str
    level: int
    heading: str
    parents: tuple[int, ...]
    first_line: int
    heading_last_line: int
    last_line: int
    body: str

    @property
    def block(self) -> str:
        """The section as it stands in a prompt."""
        return "\n".join(part for part in (self.title, self.body) if part)

    @property
    def title(self) -> str:
        """The heading as an ATX heading; empty for level 0."""
        return f"{'#' * self.level} {self.heading}" if self.level else ""


def split_sections(text: str, *, source: str) -> list[Section]:
    """Sections of `text` in their order, bodies compressed (see `compress`).

    Headings are those of CommonMark at the top level: not in code, quotes or lists. Front matter belongs to level 0.
    """
    from markdown_it import MarkdownIt

    lines = _NEWLINE.split(text)
    if lines and not lines[-1]:
        lines.pop()  # the end of the last line is not a line
    matter = front_matter_lines(lines)  # its closing rule would make a heading of its last key
    blanked = [""] * matter + lines[matter:]
    tokens = MarkdownIt("commonmark").parse("\n".join(blanked))
    headings: list[tuple[int, int, int, str]] = []  # first line and end (0-based, exclusive), level, text
    fences: list[tuple[int, int]] = []
    for position, token in enumerate(tokens):
        if token.map is None:
            continue
        if token.type == "fence":
            fences.append((token.map[0], token.map[1]))
        elif token.type == "heading_open" and token.level == 0:
            heading = " ".join(tokens[position + 1].content.split())
            headings.append((token.map[0], token.map[1], int(token.tag[1:]), heading))

    starts = [(0, 0, 0, ""), *headings] if not headings or headings[0][0] > 0 else headings
    ends = [start for start, *_ in starts[1:]] + [len(lines)]
    sections: list[Section] = []
    open_sections: list[int] = []
    for position, ((start, body_start, level, heading), end) in enumerate(zip(starts, ends, strict=True)):
        while open_sections and sections[open_sections[-1]].level >= level:
            open_sections.pop()
        sections.append(
            Section(
                source=source,
                level=level,
                heading=heading,
                parents=tuple(open_sections),
                first_line=start + 1,
                heading_last_line=body_start,
                last_line=end,
                body=compress(lines[body_start:end], fences=[(a - body_start, b - body_start) for a, b in fences]),
            )
        )
        if level:
            open_sections.append(position)
    return [section for section in sections if section.level or section.last_line]


def compress(lines: Sequence[str], *, fences: Sequence[tuple[int, int]] = ()) -> str:
    """Text of `lines` without decoration: frames, rules, box art, fences without a language, repeated blank lines.

    No word is taken out. `fences` are (first, end) positions in `lines` of fenced blocks, end exclusive; a block that
    names a language is code and stays as it is. Positions outside of `lines` are ignored.
    """
    verbatim: set[int] = set()
    dropped: set[int] = set()
    for first, end in fences:
        if not 0 <= first < len(lines):
            continue
        if not _BARE_FENCE.match(lines[first]):
            verbatim.update(range(first, end))
            continue
        dropped.add(first)
        if end - 1 > first and end <= len(lines) and _BARE_FENCE.match(lines[end - 1]):
            dropped.add(end - 1)

    kept: list[str] = []
    framed = False
    for position, line in enumerate(lines):
        if position in verbatim:
            kept.append(line)
            continue
        if position in dropped:
            continue
        if _FRAME.match(line):
            framed = not framed
            continue
        line = "" if _RULE.match(line) else _BOX.sub("", line).rstrip()
        stripped = line.strip()
        if framed and stripped.startswith("|") and stripped.endswith("|"):
            line = stripped[1:-1].strip()
        if line.strip() or (kept and kept[-1]):
            kept.append(line if line.strip() else "")
    return "\n".join(kept).strip("\n")
