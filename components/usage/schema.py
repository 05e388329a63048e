"""The tables of the usage log, and how a log of an earlier version is brought to these.

State after a hard crash: a log is as it was before or as it is after, since all is one transaction.
"""

from __future__ import annotations

import sqlite3

__all__ = ["VERSION", "empty", "prepare", "version_of"]

VERSION = 1
"""Of the tables, in the file's `user_version`. 0: before there was an endpoint."""
_ADDED = {  # to `query` of version 0
    "request": "TEXT", "who": "TEXT", "side": "TEXT", "first_token_seconds": "REAL", "helper_usd": "REAL",
    "score": "INTEGER", "comment": "TEXT",
}  # fmt: skip
_SECONDS = "(month TEXT, model TEXT, bucket INTEGER, queries INTEGER, PRIMARY KEY (month, model, bucket)) WITHOUT ROWID"
_TABLES = (
    """CREATE TABLE IF NOT EXISTS query (
        id INTEGER PRIMARY KEY, at TEXT NOT NULL, door TEXT NOT NULL, recipe TEXT, release TEXT, conversation TEXT,
        model TEXT, is_local INTEGER, prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, seconds REAL,
        search_seconds REAL, cost_usd REAL, found INTEGER, cached INTEGER NOT NULL, source_count INTEGER NOT NULL,
        sources TEXT NOT NULL, tier TEXT, error TEXT, question_chars INTEGER NOT NULL, question TEXT NOT NULL,
        begins INTEGER NOT NULL, repeats INTEGER NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS month (
        month TEXT, model TEXT, queries INTEGER, failed INTEGER, conversations INTEGER, repeated INTEGER,
        prompt_tokens INTEGER, completion_tokens INTEGER, cost_usd REAL, cost_unknown INTEGER,
        PRIMARY KEY (month, model)) WITHOUT ROWID""",
    f"CREATE TABLE IF NOT EXISTS month_seconds {_SECONDS}",
    f"CREATE TABLE IF NOT EXISTS month_first_seconds {_SECONDS}",
    """CREATE TABLE IF NOT EXISTS month_part (
        month TEXT, who TEXT, tier TEXT, queries INTEGER, cost_usd REAL, helper_usd REAL, good INTEGER,
        bad INTEGER, PRIMARY KEY (month, who, tier)) WITHOUT ROWID""",
    "CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value) WITHOUT ROWID",
)
_INDEXES = (
    "CREATE INDEX IF NOT EXISTS query_at ON query (at)",
    "CREATE INDEX IF NOT EXISTS query_question ON query (question)",
    "CREATE INDEX IF NOT EXISTS query_conversation ON query (conversation)",
    "CREATE INDEX IF NOT EXISTS query_request ON query (request)",
    "CREATE INDEX IF NOT EXISTS query_comment ON query (id) WHERE comment IS NOT NULL",
)
_AT_FIRST = "SELECT count(*) FROM sqlite_master WHERE name IN ('query', 'month', 'month_seconds', 'about')"
_TABLES_AT_FIRST = 4


def version_of(connection: sqlite3.Connection) -> int | None:
    """Of the tables of a log; None: it has none yet.

    Raises:
        sqlite3.Error: it is broken, in use, or of a newer version.
    """
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        raise sqlite3.NotSupportedError(
            f"a newer version of cervella made it (tables of version {version}, this one knows {VERSION})"
        )
    complete: bool = connection.execute(_AT_FIRST).fetchone()[0] == _TABLES_AT_FIRST
    return version if complete else None


def prepare(connection: sqlite3.Connection) -> None:
    """Make the tables, or add what an earlier version did not have; nothing is lost. Raises as `version_of`."""
    if version_of(connection) == VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        if version_of(connection) != VERSION:  # another process may have been quicker
            _make(connection)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def empty() -> sqlite3.Connection:
    """A log without a query, in memory."""
    connection = sqlite3.connect(":memory:")
    _make(connection)
    return connection


def _make(connection: sqlite3.Connection) -> None:
    for statement in _TABLES:
        connection.execute(statement)
    there = {row[1] for row in connection.execute("PRAGMA table_info(query)")}
    for name, kind in _ADDED.items():
        if name not in there:
            connection.execute(f"ALTER TABLE query ADD COLUMN {name} {kind}")
    for statement in _INDEXES:
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {VERSION}")
