"""What the tests of the judge share: questions on answers, a judge that is a double, calls that are counted."""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components.evaluate.judge.opening import Judge, open_judge
from components.evaluate.params import JudgeParams
from components.evaluate.said import Item, Said
from components.evaluate.suite.model import JudgeQuestion
from components.llm import Chat, Message, Reply
from components.llm.params import ChatParams, LlmParams


def item(number: int = 0, **changes: Any) -> Item:
    facts = {"part": "personality", "id": f"p{number:03}", "prompt": f"Domanda {number}?", "lang": "it", "kind": "fact"}
    return Item(**{**facts, **changes})


def said(number: int, text: str, **changes: Any) -> Said:
    return Said(item=item(number), text=text, model="fake/chat", **changes)


def question(number: int, text: str = "[[good]]", name: str = "sounds", **changes: Any) -> JudgeQuestion:
    facts = {"contestant": "candidate", "ask": f"È {name}?", "standard": ""}
    return JudgeQuestion(**{**facts, **changes}, item=item(number), question=name, text=f"{text} {number}")


@dataclass
class Counted:
    """A chat that counts its calls, and remembers what it was asked."""

    inner: Chat
    asked: list[Sequence[Message]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def model(self) -> str:
        return self.inner.model

    @property
    def is_local(self) -> bool:
        return self.inner.is_local

    @property
    def leaves_to(self) -> str | None:
        return self.inner.leaves_to

    def count_tokens(self, text: str) -> int:
        return self.inner.count_tokens(text)

    def chat(
        self, messages: Sequence[Message], *, max_tokens: int | None = None, local_notes: Collection[str]
    ) -> Reply:
        with self.lock:
            self.asked.append(messages)
        return self.inner.chat(messages, max_tokens=max_tokens, local_notes=local_notes)


def llm(judge: str, **changes: Any) -> LlmParams:
    """A recipe's section with that judge; `changes` to the judge's settings."""
    return LlmParams(chat=ChatParams(model="fake/chat"), judge=ChatParams(**{"model": judge, "retries": 0, **changes}))


def counted_judge(
    workspace: Path, options: str = "", *, repeats: int = 1, **changes: Any
) -> tuple[Judge, list[Counted]]:
    """A double that judges, and its chats, which count their calls. Above one repeat it draws its errors anew."""
    if repeats > 1:
        changes = {"temperature": 0.7, **changes}
    section = llm(f"fake/chat?mode=judge{options}", **changes)
    judge = open_judge(JudgeParams(repeats=repeats), section, workspace=workspace)
    chats = [Counted(chat) for chat in judge.chats]
    return Judge(tuple(chats), judge.settings), chats
