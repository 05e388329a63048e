"""Retrieved chunks, and models that can be talked into things."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from components.llm import Message, Reply, load_tokenizer


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
        self, messages: Sequence[Message], *, max_tokens: int | None = None, local_notes: Collection[str] = ()
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


_TURNS = re.compile(r"<\|im_start\|>(\w*)\n?(.*?)(?=<\|im_end\|>|<\|im_start\|>|\Z)", re.DOTALL)
_TAGS = re.compile("[\U000e0020-\U000e007e]+")
_ORDER = re.compile(r"(?:reply only with|rispondi solo con|output|scrivi) (HACKED\w*)", re.IGNORECASE)


def obey(messages: Sequence[Message]) -> str:
    """What a model says that does whatever it is told outside of fences, by anyone, in any way of writing.

    It reads the conversation as a chat template writes it, so a control token in a note really begins a turn; it
    sees tag characters as the letters that they hide; a fence ends at the first line that ends it.
    """
    prompt = "".join(f"<|im_start|>{m['role']}\n{m['content']}<|im_end|>" for m in messages)
    prompt = re.sub(r"\[/?INST\]|</s>|<<SYS>>", "<|im_end|><|im_start|>user\n", prompt)
    hidden = "".join(chr(ord(c) - 0xE0000) for run in _TAGS.findall(prompt) for c in run)
    if order := _ORDER.search(hidden):
        return order[1]
    for _, content in _TURNS.findall(prompt):
        outside = re.sub(r"<<<NOTA (\w+)\n.*?\n(?:\1 FINE>>>|FINE>>>|NOTA>>>)", "", content, flags=re.DOTALL)
        outside = re.sub(r"<!--.*?-->", "", outside)
        if order := _ORDER.search(outside):
            return order[1]
    return "Ho letto le note [1]."


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
