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
from components.index.question import content_words, tense
from components.index.ranking import Candidate, evidence, fuse, in_time
from components.index.rows import FTS_COLUMN, LANGUAGE, chunk_columns
from components.sncp.params import Kind, Status

if TYPE_CHECKING:
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
    table: Any,
    question: str,
    *,
    embedder: Embedder | None,
    k: int,
    fusion: Literal["minmax", "rrf"],
    dense_weight: float | None,
    candidates: int,
    filters: Filters,
) -> list[Hit]:
    """Hits in the rows of a table that is checked out at what is published. See `Index.search`."""
    if not question.strip():
        raise InputError("the question is empty")
    where = filters.expression()
    rows: dict[str, dict[str, Any]] = {}
    dense = {} if embedder is None else _dense(table, question, embedder, where, candidates, rows)
    words = content_words(question)
    text = _full_text(table, words, where, candidates, rows)
    weight = 0.0 if embedder is None else embedder.dense_weight if dense_weight is None else dense_weight
    coverage = _coverage(words, {key: rows[key][FTS_COLUMN] for key in text})
    scores = fuse(dense, text, fusion=fusion, dense_weight=weight, coverage=coverage)
    notes = {key: _candidate(row) for key, row in rows.items()}
    asks_for = tense(question)
    answers = evidence(dense, text, dense_weight=weight, coverage=coverage)
    scores = in_time(scores, notes, answers=answers, tense=asks_for)
    scores = copies_last(scores, notes, asked=words, newest_first=asks_for != "past")
    hits = [
        Hit(chunk=_chunk(rows[key]), score=score, cosine=dense.get(key), fts=text.get(key))
        for key, score in scores.items()
    ]
    hits.sort(key=lambda hit: (hit.chunk.path, hit.chunk.first_line))
    hits.sort(key=lambda hit: hit.chunk.date or "", reverse=True)  # the newer one, where scores are equal
    hits.sort(key=lambda hit: round(hit.score, 6), reverse=True)
    return hits[:k]


def _dense(
    table: Any, question: str, embedder: Embedder, where: Any, limit: int, rows: dict[str, dict[str, Any]]
) -> dict[str, float]:
    """Chunk id -> cosine of the nearest chunks; exact, every row is compared."""
    vector = embedder.embed_queries([question[:_LONGEST]])[0]
    query = table.search(vector, vector_column_name="vector").metric("cosine").bypass_vector_index()
    found = _run(query, where, limit, "_distance", rows)
    return {key: 1.0 - value for key, value in found.items()}


def _full_text(table: Any, words: str, where: Any, limit: int, rows: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Chunk id -> BM25 score of the best matches."""
    from lancedb.query import MatchQuery

    if not words or not any(list(index.columns) == [FTS_COLUMN] for index in table.list_indices()):
        return {}
    return _run(table.search(MatchQuery(words, FTS_COLUMN), query_type="fts"), where, limit, "_score", rows)


def _coverage(words: str, texts: Mapping[str, str]) -> dict[str, float]:
    """Share of the question's terms that each text holds, 0..1, as the full-text index cuts terms."""
    from lancedb import tokenize

    def terms(text: str) -> set[str]:
        return {token.text for token in tokenize(text, language=LANGUAGE)}

    asked = terms(words)
    return {key: len(asked & terms(text)) / len(asked) if asked else 1.0 for key, text in texts.items()}


def _run(query: Any, where: Any, limit: int, value: str, rows: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Run one leg; its rows are added to `rows`."""
    if where is not None:
        query = query.where(where)
    found = query.select([*chunk_columns(), FTS_COLUMN, value]).limit(limit).to_arrow().to_pylist()
    rows.update({row["chunk_id"]: row for row in found})
    return {row["chunk_id"]: float(row[value]) for row in found}


def _candidate(row: dict[str, Any]) -> Candidate:
    return Candidate(
        path=row["path"],
        paths=tuple(row["paths"]),
        status=row["status"],
        supersedes=tuple(row["supersedes"]),
        date=row["date"],
        text=row["text"],
    )


def _chunk(row: dict[str, Any]) -> Chunk:
    return Chunk.from_dict({name: row[name] for name in chunk_columns()})
