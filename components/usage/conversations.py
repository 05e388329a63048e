"""Conversations that are kept where the recipe says so: question and answer of each turn, masked by the caller.

A turn goes on from the one that ends the very conversation before it, so what a client makes up is no turn, and where
an answer was asked for anew there are two conversations. **Not kept**: a turn whose turns before are not all kept.

The newest 20,000 turns stay. State after a hard crash: see `components.store.sqlite_file`; a turn is there or it is
not. A file that is broken is moved aside and begun anew.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from components.errors import TerminalError
from components.store.purge import vacuum
from components.store.sqlite_file import SqliteFile
from components.usage.log import label_of

__all__ = ["NAME", "Conversation", "Conversations", "conversations_file", "forget_conversations", "read_conversations"]

NAME = "conversations.sqlite"
"""Of the file."""
_MAX_TURNS, _LONGEST = 20_000, 20_000  # turns; characters of a question or an answer
_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS turn (
        id INTEGER PRIMARY KEY, parent INTEGER, at TEXT NOT NULL, model TEXT, sources TEXT NOT NULL,
        said TEXT NOT NULL, question TEXT NOT NULL, answer TEXT NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS turn_said ON turn (said)",
    "CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value) WITHOUT ROWID",
)


def conversations_file(workspace: Path) -> Path:
    """Where the conversations of a workspace are."""
    return workspace / "usage" / NAME


@dataclass(frozen=True)
class Conversation:
    """A conversation to its end.

    Attributes:
        id: of its last turn.
        turns: question and answer of each.
        model: that gave the last answer; None: not known.
        at: when (ISO, UTC).
        sources: paths of the notes that its answers were made from.
        requests: of its answers, which feedback names; without those that were kept before these were.
    """

    id: int
    turns: tuple[tuple[str, str], ...]
    model: str | None
    at: str
    sources: tuple[str, ...]
    requests: tuple[str, ...] = ()


class Conversations(SqliteFile):
    """The conversations of a workspace; opened at the first use, never a reason for an answer to fail.

    Args:
        path: of the file, see `conversations_file`.
        max_turns: that are kept.
    """

    def __init__(self, path: Path, *, max_turns: int = _MAX_TURNS) -> None:
        super().__init__(path, schema=_SCHEMA, what="file of conversations", busy_seconds=2.0)
        self._max_turns = max_turns

    def keep(
        self, *, whose: str, said: Sequence[tuple[str, str]], question: str, answer: str, sources: Sequence[str],
        model: str | None = None, request: str | None = None,
    ) -> bool:  # fmt: skip
        """Keep a turn; False when it could not be kept or goes on from none that is, which is no error.

        Args:
            whose: name of the key, so that nobody goes on with what another began; kept within a keyed digest alone.
            said: question and answer of each turn of the conversation, this one last, word for word; kept as a keyed
                digest alone.
            question: of this turn, masked.
            answer: of this turn, masked.
            sources: paths of the notes that the model read; all of them, since forgetting goes by them.
            model: that answered.
            request: id of its request, which feedback names.
        """
        kept: list[bool] = []

        def write(connection: sqlite3.Connection) -> None:
            parent = None
            if said[:-1]:
                parent = connection.execute(
                    "SELECT max(id) FROM turn WHERE said = ?", (_digest(connection, whose, said[:-1]),)
                ).fetchone()[0]
                if parent is None:
                    return
            connection.execute(
                "INSERT INTO turn (parent, at, model, request, sources, said, question, answer) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    parent, datetime.now(UTC).isoformat(), label_of(model), label_of(request),
                    json.dumps([label_of(path) for path in dict.fromkeys(sources)], ensure_ascii=False),
                    _digest(connection, whose, said), _text(question), _text(answer),
                ),
            )  # fmt: skip
            connection.execute("DELETE FROM turn WHERE id <= (SELECT max(id) FROM turn) - ?", (self._max_turns,))
            kept.append(True)

        return self._try_write(write) and bool(kept)

    def _open(self) -> sqlite3.Connection:
        opened = self._connection is None
        connection = super()._open()
        if opened:  # by an earlier version it may have been made without
            with suppress(sqlite3.OperationalError):  # it has one
                connection.execute("ALTER TABLE turn ADD COLUMN request TEXT")
        return connection


def read_conversations(path: Path) -> Iterator[Conversation]:
    """Each conversation to its last turn, the oldest first; without those whose beginning is kept no more.

    Raises:
        TerminalError: the file cannot be read.
    """
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5)) as connection:
            request = "request" if _has_requests(connection) else "NULL"  # of a file of an earlier version
            rows = connection.execute(
                f"SELECT id, parent, at, model, sources, question, answer, {request} FROM turn ORDER BY id"  # noqa: S608
            ).fetchall()
    except sqlite3.Error as error:
        raise TerminalError(f"{path}: the kept conversations cannot be read ({error})") from error
    turns = {row[0]: row for row in rows}
    ends = set(turns) - {row[1] for row in rows}
    for end in sorted(ends):
        line = [turns[end]]
        while (parent := line[-1][1]) in turns:
            line.append(turns[parent])
        if line[-1][1] is not None:
            continue
        line.reverse()
        paths = dict.fromkeys(path for row in line for path in json.loads(row[4]))
        yield Conversation(
            end, tuple((row[5], row[6]) for row in line), line[-1][3], line[-1][2], tuple(paths),
            requests=tuple(row[7] for row in line if row[7]),
        )  # fmt: skip


def forget_conversations(file: Path, paths: Collection[str], *, do: bool) -> int:
    """Count the turns whose answer was made from one of these notes, with those after them; with `do` take them away.

    Afterwards neither free pages nor the write-ahead log hold them.

    Raises:
        TerminalError: the file is in use by another program, or broken.
    """
    if not paths or not file.is_file():
        return 0
    named = set(map(label_of, paths))
    gone: set[int] = set()
    try:
        with closing(sqlite3.connect(file, timeout=30, isolation_level=None)) as connection:
            connection.execute("PRAGMA secure_delete=ON")
            connection.execute("BEGIN IMMEDIATE")
            for number, parent, sources in connection.execute("SELECT id, parent, sources FROM turn ORDER BY id"):
                if parent in gone or not named.isdisjoint(json.loads(sources)):
                    gone.add(number)
            if do:
                connection.executemany("DELETE FROM turn WHERE id = ?", [(number,) for number in gone])
            connection.execute("COMMIT")
        if do and gone:
            vacuum(file)
    except (sqlite3.Error, ValueError) as error:
        raise TerminalError(f"{file}: {error}; end what uses it, or remove the file") from error
    return len(gone)


def _has_requests(connection: sqlite3.Connection) -> bool:
    return any(row[1] == "request" for row in connection.execute("PRAGMA table_info(turn)"))


def _text(text: str) -> str:
    return text[:_LONGEST].encode("utf-8", "replace").decode()


def _digest(connection: sqlite3.Connection, whose: str, said: Sequence[tuple[str, str]]) -> str:
    connection.execute("INSERT OR IGNORE INTO about VALUES ('salt', ?)", (secrets.token_bytes(32),))
    salt = bytes(connection.execute("SELECT value FROM about WHERE name = 'salt'").fetchone()[0])
    spoken = json.dumps([whose, [[text.strip() for text in turn] for turn in said]])
    return hmac.new(salt, spoken.encode(), hashlib.sha256).hexdigest()[:32]
