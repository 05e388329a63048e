"""Rows that were found, as search and ranking need them; the ones found last are kept, so many and no more."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property

from components.index.chunk import Chunk
from components.index.ranking import Candidate
from components.index.rows import LANGUAGE, fts_text

__all__ = ["KEPT", "Passage", "Passages"]

KEPT = 4096
"""Passages of a snapshot that stay in memory, 10 kB each."""


def terms_of(text: str) -> frozenset[str]:
    """The terms of a text as the full-text index cuts them: stemmed, without words that say nothing."""
    from lancedb import tokenize

    return frozenset(sys.intern(token.text) for token in tokenize(text, language=LANGUAGE))


@dataclass(frozen=True)
class Passage:
    """A chunk, and what is worth making once of it."""

    chunk: Chunk

    @cached_property
    def terms(self) -> frozenset[str]:
        """What full-text search finds it by."""
        return terms_of(fts_text(self.chunk))

    @cached_property
    def candidate(self) -> Candidate:
        """What ranking needs to know."""
        chunk = self.chunk
        return Candidate(
            path=chunk.path, paths=chunk.paths, status=chunk.status, supersedes=chunk.supersedes, date=chunk.date,
            text=chunk.text,
        )  # fmt: skip


class Passages:
    """Passages by row id. Threads may share it.

    Args:
        read: the chunks of rows, by row id.
        kept: how many stay in memory; the others are read again.
    """

    def __init__(self, read: Callable[[Collection[int]], dict[int, Chunk]], *, kept: int = KEPT) -> None:
        self._read, self._most = read, kept
        self._lock = threading.Lock()
        self._kept: dict[int, Passage] = {}  # the one used last is the last

    def of(self, row_ids: Collection[int]) -> dict[int, Passage]:
        """The passages of all these rows."""
        with self._lock:
            found = {key: self._kept.pop(key) for key in row_ids if key in self._kept}
            self._kept |= found
        missing = [key for key in row_ids if key not in found]
        if missing:
            fresh = {key: Passage(chunk) for key, chunk in self._read(missing).items()}
            found |= fresh
            with self._lock:
                self._kept |= fresh
                for key in list(self._kept)[: max(0, len(self._kept) - self._most)]:
                    del self._kept[key]
        return found
