"""What two releases answered to real questions: a row an answer, in SQLite, bounded, no texts unless they are kept.

**Kept**: when, the request's id, release, index, model, what it took, whether something was found, the paths of the
sources, the kind of an error. **Only with `keep_conversations`**: question and answer, secrets and personal data
masked. What names a conversation is kept as a digest that is keyed by random bytes of this very file.

Of each side of a comparison the newest 10,000 rows are kept, or as many as it asks questions; and the newest 4
comparisons. State after a hard crash: see `components.store.sqlite_file`; both answers to a question are there or
neither is. A file that is broken is moved aside and begun anew, and so is the comparison.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from components.answer import detect_language
from components.errors import InputError
from components.evaluate.said import Item, Said
from components.serve.desk import Served, Wanted
from components.serve.masked import masked
from components.store.sqlite_file import SqliteFile
from components.usage.log import label_of

if TYPE_CHECKING:
    from components.answer import Answer

__all__ = ["MAX_ROWS", "Compared", "Comparisons", "Mode", "Side", "comparisons_file"]

Side = Literal["A", "B"]
"""A: what is in service; B: the candidate."""
Mode = Literal["shadow", "ab"]
MAX_ROWS = 10_000
"""Of one side of a comparison, where it does not ask for more questions."""
_MOST_COMPARISONS = 4
_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS answer (
        id INTEGER PRIMARY KEY, at TEXT NOT NULL, candidate TEXT NOT NULL, mode TEXT NOT NULL, side TEXT NOT NULL,
        request TEXT NOT NULL, conversation TEXT, release TEXT, live_index TEXT, model TEXT, tier TEXT,
        lang TEXT NOT NULL, found INTEGER, confidence REAL, sources TEXT NOT NULL, cited TEXT NOT NULL, seconds REAL,
        prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, cost_usd REAL, is_local INTEGER,
        cached INTEGER NOT NULL, chars INTEGER NOT NULL, error TEXT, question TEXT, text TEXT)""",
    "CREATE INDEX IF NOT EXISTS answer_of ON answer (candidate, mode, side)",
    "CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value) WITHOUT ROWID",
)


def comparisons_file(workspace: Path) -> Path:
    """Where the comparisons of a workspace are."""
    return workspace / "serve" / "comparisons.sqlite"


@dataclass(frozen=True)
class Compared:
    """An answer of one side, as it is kept.

    Attributes:
        candidate: digest of the release that is compared.
        mode: how.
        side: who answered.
        request: id of the request; in a shadow both sides have the same.
        lang: of the question.
        release: that answered; None: what the files of the recipe say, or it did not answer.
        live_index: digest of the published index.
        model: that really answered.
        tier: how hard the question was taken to be.
        found: whether it was in the notes; None: no answer.
        confidence: see `Served`.
        sources: places of the notes that the model read, `path:first-last`; after them those of exact duplicates.
        cited: of these, those that the text names.
        seconds: question to answer; None: no answer.
        prompt_tokens: that the model read.
        completion_tokens: that it wrote.
        cost_usd: US dollars, of a cached answer when it was made; None: unknown.
        is_local: whether the model runs in this process.
        cached: whether the answer came from the cache.
        chars: of the text.
        error: kind of the error in place of an answer.
        question, text: masked; None: texts are not kept.
        conversation: what its turns have in common, see `Wanted.talk`; read back it is a digest.
        at: when (ISO, UTC).
    """

    candidate: str
    mode: Mode
    side: Side
    request: str
    lang: str
    release: str | None = None
    live_index: str | None = None
    model: str | None = None
    tier: str | None = None
    found: bool | None = None
    confidence: float | None = None
    sources: tuple[str, ...] = ()
    cited: tuple[str, ...] = ()
    seconds: float | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float | None = None
    is_local: bool | None = None
    cached: bool = False
    chars: int = 0
    error: str | None = None
    question: str | None = None
    text: str | None = None
    conversation: str | None = None
    at: str = ""

    @classmethod
    def of(
        cls, wanted: Wanted, given: Served | BaseException, *, candidate: str, mode: Mode, side: Side, keep_texts: bool,
        tier: str | None = None,
    ) -> Compared:  # fmt: skip
        """An answer, or the error in its place."""
        question = masked(wanted.question) if keep_texts else None
        begun = cls(
            candidate, mode, side, wanted.id, detect_language(wanted.question), tier=tier, question=question,
            conversation=wanted.talk,
        )  # fmt: skip
        if isinstance(given, BaseException):
            why = given.__cause__ if isinstance(given.__cause__, InputError) else given  # a desk tells it as its own
            return cls(**{**_shallow(begun), "error": type(why).__name__})
        answer, reply = given.asked.answer, given.asked.answer.reply
        told: dict[str, Any] = {
            "release": given.release, "live_index": given.index, "tier": given.tier or tier, "found": answer.found,
            "confidence": given.confidence, "sources": _sources(answer), "cited": answer.places(cited=True),
            "seconds": given.asked.seconds, "chars": len(answer.text),
            "text": masked(answer.text) if keep_texts else None,
        }  # fmt: skip
        if reply:
            told |= {
                "model": reply.model, "prompt_tokens": reply.prompt_tokens, "is_local": reply.is_local,
                "completion_tokens": reply.completion_tokens, "cost_usd": reply.original_cost_usd,
                "cached": reply.cached,
            }  # fmt: skip
        else:
            told["cost_usd"] = 0.0
        return cls(**{**_shallow(begun), **told})

    def said(self) -> Said:
        """For the judge of pairs. Raises ValueError when there is no text."""
        if self.question is None or (self.text is None and self.error is None):
            raise ValueError("the texts of this comparison were not kept")
        return Said(
            item=Item(
                part="personality", id=self.request, prompt=self.question, lang=self.lang, kind="served",
                tier=self.tier or "",
            ),
            text=self.text or "", found=bool(self.found), sources=self.sources, cited=self.cited, seconds=self.seconds,
            cost_usd=self.cost_usd, model=self.model or "", is_local=bool(self.is_local), cached=self.cached,
            error=self.error,
        )  # fmt: skip


class Comparisons(SqliteFile):
    """The comparisons of a workspace; opened at the first use, never a reason for an answer to fail.

    Args:
        path: of the file, see `comparisons_file`.
        max_rows: answers that are kept of one side of a comparison.
    """

    def __init__(self, path: Path, *, max_rows: int = MAX_ROWS) -> None:
        super().__init__(path, schema=_SCHEMA, what="record of comparisons", busy_seconds=2.0)
        self._max_rows = max_rows

    def record(self, answers: Sequence[Compared]) -> bool:
        """Keep these answers, all or none; False when they could not be kept, which is no error."""
        return self._try_write(lambda connection: self._insert(connection, answers))

    def count(self, candidate: str, mode: Mode) -> int:
        """How many questions the candidate was asked so (its errors too); 0 when the file cannot be read."""
        query = "SELECT count(*) FROM answer WHERE candidate = ? AND mode = ? AND side = 'B'"
        return self._try_read(
            lambda connection: int(connection.execute(query, (candidate, mode)).fetchone()[0]), instead=0
        )

    def kept(self) -> list[tuple[str, Mode]]:
        """Candidate and mode of each comparison, the newest first; nothing when the file cannot be read."""
        query = "SELECT candidate, mode FROM answer GROUP BY candidate, mode ORDER BY max(id) DESC"
        return self._try_read(lambda connection: connection.execute(query).fetchall(), instead=[])

    def answers(self, candidate: str) -> list[Compared]:
        """Everything of one candidate, the oldest first; nothing when the file cannot be read."""
        names = [field.name for field in fields(Compared)]
        query = f"SELECT {', '.join(names)} FROM answer WHERE candidate = ? ORDER BY id"  # noqa: S608

        def read(connection: sqlite3.Connection) -> list[Compared]:
            return [_read(dict(zip(names, row, strict=True))) for row in connection.execute(query, (candidate,))]

        return self._try_read(read, instead=[])

    def said(self, candidate: str) -> tuple[list[Said], list[Said]]:
        """Of a shadow whose texts were kept: what the candidate said, and what was in service, to the same questions.

        In the form of `components.evaluate.judge.pairs.duels`; empty where no texts were kept.
        """
        kept = [one for one in self.answers(candidate) if one.mode == "shadow" and one.question is not None]
        kept = [one for one in kept if one.text is not None or one.error is not None]
        sides = {side: {one.request: one.said() for one in kept if one.side == side} for side in get_args(Side)}
        both = [request for request in sides["B"] if request in sides["A"]]
        return [sides["B"][request] for request in both], [sides["A"][request] for request in both]

    def _insert(self, connection: sqlite3.Connection, answers: Sequence[Compared]) -> None:
        for answer in answers:
            _make_room(connection, answer, max_rows=self._max_rows)
            row = {name: label_of(value) if isinstance(value, str) else value
                   for name, value in _shallow(answer).items()}  # fmt: skip
            row |= {
                "question": answer.question, "text": answer.text, "at": answer.at or datetime.now(UTC).isoformat(),
                "conversation": _digest(connection, answer.conversation),
                "sources": _places(answer.sources), "cited": _places(answer.cited),
            }  # fmt: skip
            names, marks = ", ".join(row), ", ".join(f":{name}" for name in row)
            connection.execute(f"INSERT INTO answer ({names}) VALUES ({marks})", row)  # noqa: S608


def _make_room(connection: sqlite3.Connection, answer: Compared, *, max_rows: int) -> None:
    """For one more answer: each side has room of its own, so that a side of many pushes out none of the other's."""
    side = (answer.candidate, answer.mode, answer.side)
    connection.execute(
        "DELETE FROM answer WHERE candidate = ?1 AND mode = ?2 AND side = ?3 AND id <= (SELECT id FROM answer "
        "WHERE candidate = ?1 AND mode = ?2 AND side = ?3 ORDER BY id DESC LIMIT 1 OFFSET ?4)", (*side, max_rows - 1),
    )  # fmt: skip
    if not connection.execute("SELECT 1 FROM answer WHERE candidate = ? AND mode = ? LIMIT 1", side[:2]).fetchone():
        connection.execute(
            "DELETE FROM answer WHERE (candidate, mode) NOT IN (SELECT candidate, mode FROM answer "
            "GROUP BY candidate, mode ORDER BY max(id) DESC LIMIT ?)", (_MOST_COMPARISONS - 1,),
        )  # fmt: skip


def _shallow(answer: Compared) -> dict[str, Any]:
    return {field.name: getattr(answer, field.name) for field in fields(answer)}


def _read(row: dict[str, Any]) -> Compared:
    for name in ("sources", "cited"):
        row[name] = tuple(json.loads(row[name]))
    for name in ("found", "is_local", "cached"):
        row[name] = None if row[name] is None else bool(row[name])
    return Compared(**row)


def _places(places: Sequence[str]) -> str:
    """All of them: a text is forgotten by the paths of its sources. Each path is bounded, its lines stay."""
    return json.dumps([_place(*place.rpartition(":")[::2]) for place in places], ensure_ascii=False)


def _sources(answer: Answer) -> tuple[str, ...]:
    """Where they stand, then where notes with the very same text stand."""
    same = [f"{path}:{one.first_line}-{one.last_line}" for one in answer.sources for path in one.paths]
    return tuple(dict.fromkeys((*answer.places(), *same)))


def _place(path: str, lines: str) -> str:
    return f"{label_of(path)}:{lines}"


def _digest(connection: sqlite3.Connection, conversation: str | None) -> str | None:
    if conversation is None:
        return None
    connection.execute("INSERT OR IGNORE INTO about VALUES ('salt', ?)", (secrets.token_bytes(32),))
    salt = bytes(connection.execute("SELECT value FROM about WHERE name = 'salt'").fetchone()[0])
    return hmac.new(salt, conversation.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:32]
