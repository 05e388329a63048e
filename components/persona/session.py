"""PROMPT_RIPRESA -> session context within its own budget: where the work stands today."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypeVar

from components.errors import InputError, TerminalError
from components.persona.markdown import Section, split_sections
from components.persona.prompt import merge_ranges

if TYPE_CHECKING:
    from components.llm import Tokenizer
    from components.sncp import Document

__all__ = ["Session", "choose_session", "is_resumable", "session_context"]

_MONTHS = (
    "gen jan",
    "feb",
    "mar",
    "apr",
    "mag may",
    "giu jun",
    "lug jul",
    "ago aug",
    "set sep",
    "ott oct",
    "nov",
    "dic dec",
)
_ISO = re.compile(r"\b(\d{4})-(\d{2})-(\d{2})\b")
_DAY = re.compile(r"\b(\d{1,2})\s+([a-z]{3})[a-z]*\.?\s+(\d{4})\b", re.IGNORECASE)
_DELIMITER = re.compile(r"\s*\|?[\s:|]*-{2,}[\s:|-]*$")
_SESSION = re.compile(r"\W*(?:sessione|session|s)\s?(\d{1,5})\b", re.IGNORECASE)  # at the beginning only


@dataclass(frozen=True)
class Session:
    """Session context: whole sections, the last one perhaps cut after a whole line.

    `first_line` and `last_line` (1-based, inclusive) enclose what is in; `ranges` says it exactly. `tokens` are
    those of `text`, by the tokenizer named `tokenizer`. `left_out` are headings that found no room, whole or in part.
    """

    text: str
    tokens: int
    path: str
    first_line: int
    last_line: int
    ranges: tuple[tuple[int, int], ...]
    left_out: tuple[str, ...]
    tokenizer: str
    local: bool = False
    """Whether it must not leave this machine."""

    def in_prompt(self, path: str, first_line: int, last_line: int) -> bool:
        """Whether all these lines of `path` stand in the session context already."""
        return path == self.path and any(a <= first_line and last_line <= b for a, b in self.ranges)

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {**asdict(self), "ranges": [list(lines) for lines in self.ranges], "left_out": list(self.left_out)}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Session:
        """The inverse of `to_dict`."""
        ranges = tuple((int(first), int(last)) for first, last in value["ranges"])
        return cls(**{**value, "ranges": ranges, "left_out": tuple(value["left_out"])})


def session_context(*, text: str, path: str, max_tokens: int, tokenizer: Tokenizer) -> Session:
    """The newest of a note that says where the work stands, in the note's own order, after a line that names it.

    Sections go in from the top. Where headings carry dates or session numbers, these sections trade places so that
    the newest comes first, whether the note grows at its top or at its end. The first section that does not fit is
    taken as far as its whole lines fit, and ends the context.

    Args:
        text: Markdown of the note, with the lines of the file.
        path: the document's path in the index.
        max_tokens: of the whole text, by `tokenizer`.
        tokenizer: `.count(text)` and `.name`.

    Raises:
        InputError: the note is empty.
        TerminalError: not even its first line fits; the message says how many tokens it takes.
    """
    sections = split_sections(text, source=path)
    if not any(section.body for section in sections):
        raise InputError(f"{path}: the note for persona.session is empty; name another one with persona.session.path")
    blocks: dict[int, tuple[str, int]] = {}  # position -> its block, last line of it that is in
    left_out: list[str] = []
    for position in _newest_first(sections):
        section = sections[position]
        whole = {**blocks, position: (section.block, section.last_line)}
        if tokenizer.count(_assemble(path, sections, whole)) <= max_tokens:
            blocks = whole
            continue
        part = _as_many_lines_as_fit(
            path, sections, blocks, position, text=text, max_tokens=max_tokens, tokenizer=tokenizer
        )
        if part is not None:
            blocks[position] = part
        left_out = [
            s.heading or "(before the first heading)" for p, s in enumerate(sections) if s.body and p not in blocks
        ]
        if part is not None:
            left_out.append(f"{section.heading or '(before the first heading)'} (in part)")
        break
    if not any(sections[p].body for p in blocks):
        first = next(p for p in _newest_first(sections) if sections[p].body)
        needed = tokenizer.count(_assemble(path, sections, {first: (sections[first].block, sections[first].last_line)}))
        raise TerminalError(
            f"{path}: persona.session.max_tokens is {max_tokens}, too few for even one line of the note; "
            f'"{sections[first].heading}" takes {needed} tokens ({tokenizer.name}): raise it to at least that'
        )
    ranges = _line_ranges(sections, blocks, path)
    result = _assemble(path, sections, blocks)
    return Session(
        text=result,
        tokens=tokenizer.count(result),
        path=path,
        first_line=ranges[0][0],
        last_line=ranges[-1][1],
        ranges=ranges,
        left_out=tuple(left_out),
        tokenizer=tokenizer.name,
    )


def is_resumable(document: Document) -> bool:
    """Whether session context may be taken from this note unasked: a current PROMPT_RIPRESA with a text."""
    return document.kind == "resume" and document.status == "current" and bool(document.text.strip())


DocumentT = TypeVar("DocumentT", bound="Document")


def choose_session(documents: Iterable[DocumentT], path: str | None) -> DocumentT:
    """The note for the session context: the one at `path`, else the newest current one of kind `resume`.

    A date that comes from the note goes before one of the file system, which a fresh copy makes new.

    Raises:
        InputError: there is no such note; the message names those that could be meant.
    """
    found = list(documents)
    resumes = [document for document in found if document.kind == "resume"]
    if path is not None:
        for document in found:
            if path == document.path or path in document.paths:
                return document
        names = [name for document in found for name in document.paths]
        meant = get_close_matches(path, names, n=3, cutoff=0.5) or [document.path for document in resumes[:5]]
        raise InputError(
            f"persona.session.path: there is no note {path} among the {len(found)} collected (paths are relative to "
            f"sncp.root). {_candidates(meant)}"
        )
    current = [document for document in resumes if is_resumable(document)]
    if not current:
        others = [f"{document.path} ({document.status})" for document in resumes[:5]]
        raise InputError(
            f"persona.session: none of the {len(found)} notes is a current PROMPT_RIPRESA*.md (kind resume). "
            f"{_candidates(others)} Name a note with persona.session.path, or leave persona.session out"
        )
    dated = sorted(current, key=lambda document: document.path)
    return max(dated, key=lambda document: (document.date_source not in (None, "file time"), document.date or ""))


def _candidates(names: Sequence[str]) -> str:
    return f"It could be: {', '.join(names)}." if names else "There is no candidate."


def _newest_first(sections: Sequence[Section]) -> list[int]:
    """Positions in the order of the file, but dated groups newest first in the places that they hold.

    A group is a section with what is nested in it; the outermost level that has dates or session numbers decides.
    Dates and session numbers cannot be compared, so a note that mixes them keeps its order.
    """
    ages = [_age(section.heading) for section in sections]
    outermost = min((s.level for s, age in zip(sections, ages, strict=True) if age), default=0)
    groups: list[list[int]] = []
    for position, section in enumerate(sections):
        if not groups or section.level <= outermost:
            groups.append([])
        groups[-1].append(position)
    dated = {place: age for place, group in enumerate(groups) if (age := ages[group[0]]) is not None}
    order = list(groups)
    if len({len(age) for age in dated.values()}) == 1:
        for place, group in zip(dated, sorted(dated, key=lambda place: dated[place], reverse=True), strict=True):
            order[place] = groups[group]
    return [position for group in order for position in group]


def _age(heading: str) -> tuple[int, ...] | None:
    """What grows with time: (year, month, day), or (session,) where the heading only has the session's number."""
    if iso := _ISO.search(heading):
        return tuple(int(part) for part in iso.groups())
    for day in _DAY.finditer(heading):
        for month, names in enumerate(_MONTHS, start=1):
            if day.group(2).lower() in names.split():
                return int(day.group(3)), month, int(day.group(1))
    session = _SESSION.match(heading)
    return (int(session.group(1)),) if session else None


def _assemble(path: str, sections: Sequence[Section], blocks: dict[int, tuple[str, int]]) -> str:
    shown = set(blocks).union(*(sections[p].parents for p in blocks))
    lines = ", ".join(f"{first}-{last}" for first, last in _line_ranges(sections, blocks, path))
    parts = [blocks[p][0] if p in blocks else sections[p].title for p in sorted(shown)]
    return "\n\n".join([f"{path}:{lines}", *(part for part in parts if part)])


def _line_ranges(
    sections: Sequence[Section], blocks: dict[int, tuple[str, int]], path: str
) -> tuple[tuple[int, int], ...]:
    return tuple(merge_ranges([(path, sections[p].first_line, last) for p, (_, last) in blocks.items()]).get(path, []))


def _as_many_lines_as_fit(
    path: str,
    sections: Sequence[Section],
    blocks: dict[int, tuple[str, int]],
    position: int,
    *,
    text: str,
    max_tokens: int,
    tokenizer: Tokenizer,
) -> tuple[str, int] | None:
    """The longest beginning of a section, in whole lines with at least one of its body, that fits; None: none does."""
    section = sections[position]
    lines = re.split(r"\r\n|\r|\n", text)
    best = None
    for last in range(section.heading_last_line + 1, section.last_line):
        beginning = "\n".join(lines[section.first_line - 1 : last])
        part = split_sections(beginning, source=path)[-1]
        if not part.body or _DELIMITER.match(lines[last]) or _DELIMITER.match(lines[last - 1]):
            continue  # the head of a table says nothing without a row
        block = _closed(part.block)
        if tokenizer.count(_assemble(path, sections, {**blocks, position: (block, last)})) > max_tokens:
            break
        best = (block, last)
    return best


def _closed(block: str) -> str:
    """With an end to a code fence that the cut left open."""
    fences = re.findall(r"^\s*(`{3,}|~{3,})", block, re.MULTILINE)
    return f"{block}\n{fences[-1]}" if len(fences) % 2 else block
