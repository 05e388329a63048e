"""Question -> hits: two legs over the published rows, fused and ranked.

The user's text reaches LanceDB as a vector and as the value of a match query, never as a filter or as syntax.
Filters are typed expressions whose values LanceDB quotes itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Literal, get_args

from components.errors import InputError
from components.index.chunk import Chunk
from components.index.copies import copies_last
from components.index.passages import Passage, terms_of
from components.index.question import content_words, tense
from components.index.ranking import evidence, fuse, in_time
from components.sncp.params import Kind, Status

if TYPE_CHECKING:
    from components.index.snapshot import Snapshot
    from components.llm import Embedder

__all__ = ["Filters", "Hit", "search_rows"]

_LONGEST = 4000  # characters of a question that are embedded


@dataclass(frozen=True)
class Hit:
    """A chunk that was found: `score` in 0..1 orders the hits; each leg's own value, none where it missed the chunk."""

    chunk: Chunk
    score: float
    cosine: float | None
    fts: float | None

    def __getattr__(self, name: str) -> Any:
        """A field of the chunk: `hit.path` is `hit.chunk.path`."""
        if name in Chunk.__dataclass_fields__:
            return getattr(self.chunk, name)
        raise AttributeError(name)

    def to_dict(self) -> dict[str, Any]:
        """What `search --json` prints."""
        chunk = self.chunk
        return {
            "path": chunk.path,
            "heading": list(chunk.heading),
            "lines": [chunk.first_line, chunk.last_line],
            "score": round(self.score, 6),
            "kind": chunk.kind,
            "date": chunk.date,
            "status": chunk.status,
            "text": chunk.text,
        }


@dataclass(frozen=True)
class Filters:
    """Which chunks may be found at all. None: any. Days are ISO, both ends included; undated notes fall outside."""

    kind: str | Sequence[str] | None = None
    project: str | Sequence[str] | None = None
    since: str | None = None
    until: str | None = None
    status: str | Sequence[str] | None = None
    exclude: Sequence[str] = ()

    def expression(self) -> Any | None:
        """As a LanceDB expression; none when everything may be found. Raises InputError for an unknown value."""
        from lancedb.expr import col, lit

        parts = []
        for name, value, known in (
            ("kind", self.kind, get_args(Kind)),
            ("project", self.project, None),
            ("status", self.status, get_args(Status)),
        ):
            if value is not None:
                parts.append(col(name).isin(_values(name, value, known)))
        if self.since is not None:
            parts.append(col("date") >= lit(_day("since", self.since)))
        if self.until is not None:
            parts.append(col("date") <= lit(_day("until", self.until)))
        if self.exclude:
            parts.append(~col("chunk_id").isin(list(self.exclude)))
        expression = None
        for part in parts:
            expression = part if expression is None else expression & part
        return expression


def _values(name: str, value: str | Sequence[str], known: Sequence[str] | None) -> list[str]:
    values = [value] if isinstance(value, str) else list(value)
    for item in values:
        if known is not None and item not in known:
            raise InputError(f"{name} {item!r} is not known; expected one of {', '.join(known)}")
    if not values:
        raise InputError(f"{name} is an empty list, which nothing can match; leave it out to search everything")
    return values


def _day(name: str, value: str) -> str:
    try:
        return date.fromisoformat(value).isoformat()
    except ValueError:
        raise InputError(f"{name} {value!r} is no day; expected YYYY-MM-DD") from None


def search_rows(
    rows: Snapshot,
    question: str,
    *,
    embedder: Embedder | None,
    k: int,
    fusion: Literal["minmax", "rrf"],
    dense_weight: float | None,
    candidates: int,
    filters: Filters,
) -> list[Hit]:
    """Hits in the rows that are published. See `Index.search`."""
    if not question.strip():
        raise InputError('the question is empty: write one, for example "caparra ad agosto"')
    where = filters.expression()
    words = content_words(question)
    text_of = rows.full_text(words, where=where, limit=candidates)  # while the question is embedded
    dense: dict[int, float] = {}
    if embedder is not None:
        dense = rows.nearest(embedder.embed_queries([question[:_LONGEST]])[0], where=where, limit=candidates)
    text = text_of()
    found = rows.passages({**dense, **text})
    weight = 0.0 if embedder is None else embedder.dense_weight if dense_weight is None else dense_weight
    coverage = _coverage(words, {key: found[key] for key in text})
    scores = fuse(dense, text, fusion=fusion, dense_weight=weight, coverage=coverage)
    notes = {key: passage.candidate for key, passage in found.items()}
    asks_for = tense(question)
    answers = evidence(dense, text, dense_weight=weight, coverage=coverage)
    scores = in_time(scores, notes, answers=answers, tense=asks_for)
    scores = copies_last(scores, notes, asked=words, newest_first=asks_for != "past")
    best = list(scores)
    best.sort(key=lambda key: (found[key].chunk.path, found[key].chunk.first_line))
    best.sort(key=lambda key: found[key].chunk.date or "", reverse=True)  # the newer one, where scores are equal
    best.sort(key=lambda key: round(scores[key], 6), reverse=True)
    return [
        Hit(chunk=found[key].chunk, score=scores[key], cosine=dense.get(key), fts=text.get(key)) for key in best[:k]
    ]


def _coverage(words: str, passages: Mapping[int, Passage]) -> dict[int, float]:
    """Share of the question's terms that each passage holds, 0..1, as the full-text index cuts terms."""
    if not passages:
        return {}
    asked = terms_of(words)
    return {key: len(asked & one.terms) / len(asked) if asked else 1.0 for key, one in passages.items()}
