"""The usage log: one row a query in SQLite, bounded, without question and answer; it never fails an answer.

**Kept**: when, door, recipe, release, model, who answered how hard a question, tokens, seconds, dollars, whether
something was found, the paths of the sources, the kind of an error; and what people say of an answer, see `feedback`.
**Not kept**: the question and the answer. Of a question its length stays, and a digest
keyed by random bytes of this very file, so that repeats can be counted; of a conversation's id the digest alone. Who
has the file can test whether a guessed question was asked, and reads the paths; it is as private as the notes.

At most 200,000 rows of at most 400 days, with the last 10,000 texts of feedback: the oldest are folded into sums by
month at the next write, and these stay. Where more than that is asked within a month, a conversation with an id that
goes on after all of it was folded is counted again.

State after a hard crash: see `components.store.sqlite_file`: a query is there or it is not, and it is in the rows or in
the sums, never in both. A query that was answered and not recorded when the process was killed is missing. A log that
is broken is moved aside and begun anew: what it counted then counts no more. One of an earlier version is brought to
this one at the first write, whole; one of a newer version is told and left alone.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import secrets
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from components.errors import TerminalError, TransientError
from components.store.sqlite_file import SqliteFile
from components.usage.periods import (
    FIRST,
    PARTS,
    SUMS,
    TO_SECONDS,
    Period,
    bucket_of,
    helper_usd,
    read_days,
    read_months,
)
from components.usage.schema import empty, prepare, version_of

__all__ = ["UsageLog", "label_of", "usage_file"]

_MAX_ROWS, _MAX_DAYS = 200_000, 400
_FOLDED_AT_ONCE = 0.01  # of the rows: folding one at each query would be as much work as writing two
_LONGEST, _MOST_SOURCES = 200, 20  # characters of a name or path; paths of one query
_LONGEST_COMMENT, _MOST_COMMENTS = 2000, 10_000  # characters; how many texts of feedback are kept
_ADDED = ("queries", "failed", "conversations", "repeated", "prompt_tokens", "completion_tokens", "cost_usd",
          "cost_unknown")  # fmt: skip
_ADDED_PARTS = ("queries", "cost_usd", "helper_usd", "good", "bad")
_T = TypeVar("_T")


def usage_file(workspace: Path) -> Path:
    """Where the usage log of a workspace is."""
    return workspace / "usage" / "usage.sqlite"


class UsageLog(SqliteFile):
    """The usage log of a workspace; opened at the first use.

    Args:
        path: of the file, see `usage_file`.
        max_rows: queries that are kept one by one.
        max_days: how long they are.
    """

    def __init__(self, path: Path, *, max_rows: int = _MAX_ROWS, max_days: int = _MAX_DAYS) -> None:
        super().__init__(path, schema=(), what="usage log", busy_seconds=2.0)  # a person waits for the answer
        self._max_rows, self._max_days = max_rows, max_days

    def record(
        self, *, door: str, question: str, recipe: str | None = None, release: str | None = None,
        conversation: str | None = None, goes_on: bool = False, model: str | None = None, is_local: bool | None = None,
        prompt_tokens: int = 0, completion_tokens: int = 0, seconds: float | None = None,
        search_seconds: float | None = None, cost_usd: float | None = None, found: bool | None = None,
        cached: bool = False, sources: Sequence[str] = (), tier: str | None = None, who: str | None = None,
        side: str | None = None, first_token_seconds: float | None = None, helper_usd: float | None = None,
        request: str | None = None, error: str | None = None, at: datetime | None = None,
    ) -> bool:  # fmt: skip
        """Keep one query; False when it could not be kept, which is no error.

        Args:
            door: where it was asked: ask, serve, ...
            question: its text, of which length and keyed digest are kept.
            recipe: its name.
            release: digest of the release that answered; None: what the files of the recipe say was asked.
            conversation: its id; None: it has none.
            goes_on: of one without an id, whether something was answered in it before, so that it counts already.
            model: that answered; None: none was asked.
            is_local: whether it runs in this process.
            prompt_tokens: that it read.
            completion_tokens: that it wrote.
            seconds: that the person waited.
            search_seconds: of these, for the search.
            cost_usd: US dollars; None: unknown.
            found: whether it was in the notes.
            cached: whether the answer came from the cache.
            sources: paths of the notes that the model read.
            tier: how hard the question was taken to be, where several models answer.
            who: own or helper: who answered; None: nobody, or there is one alone.
            side: A or B where two releases are compared.
            first_token_seconds: that the person waited for the first piece.
            helper_usd: what is charged to the money of the router, for answers that were not given and questions that
                failed too: of a call whose cost nobody knows the most that it may be.
            request: id of the request, which feedback names.
            error: kind of the error that ended it (a class name, no text); None: it was answered.
            at: when; None: now.
        """
        paths = [label_of(path) for path in dict.fromkeys(sources)]
        values: dict[str, object] = {
            "at": _iso(at or datetime.now(UTC)), "door": label_of(door), "recipe": label_of(recipe),
            "release": label_of(release), "model": label_of(model), "is_local": is_local,
            "prompt_tokens": _count(prompt_tokens), "completion_tokens": _count(completion_tokens),
            "seconds": _finite(seconds), "search_seconds": _finite(search_seconds), "cost_usd": _finite(cost_usd),
            "found": found, "cached": cached, "source_count": len(paths),
            "sources": json.dumps(paths[:_MOST_SOURCES], ensure_ascii=False), "tier": label_of(tier),
            "who": label_of(who), "side": label_of(side), "first_token_seconds": _finite(first_token_seconds),
            "helper_usd": _finite(helper_usd), "request": label_of(request), "error": label_of(error),
            "question_chars": len(question),
        }  # fmt: skip
        return self._try_write(lambda connection: self._insert(connection, values, question, conversation, goes_on))

    def feedback(self, request: str, *, score: int, comment: str | None = None) -> bool:
        """Keep what a person says of an answer, in the place of what was said of it before.

        Args:
            request: id of its request.
            score: -1 or 1.
            comment: in words, secrets and personal data masked; 2,000 characters of it are kept.

        Returns:
            False: no such request is kept.

        Raises:
            TransientError: nothing can be kept now.
        """
        text = None if comment is None else comment[:_LONGEST_COMMENT].encode("utf-8", "replace").decode()
        known: list[bool] = []

        def write(connection: sqlite3.Connection) -> None:
            done = connection.execute(
                "UPDATE query SET score = ?, comment = ? WHERE request = ?",
                (max(-1, min(score, 1)), text or None, label_of(request)),
            )
            known[:] = [done.rowcount > 0]
            connection.execute(
                "UPDATE query SET comment = NULL WHERE id IN (SELECT id FROM query WHERE comment IS NOT NULL "
                "ORDER BY id DESC LIMIT -1 OFFSET ?)", (_MOST_COMMENTS,),
            )  # fmt: skip

        if not self._try_write(write):
            raise TransientError(f"the usage log {self.path} cannot be written, so the feedback is not kept")
        return known[0]

    def scores(self) -> dict[str, int]:
        """What people said of answers that are kept one by one: id of the request -> -1 or 1. Raises as `months`."""
        query = "SELECT request, score FROM query WHERE request IS NOT NULL AND score IS NOT NULL"
        return self._read(lambda connection: {str(request): int(score) for request, score in connection.execute(query)})

    def helper_usd(self, month: str) -> float:
        """What was charged for the helper in a month such as 2026-11 (US dollars, as far as prices are listed).

        Raises:
            TerminalError: the log cannot be read.
        """
        return self._read(lambda connection: helper_usd(connection, month))

    def months(self) -> list[Period]:
        """Every month with a query, the oldest first; none where there is no log.

        Raises:
            TerminalError: the log cannot be read.
        """
        return self._read(read_months)

    def last_30_days(self, now: datetime | None = None) -> Period:
        """The 30 days before `now`; nothing where there is no log. Raises as `months` does."""
        until = now or datetime.now(UTC)
        after = _iso(until - timedelta(days=30))
        return self._read(lambda connection: read_days(connection, after=after, until=_iso(until)))

    def _open(self) -> sqlite3.Connection:
        opened = self._connection is None
        connection = super()._open()
        if opened:
            prepare(connection)
        return connection

    def _insert(
        self, connection: sqlite3.Connection, values: dict[str, object], question: str, conversation: str | None,
        goes_on: bool,
    ) -> None:  # fmt: skip
        salt = _salt(connection)
        row = values | {
            "question": _digest(salt, " ".join(question.split()).casefold()),
            "conversation": None if conversation is None else _digest(salt, conversation),
        }
        row["repeats"] = _there(connection, "question = :question", row)
        known = goes_on if conversation is None else _there(
            connection, "conversation = :conversation AND error IS NULL AND substr(at, 1, 7) = substr(:at, 1, 7)", row
        )  # fmt: skip
        row["begins"] = row["error"] is None and not known
        names = ", ".join(row)
        marks = ", ".join(f":{name}" for name in row)
        connection.execute(f"INSERT INTO query ({names}) VALUES ({marks})", row)  # noqa: S608
        first, last, oldest = connection.execute(
            "SELECT (SELECT min(id) FROM query), (SELECT max(id) FROM query), (SELECT min(at) FROM query)"
        ).fetchone()
        if last - first >= self._max_rows:
            _fold(connection, "id <= ?", last - self._max_rows + math.ceil(self._max_rows * _FOLDED_AT_ONCE))
        limit = _iso(datetime.now(UTC) - timedelta(days=self._max_days))
        if oldest < limit:
            _fold(connection, "at < ?", limit)

    def _read(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        try:
            with closing(_reader(self.path)) as connection:
                return work(connection)
        except sqlite3.Error as error:
            raise TerminalError(
                f"the usage log {self.path} cannot be read ({error}); when the next question is answered, a broken one "
                "is moved aside and a new one begun"
                if not isinstance(error, sqlite3.NotSupportedError)
                else f"the usage log {self.path} cannot be read: {error}. Use that version again"
            ) from error


def _reader(path: Path) -> sqlite3.Connection:
    """A connection that changes nothing; to an empty log where there is none, or one that was killed at its making."""
    name, options = path.absolute().as_uri(), ["mode=rw", "mode=ro", "immutable=1"]
    while path.exists():
        # The log of a disk that can only be read opens as `immutable` alone.
        connection = sqlite3.connect(f"{name}?{options.pop(0)}", uri=True, timeout=5)
        try:
            connection.execute("PRAGMA query_only=ON")
            if version_of(connection) is not None:
                return connection
            connection.close()
            break
        except sqlite3.NotSupportedError:
            connection.close()
            raise
        except sqlite3.OperationalError as error:
            connection.close()
            if not options or error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
                raise
    return empty()


def _fold(connection: sqlite3.Connection, which: str, limit: object) -> None:
    """Add the rows up to a limit to the sums of their months, and delete them; within the caller's transaction."""
    connection.create_function("bucket", 1, bucket_of, deterministic=True)
    added = ", ".join(f"{name} = {name} + excluded.{name}" for name in _ADDED)
    connection.execute(
        f"INSERT INTO month SELECT substr(at, 1, 7), coalesce(model, ''), {SUMS} FROM query WHERE {which} "  # noqa: S608
        f"GROUP BY 1, 2 ON CONFLICT DO UPDATE SET {added}", (limit,),
    )  # fmt: skip
    parts = ", ".join(f"{name} = {name} + excluded.{name}" for name in _ADDED_PARTS)
    connection.execute(
        f"INSERT INTO month_part SELECT substr(at, 1, 7), {PARTS} AND {which} GROUP BY 1, 2, 3 "  # noqa: S608
        f"ON CONFLICT DO UPDATE SET {parts}", (limit,),
    )  # fmt: skip
    for table, column, wanted in (
        ("month_seconds", "seconds", TO_SECONDS), ("month_first_seconds", "first_token_seconds", FIRST),
    ):  # fmt: skip
        connection.execute(
            f"INSERT INTO {table} SELECT substr(at, 1, 7), coalesce(model, ''), bucket({column}), count(*) "  # noqa: S608
            f"FROM query WHERE {which} AND {wanted} GROUP BY 1, 2, 3 "
            "ON CONFLICT DO UPDATE SET queries = queries + excluded.queries", (limit,),
        )  # fmt: skip
    connection.execute(
        "INSERT INTO about SELECT 'folded until', max(at) FROM query "  # noqa: S608
        f"WHERE {which} ON CONFLICT DO UPDATE SET value = max(value, excluded.value)", (limit,),
    )  # fmt: skip
    connection.execute(f"DELETE FROM query WHERE {which}", (limit,))  # noqa: S608


def _there(connection: sqlite3.Connection, condition: str, row: Mapping[str, object]) -> bool:
    found = connection.execute(f"SELECT EXISTS (SELECT 1 FROM query WHERE {condition})", row).fetchone()  # noqa: S608
    return bool(found[0])


def _salt(connection: sqlite3.Connection) -> bytes:
    connection.execute("INSERT OR IGNORE INTO about VALUES ('salt', ?)", (secrets.token_bytes(32),))
    return bytes(connection.execute("SELECT value FROM about WHERE name = 'salt'").fetchone()[0])


def _digest(salt: bytes, text: str) -> str:
    return hmac.new(salt, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:32]


def _iso(at: datetime) -> str:
    """UTC, of one length, so that the order of the texts is that of the times."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def label_of(text: str | None) -> str | None:
    """A name or path as it is kept: one line of at most 200 characters that SQLite takes; None stays None."""
    if text is None:
        return None
    shown = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text[:_LONGEST])
    return shown.encode("utf-8", "replace").decode()


def _count(number: int) -> int:
    return min(max(int(number), 0), 2**53)


def _finite(number: float | None) -> float | None:
    return None if number is None or not math.isfinite(number) else max(float(number), 0.0)
