"""What a worker does: load a model once, embed texts, answer a request. It reads no key and keeps nothing."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.errors import CervellaError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from components.llm.chat import Backend, Message, RawReply
    from components.llm.embedder import Embedder

__all__ = ["Inside"]


class Inside:
    """Lives in a process of the cluster. An error that was raised on purpose is returned, for the caller to raise."""

    def __init__(self) -> None:
        self._embedders: dict[tuple[Any, ...], Embedder] = {}
        self._backends: dict[tuple[Any, ...], Backend] = {}

    def name(self) -> str:
        """Machine and process; the first call of a new worker."""
        return f"{platform.node()}, process {os.getpid()}"

    def embed(
        self, texts: Sequence[str], *, model: str, dimensions: int | None
    ) -> tuple[str, NDArray[np.float32]] | CervellaError:
        """Id of the embedder that is here, and its vectors of texts that are searched: (texts, dimensions)."""
        from components.llm.embedder import embedder_here

        try:
            key = (model, dimensions)
            if key not in self._embedders:
                self._embedders[key] = embedder_here(model, dimensions=dimensions)
            embedder = self._embedders[key]
            return embedder.id, embedder.embed_passages(texts, local_notes=())
        except CervellaError as error:
            return error

    def complete(
        self, messages: Sequence[Message], max_tokens: int, *, model: str, temperature: float, context_tokens: int,
        timeout_seconds: float, seed: int, adapter: Path | None,
    ) -> tuple[str, RawReply] | CervellaError:  # fmt: skip
        """Identity of the model that is here, and one try of it at an answer."""
        from components.llm.chat import backend_here

        try:
            key = (model, temperature, context_tokens, timeout_seconds, seed, adapter)
            if key not in self._backends:
                self._backends[key] = backend_here(
                    model, temperature=temperature, context_tokens=context_tokens, timeout_seconds=timeout_seconds,
                    seed=seed, adapter=adapter,
                )  # fmt: skip
            backend = self._backends[key]
            return backend.identity, backend.complete(messages, max_tokens=max_tokens)
        except CervellaError as error:
            return error
