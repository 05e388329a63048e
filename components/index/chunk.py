"""Notes -> chunks: cut at headings, blocks kept whole where they fit, exact lines, breadcrumbs in front.

A chunk's `text` is the note's own lines, for people. Its `embed_text` is what is embedded and searched: breadcrumb
(title > headings) and the text without decoration (see `plain`). No line that has words is ever lost, except front
matter, whose facts are the document's metadata.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from components.index.layout import Layout
from components.index.pieces import Measure

if TYPE_CHECKING:
    from components.sncp import Document

__all__ = ["Chunk", "Cutter", "chunk_documents"]

_SMALLEST = 24  # tokens, or half of a chunk: below this one says nothing


@dataclass(frozen=True)
class Chunk:
    """A passage of a note with all that search needs to find, filter, rank and cite it."""

    chunk_id: str
    doc_id: str
    path: str
    paths: tuple[str, ...]
    kind: str
    project: str | None
    title: str
    date: str | None
    status: str
    supersedes: tuple[str, ...]
    heading: tuple[str, ...]
    first_line: int
    last_line: int
    text: str
    embed_text: str
    local: bool = False
    """Whether it must not leave this machine: a note that holds this very text is marked so."""

    def to_dict(self) -> dict[str, Any]:
        """The chunk as JSON values."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in vars(self).items()}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Chunk:
        """The inverse of `to_dict`."""
        fields: dict[str, Any] = {key: tuple(item) if isinstance(item, list) else item for key, item in value.items()}
        return cls(**fields)

    def marked(self, *, local: bool) -> Chunk:
        """The chunk with this mark."""
        return self if self.local == local else replace(self, local=local)


def chunk_documents(
    documents: Iterable[Document],
    *,
    max_tokens: int,
    breadcrumbs: bool,
    count_tokens: Callable[[str], int],
) -> list[Chunk]:
    """Cut documents into chunks of at most `max_tokens` tokens each, breadcrumb included.

    Args:
        documents: notes with `text` whose line numbers are those of the file.
        max_tokens: longest chunk, in tokens as `count_tokens` counts them.
        breadcrumbs: put title and headings in front of the embedded text.
        count_tokens: tokens of a text; its value for "" (prefix and marks) is taken as overhead of each chunk.

    Returns:
        Chunks in the order of the documents and of their lines. Ids are unique, and depend on path, headings and
        text alone: an edit above a chunk moves its lines, not its id.
    """
    cut = Cutter(max_tokens=max_tokens, breadcrumbs=breadcrumbs, count_tokens=count_tokens)
    chunks = [chunk for document in documents for chunk in cut(document)]
    local = {chunk.text for chunk in chunks if chunk.local}
    return [chunk.marked(local=chunk.text in local) for chunk in chunks] if local else chunks


class Cutter:
    """Cuts one document after the other, as `chunk_documents` does, but for marks that one gives to another."""

    def __init__(self, *, max_tokens: int, breadcrumbs: bool, count_tokens: Callable[[str], int]) -> None:
        self._max_tokens = max_tokens
        self._breadcrumbs = breadcrumbs
        self._count = count_tokens
        self._measure = Measure(count_tokens, max_tokens=max_tokens)

    def __call__(self, document: Document) -> list[Chunk]:
        """The chunks of one document, in the order of its lines."""
        budget, smallest = self._max_tokens, min(_SMALLEST, self._max_tokens // 2)
        while True:  # sums of parts can be short of the whole with some tokenizers: then again, with less room
            found = list(_chunk(document, measure=self._measure, max_tokens=budget, breadcrumbs=self._breadcrumbs))
            excess = max((self._count(chunk.embed_text) for chunk in found), default=0) - self._max_tokens
            if excess <= 0 or budget <= smallest:
                return found
            budget = max(smallest, budget - excess)


def _chunk(document: Document, *, measure: Measure, max_tokens: int, breadcrumbs: bool) -> Iterator[Chunk]:
    """The chunks of one note."""
    layout = Layout(title=document.title, measure=measure, max_tokens=max_tokens, breadcrumbs=breadcrumbs)
    seen: Counter[str] = Counter()
    for part in layout.parts(document.text):
        text = part.text()
        key = json.dumps([document.path, part.path, text], ensure_ascii=False)
        seen[key] += 1
        yield Chunk(
            chunk_id=hashlib.sha256(f"{key}#{seen[key]}".encode()).hexdigest(),
            doc_id=document.doc_id,
            path=document.path,
            paths=tuple(document.paths),
            kind=document.kind,
            project=document.project,
            title=document.title,
            date=document.date,
            status=document.status,
            supersedes=tuple(document.supersedes),
            heading=part.path,
            first_line=part.pieces[0].first,
            last_line=part.pieces[-1].last,
            text=text,
            embed_text=layout.embed_text(part),
            local=document.local,
        )
