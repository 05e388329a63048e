"""The kind of a note, told from its path."""

from __future__ import annotations

import re

from components.sncp.params import Kind

__all__ = ["kind_from_path"]

_TELLING: dict[Kind, str] = {
    "decision": "decisione decisioni decision decisions adr",
    "idea": "idea idee ideas",
    "state": "stato stati oggi state",
    "research": "ricerca ricerche studio studi research study studies",
    "report": "report reports audit audits valutazione valutazioni",
    "roadmap": "roadmap roadmaps subroadmap subroadmaps mappa mappe",
    "handoff": "handoff handoffs",
    "lesson": "lezione lezioni lesson lessons",
    "session": "sessione sessioni session sessions",
    "persona": "costituzione dna",
}
_WORDS: dict[str, Kind] = {word: kind for kind, words in _TELLING.items() for word in words.split()}


def _first_kind(name: str) -> Kind | None:
    words = re.findall(r"[^\W\d_]+", name.lower())
    return next((_WORDS[word] for word in words if word in _WORDS), None)


def kind_from_path(path: str) -> Kind:
    """Kind of the note at a POSIX path.

    PROMPT_RIPRESA* and NORD are known by name. Otherwise the nearest folder with a telling word decides
    (that is where the owner put it: an audit in `idee/` is an idea), then the first such word of the file
    name (`RICERCA_..._COSTITUZIONE.md` is research). The folder that names a project tells nothing.
    """
    *folders, name = path.split("/")
    stem = name.rsplit(".", 1)[0]
    if stem.upper().startswith("PROMPT_RIPRESA"):
        return "resume"
    if stem.upper() == "NORD":
        return "north"
    told = [folder for before, folder in zip(["", *folders], folders, strict=False) if before != "progetti"]
    for folder in reversed(told):
        # A folder named after the persona holds notes about it: only a file is the persona itself.
        if (kind := _first_kind(folder)) and kind != "persona":
            return kind
    return _first_kind(stem) or "note"
