"""What is other about the notes than in the published index: added, changed, gone, renamed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from components.sncp import Document

__all__ = ["NoteChanges", "compare_notes"]

_NAMED = 3


@dataclass(frozen=True)
class NoteChanges:
    """Paths, sorted. `renamed`: (old path, new path) of notes with the same text. None: there is nothing to compare."""

    notes: int
    added: tuple[str, ...] | None = None
    changed: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    renamed: tuple[tuple[str, str], ...] = ()

    def facts(self) -> dict[str, int]:
        """As counts."""
        if self.added is None:
            return {"notes": self.notes}
        return {
            "notes": self.notes,
            "added": len(self.added),
            "changed": len(self.changed),
            "gone": len(self.gone),
            "renamed": len(self.renamed),
        }

    def counted(self) -> str:
        """As counts in a few words, of what is other; empty: nothing is."""
        facts = self.facts()
        return ", ".join(f"{facts[key]} {key}" for key in ("changed", "added", "gone", "renamed") if facts.get(key))

    def words(self) -> str:
        """In a few words, with the first names; empty: nothing is other, or there is nothing to compare with."""
        told = []
        for kind, paths in (("changed", self.changed), ("added", self.added or ()), ("gone", self.gone)):
            if paths:
                told.append(f"{len(paths)} {kind}: {_some(paths)}")
        if self.renamed:
            old, new = self.renamed[0]
            more = f" and {len(self.renamed) - 1} more" if len(self.renamed) > 1 else ""
            told.append(f"{len(self.renamed)} renamed: {old} → {new}{more}")
        return "; ".join(told)

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "count": self.notes,
            "added": None if self.added is None else list(self.added),
            "changed": list(self.changed),
            "gone": list(self.gone),
            "renamed": [list(pair) for pair in self.renamed],
        }


def compare_notes(before: Iterable[Document] | None, now: Sequence[Document]) -> NoteChanges:
    """What changed; `before` None: nothing was collected yet."""
    if before is None:
        return NoteChanges(len(now))
    old = {document.path: document.content_hash for document in before}
    new = {document.path: document.content_hash for document in now}
    added, gone = set(new) - set(old), set(old) - set(new)
    by_text = {old[path]: path for path in sorted(gone)}
    renamed = []
    for path in sorted(added):
        was = by_text.pop(new[path], None)
        if was is not None:
            renamed.append((was, path))
    return NoteChanges(
        len(now),
        tuple(sorted(added - {path for _, path in renamed})),
        tuple(sorted(path for path in old.keys() & new.keys() if old[path] != new[path])),
        tuple(sorted(gone - {path for path, _ in renamed})),
        tuple(renamed),
    )


def _some(paths: Sequence[str]) -> str:
    more = len(paths) - _NAMED
    return ", ".join(paths[:_NAMED]) + (f" and {more} more" if more > 0 else "")
