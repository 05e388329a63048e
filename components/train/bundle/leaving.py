"""Which examples of a dataset hold what must not leave this machine, before they go into a bundle.

A row is held back when it says that it comes from a local note (`provenance.note`), or when it repeats `WORDS` words in
a row of one. Not caught: what a person retold in other words without saying where it is from, fewer words, a word
changed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from components.errors import TerminalError
from components.sncp import Document

__all__ = ["WORDS", "check_rows_may_leave"]

WORDS = 10
_WORD = re.compile(r"\w+")
_NAMED = 5


def check_rows_may_leave(rows: Iterable[tuple[str, str]], documents: Sequence[Document]) -> None:
    """Refuse to pack examples made from local notes.

    Args:
        rows: where each was written (`file:line`), and its JSON text.
        documents: the notes as collected.

    Raises:
        TerminalError: there are such rows; each is named, with its note.
    """
    local = [document for document in documents if document.local]
    if not local:
        return
    paths = {path for document in local for path in document.paths}
    said = {run: document.path for document in local for run in _runs(document.text)}
    found = []
    for where, text in rows:
        row = json.loads(text)
        note = row.get("provenance", {}).get("note") if isinstance(row.get("provenance"), dict) else None
        if note in paths:
            found.append(f"{where} (from {note})")
        elif quoted := next((said[run] for value in _texts(row) for run in _runs(value) if run in said), None):
            found.append(f"{where} (repeats {quoted})")
    if found:
        more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        count = "1 example of the dataset holds" if len(found) == 1 else f"{len(found)} examples of the dataset hold"
        raise TerminalError(
            f"{count} words of notes that must not leave this machine: {'; '.join(found[:_NAMED])}{more}. Nothing was "
            "packed. Take them out of dataset.examples (or reject them with `cervella data review`), or, if they may "
            "leave, take the note's `privacy` mark or its glob in privacy.local away"
        )


def _runs(text: str) -> Iterable[tuple[str, ...]]:
    words = _WORD.findall(text.casefold())
    return zip(*(words[start:] for start in range(WORDS)), strict=False)


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)
