"""What the tests of the index share: notes from a few words, the deterministic embedder, a counting one."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Sequence
from typing import Any

from components.index import Chunk, chunk_documents
from components.sncp import Document

_WORD = re.compile(r"\w+|[^\w\s]")


def count_tokens(text: str) -> int:
    """Words and marks, and two for the ends."""
    return len(_WORD.findall(text)) + 2


def note(path: str, text: str, **changes: Any) -> Document:
    """A current note with the facts that its path and first heading tell."""
    title = next((line.lstrip("# ") for line in text.splitlines() if line.startswith("#")), path)
    values: dict[str, Any] = {
        "doc_id": hashlib.sha256(path.encode()).hexdigest(), "path": path, "paths": (path,), "kind": "note",
        "project": None, "title": title, "date": None, "date_source": None, "status": "current", "supersedes": (),
        "superseded_by": (), "content_hash": hashlib.sha256(text.encode()).hexdigest(), "text": text,
    }  # fmt: skip
    return Document(**(values | changes))


def cut(*documents: Document, max_tokens: int = 60, breadcrumbs: bool = True) -> list[Chunk]:
    """Chunks of notes."""
    return chunk_documents(documents, max_tokens=max_tokens, breadcrumbs=breadcrumbs, count_tokens=count_tokens)


class Embedder:
    """Hashed bags of words; remembers what it was asked to embed, and fails on demand."""

    max_tokens = 512
    dense_weight = 0.5
    is_local = True

    def __init__(self, name: str = "test/words", dimensions: int = 32) -> None:
        self.id, self.dimensions = name, dimensions
        self.texts: list[str] = []
        self.fail = False

    def count_tokens(self, text: str) -> int:
        return count_tokens(text)

    def embed_passages(self, texts: Sequence[str], *, local_notes: Collection[str]) -> Any:
        if self.fail:
            raise RuntimeError("the model is away")
        self.texts.extend(texts)
        return self._embed(texts)

    def embed_queries(self, texts: Sequence[str]) -> Any:
        return self._embed(texts)

    def _embed(self, texts: Sequence[str]) -> Any:
        import numpy as np

        vectors = np.full((len(texts), self.dimensions), 1e-3, dtype=np.float32)
        for row, text in enumerate(texts):
            for word in re.findall(r"\w+", text.lower()):
                vectors[row, int(hashlib.sha256(word.encode()).hexdigest(), 16) % self.dimensions] += 1.0
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
