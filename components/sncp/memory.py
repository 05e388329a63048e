"""What an earlier collecting made of each file's bytes, read from its sealed artefact. There is no other memory."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from components.sncp.note import Note
from components.store.parts import Parts

__all__ = ["FILES", "Memory", "notes_json", "stored_text"]

FILES = "files.json"
"""Output of `sncp.collect`: what each file that was read says by itself, without its text."""


class Memory:
    """Notes by path and digest of their bytes."""

    def __init__(self, files: Mapping[str, Any], documents: Parts) -> None:
        self._files = files
        self._documents = documents
        self._text_in = {entry.about["text_sha256"]: doc_id for doc_id, entry in documents.entries.items()}

    @classmethod
    def of(cls, documents: Parts) -> Memory:
        """The memory of the artefact that these documents are in."""
        from pydantic_core import from_json

        files = from_json(documents.artefact.file(FILES).read_bytes())
        return cls({value["path"]: value for value in files}, documents)

    def is_harmless(self, path: str) -> bool:
        """Whether a file at this path was read: then the path itself holds no secret."""
        return path in self._files

    def note(self, path: str, digest: str) -> Note | None:
        """The note that was made of these bytes (SHA-256, hex) at this path, if it is known."""
        value = self._files.get(path)
        if value is None or value["sha256"] != digest:
            return None
        if value["document"] is None:
            return Note.from_dict(value, str)
        doc_id = self._text_in.get(value["document"]["text_sha256"])  # none: a duplicate that ends in other blanks
        return Note.from_dict(value, partial(stored_text, self._documents, doc_id)) if doc_id else None


def notes_json(notes: Iterable[Note]) -> str:
    """What `Memory.of` reads: a JSON array, one note a line."""
    lines = (json.dumps(note.to_dict(), ensure_ascii=False, allow_nan=False) for note in notes)
    return "[\n" + ",\n".join(lines) + "\n]\n"


def stored_text(documents: Parts, doc_id: str) -> str:
    """The text of a sealed document."""
    text: str = documents.values(doc_id)[0]["text"]
    return text
