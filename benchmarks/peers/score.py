"""What is wrong in an index after a run: rows compared with what the contestant's own splitter makes of the files.

A contestant is never measured by another one's chunks. Not covered: the vectors of rows (every embedding is the shared
embedder's), the order of search results, and rows that are there twice (`stored` counts them; some keep both).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

Row = tuple[str, str]
"""Path of a file, digest of a text."""


class Wrong(NamedTuple):
    """Files in which something is wrong, by what it is, each sorted. A file may stand in more than one list."""

    gone: list[str]
    """They are not there any more, but still indexed."""
    missing: list[str]
    """They are there, and no row of theirs is."""
    stale: list[str]
    """They have rows of a text that is not in them any more, or was cut by an older configuration."""
    incomplete: list[str]
    """They have rows, but not all."""
    unfound: list[str]
    """The sentence that was added to them is in no row of theirs."""

    @property
    def files(self) -> set[str]:
        """All of them, each once."""
        return {path for paths in self for path in paths}


def score(rows: Iterable[Row], wanted: Iterable[Row], *, sentences: Iterable[str], found: Iterable[str]) -> Wrong:
    """What is wrong.

    Args:
        rows: what the index holds.
        wanted: what it should hold.
        sentences: files to which a sentence was added, and whose splitter does not cut it in two.
        found: those of them that have a row with it.
    """
    held, should = _by_file(rows), _by_file(wanted)
    both = held.keys() & should.keys()
    return Wrong(
        gone=sorted(held.keys() - should.keys()),
        missing=sorted(should.keys() - held.keys()),
        stale=sorted(path for path in both if held[path] - should[path]),
        incomplete=sorted(path for path in both if should[path] - held[path]),
        unfound=sorted(set(sentences) - set(found)),
    )


def wrong_rows(rows: Iterable[Row], wanted: Iterable[Row]) -> int:
    """Rows that should not be there, and rows that should be."""
    return len(set(rows) ^ set(wanted))


def _by_file(rows: Iterable[Row]) -> Mapping[str, set[str]]:
    found: dict[str, set[str]] = {}
    for path, digest in rows:
        found.setdefault(path, set()).add(digest)
    return found
