"""The partner as she is served: retrieval from the published index, the persona's prompt, a model."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict, Unpack

from components.answer.answer import Answer, Material, answer, stream_answer
from components.answer.history import conversation, search_text, within
from components.answer.language import detect_language
from components.answer.messages import MAX_QUESTION_CHARS, check_question
from components.answer.params import AnswerParams
from components.llm.budget import in_own_context
from components.sncp.redact import redact
from components.store import logger

if TYPE_CHECKING:
    from components.index import Hit, Index, SearchParams
    from components.llm import Budget, Chat, Message
    from components.persona import Prompt, Session

__all__ = ["HISTORY_TOKENS", "Asked", "Asking", "Partner"]

HISTORY_TOKENS = 1000
_CHECKED = 10**9  # characters: the question was checked before the search, and masks may have made it longer


@dataclass(frozen=True)
class Asked:
    """An answer and what it took: `seconds` question to answer (a cached reply counts with its original seconds)."""

    answer: Answer
    search_seconds: float
    seconds: float
    left_out: int = 0
    """Notes that were found and not given to the model, because they must not leave this machine."""
    index: str = ""
    """Digest of the published index that was searched."""


class Asking(TypedDict, total=False):
    """With what a question is asked: keywords of `Partner.ask` and of `Partner.stream`."""

    history: Sequence[Message]
    """The conversation before it, the oldest first. Where notes are left out that must not leave this machine, earlier
    answers are too: they may quote them."""
    history_tokens: int
    """Of the conversation that the model is given (tokens of the chat model), the newest; HISTORY_TOKENS."""
    max_chars: int
    """Longest question that is taken (characters); MAX_QUESTION_CHARS."""
    turn: AbstractContextManager[object] | None
    """Held while the notes are searched, by who has to know in which index; waiting for it is no part of `seconds`.
    None: searches of several threads run beside each other."""


@dataclass(frozen=True)
class Partner:
    """All that answering takes. `ask` and `stream` are the one path for the terminal, the evaluation and the endpoint.

    Threads may share it.
    """

    index: Index
    search: SearchParams
    prompt: Prompt
    session: Session | None
    chat: Chat
    params: AnswerParams
    budget: Budget
    leave_out_local: bool = False
    """Whether chunks that must not leave this machine are found but not given to the model."""

    def retrieve(self, question: str) -> list[Hit]:
        """The chunks for a question, best first, without those that the prompt says already or that are left out."""
        return self._retrieve(question)[0]

    def _retrieve(self, question: str) -> tuple[list[Hit], int, str]:
        """As `retrieve`, and how many notes among the best were left out, and the digest of what was searched."""
        hits, searched = self.index.searched(
            question,
            k=2 * self.search.k,  # some may stand in the prompt
            fusion=self.search.fusion,
            dense_weight=self.search.dense_weight,
            candidates=max(self.search.candidates, self.search.k),
        )
        hits = [hit for hit in hits if not self._said(hit.path, hit.first_line, hit.last_line)]
        given = [hit for hit in hits if not (self.leave_out_local and hit.local)]
        missed = {hit.path for hit in hits[: self.search.k] if hit.local} if self.leave_out_local else set()
        return given[: self.search.k], len(missed), searched

    def ask(self, question: str, *, max_tokens: int | None = None, **asking: Unpack[Asking]) -> Asked:
        """Answer a question from the notes. Raises as `answer` does, and TerminalError when the budget is spent.

        A secret in the question or before it is masked first: it reaches no model and no cache. A question of few words
        is searched together with the person's question before it, and its language is told from both.

        Args:
            question: of the person.
            max_tokens: longest answer, by the model's tokenizer; None: the recipe's.
            asking: see `Asking`.
        """
        searched = self._search(question, **asking)
        given_at = time.perf_counter()
        with self.budget.query():
            given = answer(searched.question, max_tokens=max_tokens, **self._given(searched))
        return searched.asked(given, given_at)

    def stream(
        self,
        question: str,
        *,
        max_tokens: int | None = None,
        beat_seconds: float | None = None,
        **asking: Unpack[Asking],
    ) -> Generator[str | Asked, None, None]:
        """As `ask`, in pieces; then what `ask` returns, whose text is the pieces joined.

        To be taken by one thread at a time. Closing it ends the work of the model and settles the money, see
        `Chat.stream`. An error may come after some pieces. `seconds` counts the time of whoever takes the pieces too.

        Args:
            question: as the others, see `ask`.
            max_tokens: see there.
            beat_seconds: an empty piece is given at least so often while the model has nothing to show, so that who
                waits can close the stream; None: never.
            asking: see `Asking`.
        """
        return in_own_context(self._stream(question, max_tokens, beat_seconds, **asking))

    def _stream(
        self, question: str, max_tokens: int | None, beat_seconds: float | None, **asking: Unpack[Asking]
    ) -> Generator[str | Asked, None, None]:
        searched = self._search(question, **asking)
        given_at = time.perf_counter()
        with self.budget.query():
            pieces = stream_answer(
                searched.question, max_tokens=max_tokens, beat_seconds=beat_seconds, **self._given(searched)
            )
            with closing(pieces):
                for item in pieces:
                    yield item if isinstance(item, str) else searched.asked(item, given_at)

    def _search(
        self, question: str, *, history: Sequence[Message] = (), history_tokens: int = HISTORY_TOKENS,
        max_chars: int = MAX_QUESTION_CHARS, turn: AbstractContextManager[object] | None = None,
    ) -> _Searched:  # fmt: skip
        question = check_question(question, max_chars=max_chars)  # before anything is embedded, which may cost
        before = within(history, max_tokens=history_tokens)
        question, *masked = _without_secrets([question, *(message["content"] for message in before)])
        before = [{"role": message["role"], "content": text} for message, text in zip(before, masked, strict=True)]
        wanted = search_text(question, before)
        with turn or nullcontext():
            started = time.perf_counter()
            hits, left_out, index = self._retrieve(wanted)
            found = time.perf_counter()
        told = conversation(
            before, max_tokens=history_tokens, count_tokens=self.chat.count_tokens, answers=not self.leave_out_local
        )
        return _Searched(question, wanted, hits, left_out, index, told, found - started)

    def _given(self, searched: _Searched) -> Material:
        """What the model is given with a question, and how it is to answer."""
        session = None if self.session is None or (self.session.local and self.leave_out_local) else self.session
        language = self.params.language
        if language == "auto" and searched.wanted != searched.question:
            language = detect_language(searched.wanted)
        return {
            "prompt": self.prompt.text,
            "session": session.text if session else None,
            "hits": searched.hits,
            "language": language,
            "max_context_tokens": self.params.max_context_tokens,
            "min_score": self.params.min_score,
            "local_notes": [*self.prompt.local_notes, *([session.path] if session and session.local else [])],
            "told": searched.told,
            "chat": self.chat,
            "max_chars": _CHECKED,
        }

    def _said(self, path: str, first_line: int, last_line: int) -> bool:
        parts: list[Prompt | Session] = [self.prompt] if self.session is None else [self.prompt, self.session]
        return any(part.in_prompt(path, first_line, last_line) for part in parts)


@dataclass(frozen=True)
class _Searched:
    """A question without secrets, what was searched for it and found, the conversation before it."""

    question: str
    wanted: str
    hits: list[Hit]
    left_out: int
    index: str
    told: str
    seconds: float

    def asked(self, given: Answer, since: float) -> Asked:
        """With what it took; `since` (of the clock) the model was asked."""
        seconds = self.seconds + time.perf_counter() - since
        if given.reply is not None and given.reply.cached:
            seconds += given.reply.seconds
        return Asked(given, self.seconds, seconds, self.left_out, self.index)


def _without_secrets(texts: Sequence[str]) -> list[str]:
    """The texts, secrets masked. The log says of which kind they were, and nothing of the texts."""
    masked, kinds = [], Counter[str]()
    for text in texts:
        kept, findings = redact(text, path="")
        masked.append(kept)
        kinds.update(finding.rule for finding in findings)
    if kinds:
        logger.warning(
            "what was asked, or said before it, holds what looks like a secret; it was masked (%s)",
            ", ".join(f"{kind}: {times}" for kind, times in kinds.items()),
        )
    return masked
