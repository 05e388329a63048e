"""Whether a note still holds, and what it replaces or is replaced by, in its own words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from components.sncp.metadata import outside_fences
from components.sncp.params import Status

__all__ = ["find_status", "find_superseded_by", "find_supersedes"]

_GONE = (
    r"deprecat\w*|deprecation\ notice|obsolet\w*|superat[oaie]|supersed(?:ed|ata|ato)|sostituit[oaie]|replaced"
    r"|ritirat[oaie]|withdrawn"
)
_KEPT = r"archiviat[oaie]|archived"
_WORD = re.compile(rf"(?ix) (?P<gone>\b(?:{_GONE})\b) | (?P<kept>\b(?:{_KEPT})\b)")
_LABEL = re.compile(r"(?i)^\W*(?:status|stato|state)\b[^\w:]*:\W*(?P<value>.*)$")
_SELF = re.compile(
    r"""(?ix) \b (?:quest[oa]|this|il\ presente|la\ presente) \s+
    (?:file|documento|nota|pagina|decisione|roadmap|mappa|ricerca|piano|report|document|note|page|decision|plan)
    \s+ (?:e'|e`|è|é|is|was|has\ been|è\ stat[oa]|e'\ stat[oa]|risulta) \s+ (?:now\s+|ormai\s+|ora\s+)? [*_`"]*"""
)
_TEMPLATE = re.compile(r"(?i)_*template(?:[_\-. ].*)?|.*[_\-. ]template_*")

_SUPERSEDES = re.compile(
    r"(?i)(?<!non )(?<!not )\b(?:(?:annulla\s+e\s+)?sostituisce|rimpiazza|supersedes|replaces)\b(?P<rest>.*)$"
)
_SUPERSEDED_BY = re.compile(
    r"""(?ix)(?<!non\ )(?<!not\ )\b(?: (?:superat|sostituit|rimpiazzat)[oaie]\s+d(?:a|al|alla|all'|allo|ai|alle)\b
    | superseded[\s_-]by | replaced[\s_-]by | (?:vedi|vedere|usa|usare|leggi)\s+invece | (?:use|see|read)\s+instead
    | (?:a|in)\s+favore\s+d(?:i|el|ella|ell') | in\s+favou?r\s+of | (?:spostat[oa]|confluit[oa])\s+in\b | moved\s+to\b
    )(?P<rest>.*)$"""
)
_LINK = re.compile(r"\[\[([^\]|#]+)[^\]]*\]\]|\]\(<?([^)\s>#]+)[^)]*\)|`([^`\s]{3,200})`")
_NAME = re.compile(r"(?<![\w/.-])(?:[\w.@{}-]+/)*[\w@{}-][\w.@{}-]*(?:\.(?:md|markdown|txt)\b|_[\w.@{}-]*\w)")


def _told(value: str) -> Status | None:
    """The status that a text starts with."""
    match = _WORD.match(re.sub(r"^[\W_]+", "", value))
    if not match:
        return None
    return "archived" if match["kept"] else "deprecated"


def _of_value(value: Any) -> Status | None:
    if not isinstance(value, str):
        return None
    if value.strip().lower() in ("template", "modello"):
        return "template"
    if value.strip().lower() in ("current", "active", "attuale", "attivo", "attiva", "valido", "valida", "corrente"):
        return "current"
    return _told(value)


def _of_header(header: Sequence[str]) -> Status | None:
    for line in header:
        bare = re.sub(r"[*_`]+", "", line).strip()
        if bare.startswith("|") and bare.endswith("|") and len(bare) > 1:
            bare = bare[1:-1].strip()  # one line of a drawn box; a table row has more cells
        if "|" in bare and not _LABEL.match(bare):
            continue
        if (label := _LABEL.match(bare)) and (told := _told(label["value"])):
            return told
        if (itself := _SELF.search(bare)) and (told := _told(bare[itself.end() :])):
            return told
        if told := _banner(bare):
            return told
        if re.match(r"#\s", bare) and (tail := re.search(r"(?:[\[(]|\s[-–—]\s)\W*([^\W\d_]+)\W*$", bare)):
            word = tail[1]
            if word.isupper() and (told := _told(word)):
                return told
    return None


def _banner(bare: str) -> Status | None:
    """A line, quote or heading that begins with the word in capitals, or says hardly more than the word."""
    if re.match(r"[-+•]\s|\d+[.)]\s", bare):
        return None  # an item of a list speaks of something else
    start = re.sub(r"^[^\w]+", "", bare)
    match = _WORD.match(start)
    if not match:
        return None
    word, rest = match[0], start[match.end() :]
    shouted = word.isupper() or word.istitle() and re.match(r"\s+(?:da|dal|dalla|dall'|il|by|on|since|in)\b", rest)
    alone = not rest.strip(" .!*_)]:")
    return _told(word) if shouted or alone else None


def find_status(*, path: str, matter: Mapping[str, Any], header: Sequence[str]) -> Status:
    """Front matter, the note's own header, an archive folder, a template's file name; else `current`.

    Only words about the note itself count: its `Status:` line, "this file is ...", or a banner. A table or a
    list that calls another file obsolete does not.
    """
    for key in ("status", "stato"):
        if told := _of_value(matter.get(key)):
            return told
    if _of_matter(matter, ("superseded_by", "superata_da", "sostituita_da", "replaced_by")):
        return "deprecated"
    if told := _of_header(header):
        return told
    *folders, name = path.split("/")
    words = [folder.lower().strip("_.") for folder in folders]
    if any(word in ("archivio", "archive", "archiviati", "archived") for word in words):
        return "archived"
    if "templates" in words or "template" in words or _TEMPLATE.fullmatch(name.rsplit(".", 1)[0]):
        return "template"
    return "current"


def _of_matter(matter: Mapping[str, Any], keys: Sequence[str]) -> list[str]:
    out: list[str] = []
    for key in keys:
        value = matter.get(key, matter.get(key.replace("_", "-"), matter.get(key.replace("_", " "))))
        items = value if isinstance(value, list) else [value]
        out += [_target(str(item)) for item in items if isinstance(item, str | int) and str(item).strip()]
    return out


def _target(text: str) -> str:
    link = _LINK.fullmatch(text.strip())
    found = next(group for group in link.groups() if group) if link else text
    return found.strip().strip("\"'").removeprefix("./")


def _named(rest: str) -> list[str]:
    """The notes that the rest of a line names: links, code, file names; behind a colon any words."""
    links = [next(group for group in match.groups() if group) for match in _LINK.finditer(rest)]
    names = [match[0] for match in _NAME.finditer(_LINK.sub(" ", rest))]
    if links or names:
        return [_target(name) for name in links + names]
    behind = re.match(r"[\s*_]*:[\s*_]*([^.;(|]{3,120})", rest)
    return [_target(behind[1].strip(" *_-–—`"))] if behind else []


def _find(pattern: re.Pattern[str], header: Sequence[str], fences: bool) -> list[str]:
    lines = header if fences else [line for _, line in outside_fences(header)]
    out: list[str] = []
    for line in lines:
        if match := pattern.search(re.sub(r"\*\*", "", line)):
            out += _named(match["rest"].rstrip(" |"))
    return out


def find_supersedes(*, matter: Mapping[str, Any], header: Sequence[str]) -> tuple[str, ...]:
    """Names or paths, as written, that the note says it replaces ("Sostituisce X", `supersedes: X`)."""
    told = _of_matter(matter, ("supersedes", "sostituisce", "replaces"))
    return tuple(dict.fromkeys(name for name in told + _find(_SUPERSEDES, header, fences=False) if name))


def find_superseded_by(*, matter: Mapping[str, Any], header: Sequence[str]) -> tuple[str, ...]:
    """Names or paths, as written, that replace it ("superata da X", "usa invece X", `superseded_by: X`)."""
    told = _of_matter(matter, ("superseded_by", "superata_da", "sostituita_da", "replaced_by"))
    return tuple(dict.fromkeys(name for name in told + _find(_SUPERSEDED_BY, header, fences=True) if name))
