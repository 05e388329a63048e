"""`--fix`: a new file in which is mended what can be mended without changing a word, and a list of every change.

The file that is mended stays as it is. Rows that cannot be read go, byte for byte, into a file of their own, and each
is in the list. What stays wrong is told by checking the new file. A crash leaves the new file whole or not there.

**Not mended**: everything that asks for a decision, such as which of two values of a doubled key counts.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any

from components.dataset.conversation import MISSING, ROLES, Conversation, Turn
from components.dataset.files.formats import FORMATS, detect_format, to_conversation, to_sharegpt
from components.dataset.files.json_rows import shown
from components.dataset.files.mend import mend_edges, mend_text
from components.dataset.files.reading import Reader, Row
from components.errors import InputError
from components.sncp.redact import mask_secrets
from components.store.files import sync_folder

__all__ = ["Change", "fix_file"]

_SNIFFED = 200  # rows that tell a file's format
_SPOKEN = frozenset({"system", "human", "gpt"})
_TEXT_ROLES = frozenset(ROLES)
_ROUNDS = 3
_AROUND = 20  # letters that are shown before a change


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that was changed. `conversation` is a position in the file that was mended; None: the whole file."""

    rule: str
    what: str
    line: int | None = None
    conversation: int | None = None
    turn: int | None = None
    before: str = ""
    """A few words around the change, secrets and personal data masked."""
    after: str = ""

    def to_dict(self) -> dict[str, Any]:
        """JSON values only."""
        return asdict(self)


def fix_file(path: Path, out: Path) -> list[Change]:
    """Writes `out`: JSONL, or an array where its name ends in `.json`; one conversation a line in both.

    Beside it are written `<out>.changes.jsonl`, the list of changes, and, where there is need, `<out>.left-out`.

    Args:
        path: the file to be mended; it is only read.
        out: a file that does not exist yet.

    Returns:
        Every change, in the order of the file; empty where nothing was to be mended.

    Raises:
        InputError: one of the files to be written exists, or nothing of `path` can be read.
    """
    reader = Reader(path)
    beside = {kind: out.with_name(out.name + kind) for kind in (".changes.jsonl", ".left-out")}
    for file in (out, *beside.values()):
        if os.path.lexists(file):
            raise InputError(f"{file}: exists already, and nothing is ever overwritten; name another file for --fix")
    if not out.parent.is_dir():
        raise InputError(f"{out.parent}: no such folder; make it first, or name another file for --fix")
    changes: list[Change] = []
    with contextlib.ExitStack() as stack:
        new, left, listed = (stack.enter_context(_NewFile(file)) for file in (out, *reversed(beside.values())))
        rows = 0
        for written in _mended(reader, path, left.file, changes):
            if out.suffix == ".json":
                new.file.write(b"[\n" if rows == 0 else b",\n")
            new.file.write(written)
            new.file.write(b"" if out.suffix == ".json" else b"\n")
            rows += 1
        if rows == 0:
            raise InputError(f"{path}: nothing of it can be read, so there is nothing to mend; check it without --fix")
        if out.suffix == ".json":
            new.file.write(b"\n]\n")
        if left.file.tell():
            left.keep()
        if changes:
            for change in changes:
                listed.file.write(_json(change.to_dict()) + b"\n")
            listed.keep()
        new.keep()
    return changes


class _NewFile(contextlib.AbstractContextManager["_NewFile"]):
    """A file that gets its name only when it is whole, and never takes that of another."""

    def __init__(self, path: Path) -> None:
        self._path = path
        descriptor, self._temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        self.file: IO[bytes] = os.fdopen(descriptor, "wb")

    def keep(self) -> None:
        self.file.flush()
        os.fsync(self.file.fileno())
        try:
            os.link(self._temporary, self._path)  # fails where the name is taken meanwhile
        except FileExistsError:
            raise InputError(f"{self._path}: was made meanwhile; nothing is ever overwritten") from None
        except OSError:  # a file system without links
            os.rename(self._temporary, self._path)
        sync_folder(self._path.parent)

    def __exit__(self, *_: object) -> None:
        self.file.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._temporary)


def _mended(reader: Reader, path: Path, left_out: IO[bytes], changes: list[Change]) -> Iterator[bytes]:
    """The rows to be written, each as one line of JSON."""
    seen: set[bytes] = set()
    with _Bytes(path) as source:
        if b"\r\n" in source.part(0, 1 << 16):
            changes.append(Change("A2", "line ends of Windows, CRLF, made LF"))
        stream = iter(reader)
        first = list(islice(stream, _SNIFFED))
        if any(hit.rule == "A2" and hit.severity == "warning" for hit, _ in reader.hits):
            changes.append(Change("A2", "the byte order mark at the beginning removed", line=1))
        format_ = detect_format(row.value for row in first)
        # Roles of other dialects are mended in files of plain ShareGPT as well.
        format_ = "sharegpt-variant" if format_ == "sharegpt" else format_
        for row in chain(first, stream):
            raw = source.part(row.offset, row.length)
            if row.value is MISSING:
                hit = row.hits[0]
                changes.append(Change(hit.rule, f"left out: {hit.message}", row.line, row.index))
                left_out.write(raw + b"\n")
            elif any(hit.rule == "A4" for hit in row.hits) or not isinstance(row.value, dict):
                # Written anew, one of two values would be lost. A line break is never within a text of JSON.
                yield raw.replace(b"\r", b" ").replace(b"\n", b" ")
            else:
                written, found = _row(row, format_)
                if any(hit.rule == "A2" and "mark" in hit.message for hit in row.hits):
                    changes.append(Change("A2", "the byte order mark before the row removed", row.line, row.index))
                digest = _digest(written)
                if digest in seen:
                    changes.append(Change("E1", "the same as a row before, removed", row.line, row.index))
                    continue
                seen.add(digest)
                changes += found
                yield _json(written)
        faults = [(hit, line) for hit, line in reader.hits if hit.rule == "A1"]
        for hit, line in faults[:-1] if reader.unread is not None else faults:
            changes.append(Change(hit.rule, f"written anew: {hit.message}", line))
        if reader.container == "object":
            changes.append(Change("A3", "one object written as a row"))
        if reader.unread is not None:
            why = reader.hits[-1][0]
            changes.append(Change(why.rule, f"left out from here to the end: {why.message}", reader.hits[-1][1]))
            for block in source.rest(reader.unread):
                left_out.write(block)


def _row(row: Row, format_: str) -> tuple[dict[str, Any], list[Change]]:
    """A row as it is written, and what was changed in it."""
    written, changes = _once(row, row.value, format_)
    found = changes
    for _ in range(_ROUNDS):
        if not found:
            break
        # What was hidden may have hidden that the row is of another dialect.
        written, found = _once(row, written, "sharegpt-variant")
        changes += found
    return written, changes


def _once(row: Row, value: Any, format_: str) -> tuple[dict[str, Any], list[Change]]:
    conversation, _ = to_conversation(value, index=row.index, line=row.line, format=format_)
    changes: list[Change] = []

    def changed(rule: str, what: str, turn: int | None = None, before: str = "", after: str = "") -> None:
        changes.append(Change(rule, what, row.line, row.index, turn, *_difference(before, after)))

    if conversation.converted:
        changed("A6", f"{FORMATS[conversation.converted]} written as ShareGPT")
    elif isinstance(conversation.tools, list | dict):
        changed("B14", "`tools` written as JSON text")
    turns = conversation.turns
    if turns is not None:
        mended = []
        for at, turn in enumerate(turns):
            text, steps = _turn_text(turn)
            mended.append(replace(turn, value=text) if steps else turn)
            for rule, what, before, after in steps:
                changed(rule, what, at, before, after)
        turns = tuple(mended)
    system = conversation.system
    if isinstance(system, str):
        for rule, what, after in mend_text(system):
            changed(rule, f"system prompt: {what}", None, system, after)
            system = after
    return to_sharegpt(_with(conversation, turns, system)), changes


def _with(conversation: Conversation, turns: tuple[Turn, ...] | None, system: Any) -> Conversation:
    if turns is conversation.turns and system is conversation.system:
        return conversation
    return replace(conversation, turns=turns, system=system)


def _turn_text(turn: Turn) -> tuple[Any, list[tuple[str, str, str, str]]]:
    """The text of a turn as mended, and the steps: (rule, what, before, after). What no rule knows stays."""
    text = turn.value
    if not isinstance(text, str) or not isinstance(turn.role, str) or turn.role not in _TEXT_ROLES:
        return text, []
    if "train_detail" in turn.extra:  # its offsets are into the text as it is
        return text, []
    if turn.role in _SPOKEN:
        found = mend_text(text)
    else:
        mended = mend_edges(text)
        found = [("C2", "white space at the edges removed", mended)] if mended != text else []
    steps = []
    for rule, what, after in found:
        steps.append((rule, what, text, after))
        text = after
    return text, steps


def _difference(before: str, after: str) -> tuple[str, str]:
    """Some letters around where two texts begin to differ, with nothing secret in them."""
    if before == after:
        return "", ""
    before, after = mask_secrets(before), mask_secrets(after)
    at = next((at for at, (one, other) in enumerate(zip(before, after, strict=False)) if one != other), None)
    start = max(0, (min(len(before), len(after)) if at is None else at) - _AROUND)
    return _visible(before[start : start + 3 * _AROUND]), _visible(after[start : start + 3 * _AROUND])


def _visible(text: str) -> str:
    """What is hidden, written out."""
    text = text.replace("\r", "\N{SYMBOL FOR CARRIAGE RETURN}").replace("\n", "\N{SYMBOL FOR NEWLINE}")
    text = text.replace("\t", "\N{SYMBOL FOR HORIZONTAL TABULATION}")
    return shown("".join(each if each.isprintable() else f"<U+{ord(each):04X}>" for each in text), 3 * _AROUND)


def _json(value: Any) -> bytes:
    try:
        return json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which only an escape can write
        return json.dumps(value).encode()


def _digest(row: dict[str, Any]) -> bytes:
    """Of all that a row says, its name left out."""
    said = json.dumps({key: value for key, value in row.items() if key != "id"}, sort_keys=True)
    return hashlib.sha256(said.encode()).digest()[:16]


class _Bytes(contextlib.AbstractContextManager["_Bytes"]):
    """Parts of a file, by their offset; unpacked where it is gzipped."""

    def __init__(self, path: Path) -> None:
        file = path.open("rb")
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        self._file: IO[bytes] = io.BufferedReader(gzip.GzipFile(fileobj=file)) if packed else file
        self._owned = file

    def part(self, offset: int, length: int) -> bytes:
        self._file.seek(offset)
        return self._file.read(length)

    def rest(self, offset: int) -> Iterator[bytes]:
        self._file.seek(offset)
        while block := self._file.read(1 << 20):
            yield block

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._owned.close()
