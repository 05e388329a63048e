"""Retrieved chunks, and models that can be talked into things."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from components.llm import Message, Reply, load_tokenizer
from components.llm.fake import obeyed


@dataclass(frozen=True)
class Chunk:
    """Stands for a hit of the index, so that these tests need no index."""

    text: str
    path: str = "decisioni/rilascio.md"
    first_line: int = 10
    last_line: int = 12
    heading: Sequence[str] = ("Decisioni", "Rilascio")
    score: float = 0.9
    cosine: float | None = 0.85
    date: str | None = "2026-01-11"
    status: str = "current"
    kind: str = "decision"
    paths: Sequence[str] = ()


@dataclass
class SayingChat:
    """A model that gives one reply and keeps what it was asked."""

    says: str | Callable[[Sequence[Message]], str] = "Ecco [1]."
    model: str = "double"
    is_local: bool = True
    leaves_to: str | None = None
    asked: list[Sequence[Message]] = field(default_factory=list)
    count: Callable[[str], int] = lambda text: len(text.split())

    def chat(
        self, messages: Sequence[Message], *, max_tokens: int | None = None, local_notes: Collection[str]
    ) -> Reply:
        self.asked.append(messages)
        text = self.says if isinstance(self.says, str) else self.says(messages)
        return Reply(
            text=text,
            model=self.model,
            prompt_tokens=10,
            completion_tokens=5,
            seconds=0.1,
            cost_usd=0.0,
            is_local=True,
            cached=False,
        )

    def count_tokens(self, text: str) -> int:
        return self.count(text)


def obey(messages: Sequence[Message]) -> str:
    """What a model says that does whatever it is told outside of fences, by anyone, in any way of writing."""
    return obeyed(messages) or "Ho letto le note [1]."


@pytest.fixture
def chunk() -> type[Chunk]:
    return Chunk


@pytest.fixture
def saying() -> type[SayingChat]:
    return SayingChat


@pytest.fixture
def obedient() -> SayingChat:
    return SayingChat(says=obey)


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    return load_tokenizer("qwen3")


@pytest.fixture
def ask() -> Callable[..., Any]:
    """`answer` with what these tests do not care about."""
    from components.answer import answer

    def asked(question: str = "Che cosa abbiamo deciso sul rilascio?", **changes: Any) -> Any:
        arguments: dict[str, Any] = {
            "prompt": "Sei Cervella.",
            "session": None,
            "language": "auto",
            "max_context_tokens": 1000,
            "min_score": 0.0,
            **changes,
        }
        return answer(question, **arguments)

    return asked
