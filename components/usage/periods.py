"""What the usage log says of a month, or of the last 30 days: queries, conversations, tokens, dollars, seconds."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import chain
from typing import Any

from components.usage.schema import VERSION, version_of

__all__ = [
    "FIRST", "PARTS", "SUMS", "TO_SECONDS", "Part", "Period", "Use", "bucket_of", "helper_usd", "read_days",
    "read_months",
]  # fmt: skip

SUMS = """
    count(*), coalesce(sum(error IS NOT NULL), 0), coalesce(sum(begins), 0), coalesce(sum(repeats), 0),
    coalesce(sum(CASE WHEN cached THEN 0 ELSE prompt_tokens END), 0),
    coalesce(sum(CASE WHEN cached THEN 0 ELSE completion_tokens END), 0),
    coalesce(sum(cost_usd), 0.0),
    coalesce(sum(cost_usd IS NULL AND (error IS NULL OR door = 'serve')), 0)"""
"""Of rows of the table `query`, in the order of the columns of the table `month` and of the numbers of `Use`."""
_Times = dict[str, list[tuple[float, int]]]
"""Model -> its times in seconds, each with how many there are."""
_A_FACTOR_OF_TWO = 8  # buckets: neighbours differ by 9 %
_NO_TIME = 1e-4  # seconds; what is shorter counts as this long
TO_SECONDS = "error IS NULL AND seconds IS NOT NULL"
"""Which queries have a time: those that were answered."""
FIRST = "error IS NULL AND first_token_seconds IS NOT NULL"
"""Which have a time of their first piece."""
PARTS = """
    coalesce(who, ''), coalesce(tier, ''), count(*), coalesce(sum(cost_usd), 0.0), coalesce(sum(helper_usd), 0.0),
    coalesce(sum(score = 1), 0), coalesce(sum(score = -1), 0) FROM query
    WHERE (who IS NOT NULL OR helper_usd IS NOT NULL)"""
"""Of these rows, in the order of the columns of the table `month_part` and of the fields of `Part`."""


@dataclass(frozen=True)
class Use:
    """Sums of queries.

    Attributes:
        queries: all of them, the failed ones too.
        failed: of these, those that ended in an error.
        conversations: in which something was answered: those with an id once in each month, those without where their
            first question was answered.
        repeated: whose question had been asked before.
        prompt_tokens, completion_tokens: that a model read and wrote; answers from the cache took none.
        cost_usd: of the queries whose cost is known (US dollars).
        cost_unknown: queries that a model answered, or began to, whose cost nobody knows.
        p50_seconds, p95_seconds: question to answer, of those that were answered (nearest rank); None: there are none.
            Of months that were folded they are right within 10 %.
        p50_first_seconds, p95_first_seconds: question to the first piece of the answer, of those that came in pieces.
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
    p50_first_seconds: float | None = None
    p95_first_seconds: float | None = None


@dataclass(frozen=True)
class Part:
    """Questions at the endpoint, by who answered how hard a question.

    Attributes:
        who: own or helper; "" where nobody did.
        tier: simple, medium or complex; "" where there is no router.
        queries: of these.
        cost_usd: of those whose cost is known (US dollars).
        helper_usd: charged to the money of the router, for answers that were not given too; of a call whose cost
            nobody knows the most that it may be.
        good, bad: that people judged so.
    """

    who: str
    tier: str
    queries: int
    cost_usd: float
    helper_usd: float
    good: int
    bad: int


@dataclass(frozen=True)
class Period:
    """A month (`2026-11`), or the days named.

    Attributes:
        name: of the month, or first and last day.
        use: of all models together.
        models: name of the model that answered ("" for none) -> its share; a conversation counts with the model that
            answered first in it.
        complete: False when older queries of the period were folded into months already.
        parts: answers of the endpoint; none where it was not used.
    """

    name: str
    use: Use = Use()
    models: Mapping[str, Use] = field(default_factory=dict)
    complete: bool = True
    parts: tuple[Part, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        models = {name: asdict(use) for name, use in self.models.items()}
        parts = [asdict(part) for part in self.parts]
        return {
            "period": self.name, **asdict(self.use), "models": models, "complete": self.complete, "parts": parts,
        }  # fmt: skip


def bucket_of(seconds: float) -> int:
    """The bucket of a time, on a scale of factors."""
    return math.floor(math.log2(max(seconds, _NO_TIME)) * _A_FACTOR_OF_TWO)


def _middle(bucket: int) -> float:
    return float(2.0 ** ((bucket + 0.5) / _A_FACTOR_OF_TWO))


def helper_usd(connection: sqlite3.Connection, month: str) -> float:
    """What was charged for the helper in a month such as 2026-11 (US dollars)."""
    if version_of(connection) != VERSION:
        return 0.0  # there was no helper
    found = connection.execute(
        "SELECT (SELECT coalesce(sum(helper_usd), 0.0) FROM month_part WHERE month = :month) + "
        "(SELECT coalesce(sum(helper_usd), 0.0) FROM query WHERE at >= :month AND substr(at, 1, 7) = :month)",
        {"month": month},
    ).fetchone()
    return float(found[0])


def read_months(connection: sqlite3.Connection) -> list[Period]:
    """Every month with a query, the oldest first."""
    sums: dict[str, dict[str, list[Any]]] = {}
    rows = connection.execute("SELECT * FROM month").fetchall() + connection.execute(
        f"SELECT substr(at, 1, 7), coalesce(model, ''), {SUMS} FROM query GROUP BY 1, 2"  # noqa: S608
    ).fetchall()  # fmt: skip
    for month, model, *numbers in rows:
        known = sums.setdefault(month, {}).setdefault(model, [0] * len(numbers))
        known[:] = [a + b for a, b in zip(known, numbers, strict=True)]
    times = _times_of_months(connection, "month_seconds", "seconds", TO_SECONDS)
    first: dict[str, _Times] = {}
    parts: dict[str, list[tuple[Any, ...]]] = {}
    if version_of(connection) == VERSION:
        first = _times_of_months(connection, "month_first_seconds", "first_token_seconds", FIRST)
        for query in ("SELECT * FROM month_part", f"SELECT substr(at, 1, 7), {PARTS} GROUP BY 1, 2, 3"):
            for month, *part in connection.execute(query):
                parts.setdefault(month, []).append(tuple(part))
    return [
        _period(month, sums[month], times.get(month, {}), first.get(month, {}), parts.get(month, []))
        for month in sorted(sums)
    ]


def _times_of_months(connection: sqlite3.Connection, table: str, column: str, which: str) -> dict[str, _Times]:
    times: dict[str, _Times] = {}
    for month, model, bucket, count in connection.execute(f"SELECT * FROM {table}"):  # noqa: S608
        times.setdefault(month, {}).setdefault(model, []).append((_middle(bucket), count))
    for month, model, seconds in connection.execute(
        f"SELECT substr(at, 1, 7), coalesce(model, ''), {column} FROM query WHERE {which}"  # noqa: S608
    ):
        times.setdefault(month, {}).setdefault(model, []).append((seconds, 1))
    return times


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

    def times_of(column: str, which: str) -> _Times:
        times: _Times = {}
        for model, seconds in connection.execute(
            f"SELECT coalesce(model, ''), {column} {where} AND {which}", span  # noqa: S608
        ):  # fmt: skip
            times.setdefault(model, []).append((seconds, 1))
        return times

    new = version_of(connection) == VERSION
    parts = (
        connection.execute(f"SELECT {PARTS} AND at > ? AND at <= ? GROUP BY 1, 2", span).fetchall()  # noqa: S608
        if new else []
    )  # fmt: skip
    found = _period(
        f"{after[:10]} to {until[:10]}", sums, times_of("seconds", TO_SECONDS),
        times_of("first_token_seconds", FIRST) if new else {}, parts,
    )  # fmt: skip
    # One with an id that goes on from the month before counts there: of these days it counts all the same.
    distinct = connection.execute(
        "SELECT count(DISTINCT conversation) + coalesce(sum(conversation IS NULL AND begins), 0) "  # noqa: S608
        f"{where} AND error IS NULL",
        span,
    ).fetchone()[0]
    folded = connection.execute("SELECT value FROM about WHERE name = 'folded until'").fetchone()
    return replace(
        found, use=replace(found.use, conversations=distinct), complete=folded is None or folded[0] <= after
    )  # fmt: skip


def _period(
    name: str, sums: Mapping[str, list[Any]], times: _Times, first: _Times, parts: Iterable[tuple[Any, ...]]
) -> Period:
    if not sums:
        return Period(name)
    total = [sum(column) for column in zip(*sums.values(), strict=True)]
    models = {model: _use(sums[model], times.get(model, []), first.get(model, [])) for model in sorted(sums)}
    added: dict[tuple[str, str], list[Any]] = {}
    for who, tier, *numbers in parts:
        known = added.setdefault((who, tier), [0] * len(numbers))
        known[:] = [a + b for a, b in zip(known, numbers, strict=True)]
    return Period(
        name, _use(total, list(chain(*times.values())), list(chain(*first.values()))), models,
        parts=tuple(Part(*key, *numbers) for key, numbers in sorted(added.items())),
    )  # fmt: skip


def _use(numbers: list[Any], times: Sequence[tuple[float, int]], first: Sequence[tuple[float, int]]) -> Use:
    whole, begun = sorted(times), sorted(first)
    return replace(
        Use(*numbers), p50_seconds=_at_rank(whole, 0.50), p95_seconds=_at_rank(whole, 0.95),
        p50_first_seconds=_at_rank(begun, 0.50), p95_first_seconds=_at_rank(begun, 0.95),
    )  # fmt: skip


def _at_rank(ranked: list[tuple[float, int]], share: float) -> float | None:
    """The smallest value that so large a share does not exceed (nearest rank)."""
    wanted = share * sum(count for _, count in ranked)
    seen, value = 0, None
    for value, count in ranked:
        seen += count
        if seen >= wanted - 1e-9:
            return value
    return value
