"""The partner as she is served: retrieval from the published index, the persona's prompt, a model."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from components.answer.answer import Answer, answer
from components.answer.messages import MAX_QUESTION_CHARS
from components.answer.params import AnswerParams
from components.sncp.redact import mask_secrets
from components.store import logger

if TYPE_CHECKING:
    from components.index import Hit, Index, SearchParams
    from components.llm import Budget, Chat
    from components.persona import Prompt, Session

__all__ = ["Asked", "Partner"]


@dataclass(frozen=True)
class Asked:
    """An answer and what it took: `seconds` question to answer (a cached reply counts with its original seconds)."""

    answer: Answer
    search_seconds: float
    seconds: float
    left_out: int = 0
    """Notes that were found and not given to the model, because they must not leave this machine."""


@dataclass(frozen=True)
class Partner:
    """All that answering takes. `ask` is the one path for the terminal, the evaluation and the endpoint.

    Threads may share it if each passes the same lock as `turn`.
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

    def _retrieve(self, question: str) -> tuple[list[Hit], int]:
        """As `retrieve`, and how many notes among the best were left out."""
        hits = self.index.search(
            question,
            k=2 * self.search.k,  # some may stand in the prompt
            fusion=self.search.fusion,
            dense_weight=self.search.dense_weight,
            candidates=max(self.search.candidates, self.search.k),
        )
        hits = [hit for hit in hits if not self._said(hit.path, hit.first_line, hit.last_line)]
        given = [hit for hit in hits if not (self.leave_out_local and hit.local)]
        missed = {hit.path for hit in hits[: self.search.k] if hit.local} if self.leave_out_local else set()
        return given[: self.search.k], len(missed)

    def ask(
        self, question: str, *, max_chars: int = MAX_QUESTION_CHARS, turn: AbstractContextManager[object] | None = None
    ) -> Asked:
        """Answer a question from the notes. Raises as `answer` does, and TerminalError when the budget is spent.

        A secret in the question is masked first: it reaches no model and no cache.

        Args:
            question: of the person.
            max_chars: longest question that is taken (characters).
            turn: held while the notes are searched, so that several threads search one after the other; waiting for it
                is no part of `seconds`.
        """
        question = _without_secrets(question)
        with turn or nullcontext():
            started = time.perf_counter()
            hits, left_out = self._retrieve(question)
            found = time.perf_counter()
        search_seconds = found - started
        session = None if self.session is None or (self.session.local and self.leave_out_local) else self.session
        given_at = time.perf_counter()
        with self.budget.query():
            given = answer(
                question,
                prompt=self.prompt.text,
                session=session.text if session else None,
                hits=hits,
                chat=self.chat,
                language=self.params.language,
                max_context_tokens=self.params.max_context_tokens,
                min_score=self.params.min_score,
                local_notes=[*self.prompt.local_notes, *([session.path] if session and session.local else [])],
                max_chars=max_chars,
            )
        seconds = search_seconds + time.perf_counter() - given_at
        if given.reply is not None and given.reply.cached:
            seconds += given.reply.seconds
        return Asked(given, search_seconds, seconds, left_out)

    def _said(self, path: str, first_line: int, last_line: int) -> bool:
        parts: list[Prompt | Session] = [self.prompt] if self.session is None else [self.prompt, self.session]
        return any(part.in_prompt(path, first_line, last_line) for part in parts)


def _without_secrets(question: str) -> str:
    masked = mask_secrets(question)
    if masked != question:
        logger.warning("the question holds what looks like a secret: it was masked, and is asked as %r", masked)
    return masked
