"""Which note replaces which: names as people write them, resolved to collected paths."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence

from components.sncp.document import Document

__all__ = ["relate"]


def _bare(name: str) -> str:
    return re.sub(r"\.(?:md|markdown|txt)$", "", name.casefold())


class _Names:
    """Path, or file name with or without its ending -> the document, where exactly one fits."""

    def __init__(self, documents: Sequence[Document]) -> None:
        self.by_path: dict[str, str] = {}
        self.by_name: dict[str, set[str]] = {}
        for document in documents:
            for path in document.paths:
                self.by_path[_bare(path)] = document.path
                self.by_name.setdefault(_bare(path.rsplit("/", 1)[-1]), set()).add(document.path)

    def find(self, written: str, *, beside: str) -> str | None:
        name = _bare(written.strip())
        near = _bare(posixpath.normpath(posixpath.join(posixpath.dirname(beside), written)))
        if found := self.by_path.get(name) or self.by_path.get(near):
            return found
        named = self.by_name.get(name.rsplit("/", 1)[-1], set())
        return next(iter(named)) if len(named) == 1 else None


def relate(documents: Sequence[Document]) -> list[Document]:
    """Resolve `supersedes` and `superseded_by`, and let each pair know of the other.

    A note that another one says it replaces is no longer current: it becomes `deprecated`, unless both
    claim it of each other, or the one that claims it is a template.
    """
    names = _Names(documents)

    def resolved(written: Sequence[str], document: Document) -> tuple[str, ...]:
        found = (names.find(name, beside=document.path) or name for name in written)
        return tuple(dict.fromkeys(name for name in found if name != document.path))

    by_path = {
        document.path: document.but(
            supersedes=resolved(document.supersedes, document),
            superseded_by=resolved(document.superseded_by, document),
        )
        for document in documents
    }
    claims = {
        (document.path, old)
        for document in by_path.values()
        if document.status != "template"
        for old in document.supersedes
        if old in by_path
    }
    for new, old in sorted(claims):
        if (old, new) in claims:
            continue
        target = by_path[old]
        status = "deprecated" if target.status == "current" else target.status
        later = tuple(dict.fromkeys((*target.superseded_by, new)))
        by_path[old] = target.but(status=status, superseded_by=later)
    return list(by_path.values())
