"""Models that run in our own processes, worked by `Workers` in the place of this one."""

from __future__ import annotations

from collections.abc import Collection, Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.errors import TerminalError
from components.llm.places import refuse_local

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from components.llm.chat import Backend, Message, RawReply
    from components.llm.embedder import Embedder
    from components.llm.spread.workers import Workers

__all__ = ["SpreadBackend", "SpreadEmbedder"]


class SpreadEmbedder:
    """Embeds texts by workers, each with the model that is here."""

    def __init__(self, here: Embedder, workers: Workers, *, model: str, dimensions: int | None) -> None:
        """`here`: the embedder of `model` and `dimensions` in this process."""
        self.workers = workers
        self._here = here
        self._settings = {"model": model, "dimensions": dimensions}

    def embed_passages(self, texts: Sequence[str], *, local_notes: Collection[str]) -> NDArray[np.float32]:
        """Vectors as of `Embedder.embed_passages`, by one worker.

        Raises:
            TerminalError: there are `local_notes` and the cluster is elsewhere; the worker's model is another.
        """
        refuse_local(local_notes, model=self._here.id, leaves=self.workers.leaves_to)
        there, vectors = self.workers.call("embed", list(texts), what="texts", amount=len(texts), **self._settings)
        _check_same(self._here.id, there)
        return vectors  # type: ignore[no-any-return]


class SpreadBackend:
    """A chat model whose answers come from workers; all else is done here."""

    def __init__(self, here: Backend, workers: Workers, **settings: Any) -> None:
        """`here`: the model in this process; `settings`: of `backend_here`, as it was made."""
        self.model, self.identity, self.is_local = here.model, here.identity, here.is_local
        self.backoff_seconds = here.backoff_seconds
        self.workers = workers
        self.estimate_usd, self.count_tokens = here.estimate_usd, here.count_tokens
        self._settings = {**settings, "adapter": _absolute(settings.get("adapter"))}

    @property
    def leaves_to(self) -> str | None:
        """Where the cluster is, in words; None: here."""
        return self.workers.leaves_to

    def complete(self, messages: Sequence[Message], *, max_tokens: int) -> RawReply:
        """One try, by one worker. Raises as the model does, and TerminalError when the worker's model is another."""
        there, reply = self.workers.call("complete", list(messages), max_tokens, what="answers", **self._settings)
        _check_same(self.identity, there)
        return reply  # type: ignore[no-any-return]

    def stream(
        self, messages: Sequence[Message], *, max_tokens: int, beat_seconds: float | None = None
    ) -> Generator[str | RawReply, None, None]:
        """One try, in one piece: nobody reads along where work is spread."""
        reply = self.complete(messages, max_tokens=max_tokens)
        yield reply.text
        yield reply


def _absolute(adapter: Path | None) -> Path | None:
    return adapter.absolute() if adapter else None


def _check_same(here: str, there: str) -> None:
    if here != there:
        raise TerminalError(
            f"a worker of the Ray cluster has {there}, this machine has {here}: what they make would be mixed. Install "
            "the same version of this program on each machine of the cluster"
        )
