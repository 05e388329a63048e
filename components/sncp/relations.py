"""Which note replaces which: what notes say of themselves and of each other, resolved to collected paths.

What is believed, and what is told instead:

- The words of the replaced note ("superata da X", front matter `superseded_by`) are believed.
- The words of the replacing one ("Sostituisce X") are, unless it is a template, older than X by written dates, or
  claims more than `MOST_CLAIMS` notes. Nobody but a persona note itself can say that it is replaced.
- Versions in names (`PIANO_v1.md`, `PIANO_v2.md` in one folder) order the two; the older keeps its status.
- Notes that replace each other in a circle, and names that fit no note or several, replace nothing.

**Not caught**: a false claim on a few notes with a date that fits (whoever writes notes can write this too; the old
note stays in the index, right behind the new one); replacements that no name states ("la decisione di ieri non vale").
"""

from __future__ import annotations

import fnmatch
import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence

from components.sncp.document import Document, Notice

__all__ = ["MOST_CLAIMS", "relate"]

MOST_CLAIMS = 20
"""A note that says it replaces more than this many others is not believed."""

_FAR = 200
"""A note knows of the nearest so many that it replaces by way of others."""

_VERSION = re.compile(r"(?i)(?<![a-z0-9])v(\d{1,3}(?:\.\d{1,3})*)(?![a-z0-9])")
_DAY = re.compile(r"(?<!\d)20\d\d[-_.]?\d\d[-_.]?\d\d(?!\d)")
_PLACE = re.compile(r"\{[^{}/]*\}")
_ENDING = re.compile(r"\.(?:md|markdown|txt)$")

Pair = tuple[str, str]
"""(path of the note that replaces, path of the one that is replaced)"""


def relate(documents: Sequence[Document]) -> tuple[list[Document], list[Notice]]:
    """Resolve `supersedes` and `superseded_by`, let each pair know of the other, and tell what was not believed.

    `supersedes` of a note then holds all that it replaces, also by way of others (C replaces B, B replaces A). A note
    that is replaced in words is no longer current: it becomes `deprecated`.
    """
    names = _Names(documents)
    told: list[Notice] = []
    by_path = {document.path: document for document in documents}
    said: dict[Pair, None] = {}
    unknown: dict[str, tuple[list[str], list[str]]] = {}
    for document in documents:
        olds, odd_olds = _resolve(document, document.supersedes, names, "replaces", told)
        news, odd_news = _resolve(document, document.superseded_by, names, "is replaced by", told)
        unknown[document.path] = (odd_olds, odd_news)
        said.update(dict.fromkeys((document.path, old) for old in _believed(document, olds, by_path, told)))
        said.update(dict.fromkeys((new, document.path) for new in news if by_path[new].status != "template"))
    pairs = {**said, **dict.fromkeys(pair for pair in _versions(documents) if pair[::-1] not in said)}
    replaced = _without_circles(pairs, by_path, told)
    later_of: dict[str, list[str]] = {}
    for new, olds in replaced.items():
        for old in olds:
            later_of.setdefault(old, []).append(new)
    out = []
    for document in documents:
        later = later_of.get(document.path, [])
        odd_olds, odd_news = unknown[document.path]
        gone = document.status == "current" and any((new, document.path) in said for new in later)
        out.append(
            document.but(
                status="deprecated" if gone else document.status,
                supersedes=(*(_reachable(document.path, replaced) if document.path in replaced else ()), *odd_olds),
                superseded_by=(*later, *odd_news),
            )
        )
    return out, told


class _Names:
    """Path, file name with or without its ending, or title -> the documents that it fits."""

    def __init__(self, documents: Sequence[Document]) -> None:
        self.by_path: dict[str, str] = {}
        self.by_name: dict[str, set[str]] = {}
        self.by_title: dict[str, set[str]] = {}
        for document in documents:
            self.by_title.setdefault(document.title.casefold().strip(), set()).add(document.path)
            for path in document.paths:
                self.by_path[_bare(path)] = document.path
                self.by_name.setdefault(_bare(path.rsplit("/", 1)[-1]), set()).add(document.path)

    def find(self, written: str, *, beside: str) -> list[str]:
        """All that fit. A placeholder, as in `RIPRESA_{progetto}.md`, fits each of its notes."""
        name = _bare(written.strip())
        near = _bare(posixpath.normpath(posixpath.join(posixpath.dirname(beside), written)))
        if found := self.by_path.get(name) or self.by_path.get(near):
            return [found]
        last = name.rsplit("/", 1)[-1]
        if _PLACE.search(last) and len(_PLACE.sub("", last)) >= 4:
            pattern = "*".join(map(_escaped, _PLACE.split(last)))
            return sorted({path for known, paths in self.by_name.items() if fnmatch.fnmatchcase(known, pattern)
                           for path in paths})  # fmt: skip
        return sorted(self.by_name.get(last) or self.by_title.get(written.casefold().strip(), set()))


def _bare(name: str) -> str:
    return _ENDING.sub("", name.casefold())


def _escaped(text: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", text)


def _resolve(
    document: Document, written: Sequence[str], names: _Names, verb: str, told: list[Notice]
) -> tuple[list[str], list[str]]:
    """(paths, names that fit no one note)."""
    paths: list[str] = []
    odd: list[str] = []
    for name in dict.fromkeys(written):
        found = names.find(name, beside=document.path)
        if found == [document.path]:
            told.append(_notice(document, name, f"says that it {verb} itself; that is passed over"))
        elif len(found) == 1 or (found and _PLACE.search(name)):
            paths += [path for path in found if path != document.path]
        else:
            odd.append(name)
            why = f"{len(found)} notes have this name ({', '.join(found[:3])}): write its path" if found else (
                "no note that was read has this name")  # fmt: skip
            told.append(_notice(document, name, f"says that it {verb} {_short(name)}; {why}"))
    return list(dict.fromkeys(paths)), odd


def _believed(
    document: Document, olds: Sequence[str], by_path: Mapping[str, Document], told: list[Notice]
) -> Iterable[str]:
    """Those of its claims to replace others that count."""
    if document.status == "template":
        return
    if len(olds) > MOST_CLAIMS or len(document.supersedes) > MOST_CLAIMS:
        told.append(_notice(document, "", f"says that it replaces {len(document.supersedes)} notes; more than "
                            f"{MOST_CLAIMS} are not believed: write `superseded_by` into those that are"))  # fmt: skip
        return
    for path in olds:
        old = by_path[path]
        if old.kind == "persona":
            told.append(_notice(document, path, f"says that it replaces the persona file {path}; only that file can"))
        elif _written_day(document) < _written_day(old, default=""):
            told.append(_notice(document, path, f"says that it replaces {path}, which is newer ({old.date}, this note: "
                                f"{document.date}); that is not believed"))  # fmt: skip
        else:
            yield path


def _written_day(document: Document, default: str = "9999") -> str:
    """The note's day where somebody wrote it; the time of a file says nothing."""
    return document.date if document.date and document.date_source != "file time" else default


def _versions(documents: Sequence[Document]) -> list[Pair]:
    """Notes of one folder whose names differ in their version (and day) alone: each replaces the one before."""
    series: dict[str, list[tuple[tuple[int, ...], Document]]] = {}
    for document in documents:
        folder, _, name = document.path.rpartition("/")
        found = _VERSION.findall(name)
        if len(found) == 1 and document.kind != "persona" and document.status != "template":
            key = f"{folder}/{_DAY.sub('@', _VERSION.sub('#', name)).casefold()}"
            series.setdefault(key, []).append((tuple(map(int, found[0].split("."))), document))
    pairs = []
    for same in series.values():
        same.sort(key=lambda item: (item[0], item[1].path))
        for (low, old), (high, new) in zip(same, same[1:], strict=False):
            if low < high and _written_day(new) >= _written_day(old, default=""):
                pairs.append((new.path, old.path))
    return pairs


def _without_circles(
    pairs: Iterable[Pair], by_path: Mapping[str, Document], told: list[Notice]
) -> dict[str, list[str]]:
    """Note -> notes that it replaces directly; no pair of a circle is in it."""
    replaced: dict[str, list[str]] = {}
    for new, old in pairs:
        replaced.setdefault(new, []).append(old)
    reached = {new: set(_reachable(new, replaced)) for new in replaced}
    circle = sorted(new for new in replaced if new in reached[new])
    for new in circle:
        others = [path for path in circle if path != new and path in reached[new] and new in reached.get(path, ())]
        told.append(_notice(by_path[new], "", f"replaces {', '.join(others[:3])} and is replaced by it, in a circle; "
                            "neither counts"))  # fmt: skip
    return {
        new: [old for old in olds if not (old in reached and new in reached[old])] for new, olds in replaced.items()
    }


def _reachable(start: str, replaced: Mapping[str, Sequence[str]]) -> list[str]:
    """What `start` replaces, near ones first; `start` itself only in a circle."""
    found: dict[str, None] = {}
    row = list(replaced.get(start, ()))
    while row and len(found) < _FAR:
        found.update(dict.fromkeys(row))
        row = list(dict.fromkeys(old for path in row for old in replaced.get(path, ()) if old not in found))
    return list(found)


def _notice(document: Document, name: str, message: str) -> Notice:
    lines = document.text.split("\n", 60)[:60]
    return Notice(
        document.path, next((at for at, line in enumerate(lines, start=1) if name and name in line), 1), message
    )


def _short(name: str) -> str:
    return repr(name if len(name) <= 80 else f"{name[:79]}…")
