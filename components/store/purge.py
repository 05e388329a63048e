"""Forgetting words: how they are recognised in any file, and how files and databases lose them.

A `Words` is a set of byte strings. For a secret they are its spellings in the formats that are written here: as it is,
in JSON, in JSON within JSON, in HTML, in a URL, in base64. For a note they are pieces of its lines that no escaping
changes and that stand in no other note.

Not found: words that a compression hides (tables of LanceDB: their own room writes them anew), words that a model has
put differently, a secret cut in two by a line break that it did not have.

State after a hard crash: a database is changed in one transaction, other files are replaced whole. Doing it again
finishes.
"""

from __future__ import annotations

import base64
import html
import json
import mmap
import os
import re
import sqlite3
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from components.errors import InputError, TerminalError
from components.store.files import write_atomic

__all__ = ["BLOT", "Words", "blot_database", "blot_file", "files_with", "is_database", "vacuum"]

BLOT = b"[forgotten]"
_SHORTEST = 6  # characters of a secret: shorter ones stand everywhere by chance
_PIECE = 20  # characters of a note's piece, at least
_PLAIN = re.compile(
    rf"[A-Za-z0-9](?:[A-Za-z0-9]| (?=[A-Za-z0-9])){{{_PIECE - 1},}}"
)  # no mark that is written otherwise
_LINE = 16  # characters: lines of a secret of several lines that are looked for by themselves


@dataclass(frozen=True)
class Words:
    """What is to be forgotten, as bytes, longest first."""

    needles: tuple[bytes, ...]

    @classmethod
    def of_secret(cls, text: str) -> Words:
        """Spellings of a secret. Raises InputError for one that is too short to be told from other words."""
        text = text.strip("\r\n")
        if len(text.strip()) < _SHORTEST:
            raise InputError(f"the text has fewer than {_SHORTEST} characters: it would be found everywhere")
        lines = [line.strip() for line in text.splitlines()]
        parts = [text] if len(lines) == 1 else [text, *(line for line in lines if len(line) >= _LINE)]
        return cls._of(spelling for part in parts for spelling in _spellings(part))

    @classmethod
    def of_notes(cls, texts: Iterable[str], *, others: Iterable[str]) -> Words:
        """Pieces of `texts` that are in none of `others`."""
        pieces = {piece for text in texts for piece in _pieces(text)}
        for other in others:
            pieces = {piece for piece in pieces if piece not in other}
        return cls._of(piece.encode() for piece in pieces)

    @classmethod
    def _of(cls, needles: Iterable[bytes]) -> Words:
        return cls(tuple(sorted(set(needles), key=lambda needle: (-len(needle), needle))))

    def __or__(self, other: Words) -> Words:
        """Both."""
        return self._of([*self.needles, *other.needles])

    def in_bytes(self, data: bytes | mmap.mmap) -> bool:
        """Whether any of them stands in `data`."""
        return any(data.find(needle) >= 0 for needle in self.needles)

    def in_text(self, text: str) -> bool:
        """Whether any of them stands in `text`."""
        return self.in_bytes(text.encode("utf-8", "surrogatepass"))

    def in_file(self, path: Path) -> bool:
        """Whether any of them stands in a file. A file that is gone has none."""
        try:
            with path.open("rb") as file:
                if not os.fstat(file.fileno()).st_size:
                    return False
                with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                    return self.in_bytes(data)
        except FileNotFoundError:
            return False

    def blot(self, data: bytes) -> bytes:
        """`data` with each of them replaced."""
        for needle in self.needles:
            data = data.replace(needle, BLOT)
        return data


def _spellings(text: str) -> Iterator[bytes]:
    once = {text, *(json.dumps(text, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False))}
    twice = {json.dumps(spelling, ensure_ascii=ascii_only)[1:-1] for spelling in once for ascii_only in (True, False)}
    for spelling in once | twice | {html.escape(text), quote(text, safe=""), quote(text)}:
        yield spelling.encode("utf-8", "surrogatepass")
    yield base64.b64encode(text.encode("utf-8", "surrogatepass")).rstrip(b"=")


def _pieces(text: str) -> Iterator[str]:
    """Groups of whole words, each so long that it is hardly there by chance; the last one may share words."""
    for run in _PLAIN.findall(text):
        words = run.split(" ")
        start = 0
        for end in range(1, len(words) + 1):
            if len(" ".join(words[start:end])) >= _PIECE:
                yield " ".join(words[start:end])
                start = end
        back = len(words)
        while start < len(words) and back > 0 and len(" ".join(words[back:])) < _PIECE:
            back -= 1
        if start < len(words):
            yield " ".join(words[back:])


def files_with(words: Words, folder: Path, *, leave_out: Collection[Path] = ()) -> Iterator[Path]:
    """Files under `folder` that hold the words, hidden ones included; links are not followed."""
    for at, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if Path(at, name) not in leave_out)
        for name in sorted(names):
            path = Path(at, name)
            if path.is_file() and not path.is_symlink() and words.in_file(path):
                yield path


def blot_file(words: Words, path: Path) -> None:
    """Replace the words in a file that is no database."""
    mode = path.stat().st_mode & 0o777
    write_atomic(path, words.blot(path.read_bytes()))
    path.chmod(mode)


def is_database(path: Path) -> bool:
    """Whether a file is a SQLite database."""
    try:
        with path.open("rb") as file:
            return file.read(16) == b"SQLite format 3\0"
    except FileNotFoundError:
        return False


def blot_database(words: Words, path: Path, *, rows: bool = False) -> int:
    """Replace the words in every value of a SQLite database, or (`rows`) delete the rows that hold them.

    Afterwards neither its free pages nor its log holds what was there. Returns how many rows held some.

    Raises:
        TerminalError: another program uses the database, or it is broken.
    """
    found = 0
    try:
        connection = sqlite3.connect(path, timeout=30, isolation_level=None)
        try:
            connection.execute("PRAGMA secure_delete=ON")
            connection.execute("BEGIN IMMEDIATE")
            for (table,) in connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite~_%' ESCAPE '~'"
            ).fetchall():
                found += _blot_table(words, connection, table, rows=rows)
            connection.execute("COMMIT")
        finally:
            connection.close()
        vacuum(path)
    except sqlite3.Error as error:
        raise TerminalError(f"{path}: {error}; end what uses it (cervella down, mlflow ui) and try again") from error
    return found


def vacuum(path: Path) -> None:
    """Write a SQLite database anew, without what was deleted from it, and empty its log. Raises sqlite3.Error."""
    connection = sqlite3.connect(path, timeout=30, isolation_level=None)
    try:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        connection.close()


def _blot_table(words: Words, connection: sqlite3.Connection, table: str, *, rows: bool) -> int:
    name = _quoted(table)
    columns = [(row[1], row[5]) for row in connection.execute(f"PRAGMA table_info({name})")]
    without_rowid = connection.execute(
        "SELECT sql LIKE '%WITHOUT ROWID%' FROM sqlite_master WHERE name = ?", (table,)
    ).fetchone()[0]
    keys = [column for column, place in columns if place] if without_rowid else ["rowid"]
    where = " AND ".join(f"{key if key == 'rowid' else _quoted(key)} = ?" for key in keys)
    wanted = ", ".join([*(key if key == "rowid" else _quoted(key) for key in keys), *(_quoted(c) for c, _ in columns)])
    found = 0
    for row in connection.execute(f"SELECT {wanted} FROM {name}").fetchall():  # noqa: S608
        key, values = row[: len(keys)], row[len(keys) :]
        changed = {
            column: new
            for (column, _), value in zip(columns, values, strict=True)
            if (new := _blotted(words, value)) is not None
        }
        if not changed:
            continue
        found += 1
        if rows:
            connection.execute(f"DELETE FROM {name} WHERE {where}", key)  # noqa: S608
        else:
            setting = ", ".join(f"{_quoted(column)} = ?" for column in changed)
            connection.execute(f"UPDATE {name} SET {setting} WHERE {where}", (*changed.values(), *key))  # noqa: S608
    return found


def _blotted(words: Words, value: object) -> str | bytes | None:
    """The value without the words; None: it has none of them."""
    data = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
    if not isinstance(data, bytes) or not words.in_bytes(data):
        return None
    new = words.blot(data)
    return new.decode("utf-8", "surrogatepass") if isinstance(value, str) else new


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
