"""What a step will ask of models: texts, calls, tokens, dollars, seconds. Bounds where it is not known before."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["NOTHING", "Seconds", "Work", "total"]


@dataclass(frozen=True)
class Seconds:
    """How long it takes. `measured`: by real runs on this machine; else a rough range of what is known of others."""

    at_least: float
    at_most: float
    measured: bool

    def __add__(self, other: Seconds) -> Seconds:
        """Both, one after the other."""
        return Seconds(self.at_least + other.at_least, self.at_most + other.at_most, self.measured and other.measured)


@dataclass(frozen=True)
class Work:
    """What models are asked for.

    Attributes:
        texts: to embed: chunks and questions that neither the index nor the embedding cache knows.
        tokens: of these texts, as their model counts.
        calls_at_least: calls of the chat model; fewer than at most where answers may be cached.
        calls_at_most: likewise.
        prompt_tokens_at_most: of all these calls.
        completion_tokens_at_most: likewise.
        usd_at_least: US dollars; None: the price of a model is unknown.
        usd_at_most: likewise.
        seconds: None: not known, nothing was measured yet.
    """

    texts: int = 0
    tokens: int = 0
    calls_at_least: int = 0
    calls_at_most: int = 0
    prompt_tokens_at_most: int = 0
    completion_tokens_at_most: int = 0
    usd_at_least: float | None = 0.0
    usd_at_most: float | None = 0.0
    seconds: Seconds | None = Seconds(0.0, 0.0, True)

    def __add__(self, other: Work) -> Work:
        """Both. What is unknown of one is unknown of both."""
        return Work(
            self.texts + other.texts,
            self.tokens + other.tokens,
            self.calls_at_least + other.calls_at_least,
            self.calls_at_most + other.calls_at_most,
            self.prompt_tokens_at_most + other.prompt_tokens_at_most,
            self.completion_tokens_at_most + other.completion_tokens_at_most,
            _sum(self.usd_at_least, other.usd_at_least),
            _sum(self.usd_at_most, other.usd_at_most),
            None if self.seconds is None or other.seconds is None else self.seconds + other.seconds,
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def _sum(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other


NOTHING = Work()


def total(works: Iterable[Work]) -> Work:
    """All of them."""
    return sum(works, start=NOTHING)
