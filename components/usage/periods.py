"""What the usage log says of a month, or of the last 30 days: queries, conversations, tokens, dollars, seconds."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

__all__ = ["SUMS", "TO_SECONDS", "Period", "Use", "bucket_of", "read_days", "read_months"]

SUMS = """
    count(*), coalesce(sum(error IS NOT NULL), 0), coalesce(sum(begins), 0), coalesce(sum(repeats), 0),
    coalesce(sum(CASE WHEN cached THEN 0 ELSE prompt_tokens END), 0),
    coalesce(sum(CASE WHEN cached THEN 0 ELSE completion_tokens END), 0),
    coalesce(sum(cost_usd), 0.0), coalesce(sum(error IS NULL AND cost_usd IS NULL), 0)"""
"""Of rows of the table `query`, in the order of the columns of the table `month` and of the numbers of `Use`."""
_A_FACTOR_OF_TWO = 8  # buckets: neighbours differ by 9 %
_NO_TIME = 1e-4  # seconds; what is shorter counts as this long
TO_SECONDS = "error IS NULL AND seconds IS NOT NULL"
"""Which queries have a time: those that were answered."""


@dataclass(frozen=True)
class Use:
    """Sums of queries.

    Attributes:
        queries: all of them, the failed ones too.
        failed: of these, those that ended in an error.
        conversations: in which something was answered, counted in the month in which they began; a query without a
            conversation is one by itself.
        repeated: whose question had been asked before.
        prompt_tokens, completion_tokens: that a model read and wrote; answers from the cache took none.
        cost_usd: of the queries whose cost is known (US dollars).
        cost_unknown: answered queries whose cost nobody knows.
        p50_seconds, p95_seconds: question to answer, of those that were answered (nearest rank); None: there are none.
            Of months that were folded they are right within 10 %.
    """

    queries: int = 0
    failed: int = 0
    conversations: int = 0
    repeated: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0
    cost_unknown: int = 0
    p50_seconds: float | None = None
    p95_seconds: float | None = None


@dataclass(frozen=True)
class Period:
    """A month (`2026-11`), or the days named.

    Attributes:
        name: of the month, or first and last day.
        use: of all models together.
        models: name of the model that answered ("" for none) -> its share; a conversation counts with the model that
            answered first in it.
        complete: False when older queries of the period were folded into months already.
    """

    name: str
    use: Use = Use()
    models: Mapping[str, Use] = field(default_factory=dict)
    complete: bool = True

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        models = {name: asdict(use) for name, use in self.models.items()}
        return {"period": self.name, **asdict(self.use), "models": models, "complete": self.complete}


def bucket_of(seconds: float) -> int:
    """The bucket of a time, on a scale of factors."""
    return math.floor(math.log2(max(seconds, _NO_TIME)) * _A_FACTOR_OF_TWO)


def _middle(bucket: int) -> float:
    return float(2.0 ** ((bucket + 0.5) / _A_FACTOR_OF_TWO))


def read_months(connection: sqlite3.Connection) -> list[Period]:
    """Every month with a query, the oldest first."""
    sums: dict[str, dict[str, list[Any]]] = {}
    times: dict[str, dict[str, list[tuple[float, int]]]] = {}
    rows = connection.execute("SELECT * FROM month").fetchall() + connection.execute(
        f"SELECT substr(at, 1, 7), coalesce(model, ''), {SUMS} FROM query GROUP BY 1, 2"  # noqa: S608
    ).fetchall()  # fmt: skip
    for month, model, *numbers in rows:
        known = sums.setdefault(month, {}).setdefault(model, [0] * len(numbers))
        known[:] = [a + b for a, b in zip(known, numbers, strict=True)]
    for month, model, bucket, count in connection.execute("SELECT * FROM month_seconds"):
        times.setdefault(month, {}).setdefault(model, []).append((_middle(bucket), count))
    for month, model, seconds in connection.execute(
        f"SELECT substr(at, 1, 7), coalesce(model, ''), seconds FROM query WHERE {TO_SECONDS}"  # noqa: S608
    ):
        times.setdefault(month, {}).setdefault(model, []).append((seconds, 1))
    return [_period(month, sums[month], times.get(month, {})) for month in sorted(sums)]


def read_days(connection: sqlite3.Connection, *, after: str, until: str) -> Period:
    """The queries after one moment and until another (ISO, UTC)."""
    span = (after, until)
    where = "FROM query WHERE at > ? AND at <= ?"
    sums = {
        model: list(numbers)
        for model, *numbers in connection.execute(
            f"SELECT coalesce(model, ''), {SUMS} {where} GROUP BY 1", span  # noqa: S608
        )
    }  # fmt: skip
    times: dict[str, list[tuple[float, int]]] = {}
    for model, seconds in connection.execute(
        f"SELECT coalesce(model, ''), seconds {where} AND {TO_SECONDS}", span  # noqa: S608
    ):  # fmt: skip
        times.setdefault(model, []).append((seconds, 1))
    found = _period(f"{after[:10]} to {until[:10]}", sums, times)
    # One that goes on from the month before began there: of these days it counts all the same.
    distinct = connection.execute(
        f"SELECT count(DISTINCT conversation) + coalesce(sum(conversation IS NULL), 0) {where} AND error IS NULL",  # noqa: S608
        span,
    ).fetchone()[0]
    folded = connection.execute("SELECT value FROM about WHERE name = 'folded until'").fetchone()
    return Period(
        found.name,
        replace(found.use, conversations=distinct),
        found.models,
        complete=folded is None or folded[0] <= after,
    )


def _period(name: str, sums: Mapping[str, list[Any]], times: Mapping[str, list[tuple[float, int]]]) -> Period:
    if not sums:
        return Period(name)
    total = [sum(column) for column in zip(*sums.values(), strict=True)]
    every = [pair for pairs in times.values() for pair in pairs]
    models = {model: _use(sums[model], times.get(model, [])) for model in sorted(sums)}
    return Period(name, _use(total, every), models)


def _use(numbers: list[Any], times: list[tuple[float, int]]) -> Use:
    ranked = sorted(times)
    return replace(Use(*numbers), p50_seconds=_at_rank(ranked, 0.50), p95_seconds=_at_rank(ranked, 0.95))


def _at_rank(ranked: list[tuple[float, int]], share: float) -> float | None:
    """The smallest value that so large a share does not exceed (nearest rank)."""
    wanted = share * sum(count for _, count in ranked)
    seen, value = 0, None
    for value, count in ranked:
        seen += count
        if seen >= wanted - 1e-9:
            return value
    return value
