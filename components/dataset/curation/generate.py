"""Examples that a model writes from notes: question, answer, critique, revision, each with where it comes from.

State after a hard crash: nothing of this module's own. At temperature 0 every reply is in the response cache before it
is used, so the same call again asks only for what is missing, and its rows are the same. Above 0 nothing is cached:
a run that was killed pays again.

**Not caught**: an answer that the judge takes for true and is not. Whoever makes examples this way has people review
them (`cervella data review`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from components.answer.guard import clean_answer
from components.answer.language import detect_language
from components.dataset.curation.generation_prompts import (
    NOTE_TOKENS,
    PROMPT_VERSION,
    REPLY_TOKENS,
    FencedNote,
    UnparsableError,
    answer_messages,
    critique_messages,
    fence_note,
    question_messages,
    read_answer,
    read_critique,
    read_questions,
    revision_messages,
)
from components.errors import CervellaError
from components.llm.places import refuse_local
from components.sncp.redact import mask_secrets

if TYPE_CHECKING:
    from components.llm import Budget, Chat, Message, Reply
    from components.sncp import Document

__all__ = ["Failure", "GenerationResult", "generate_examples"]

Stage = Literal["foundation", "expansion", "refinement"]
Read = TypeVar("Read")
Step = Literal["questions", "answer", "critique", "revision"]

_SHOWN = 500  # characters of a reply that could not be used
_NO_REPLY = "no reply: "
_GIVE_UP = 3  # errors in a row: a key, a budget or a server, not a note


@dataclass(frozen=True)
class Failure:
    """A reply that could not be used, or that did not come."""

    note: str
    step: Step
    reason: str
    question: str | None
    """None where questions were asked for."""
    reply: str
    """Its beginning, secrets masked."""
    kept: bool
    """Whether there is an example all the same: without a mark, or not revised."""


@dataclass(frozen=True)
class GenerationResult:
    """Examples in the order of the notes, and what became of everything else."""

    rows: list[dict[str, Any]]
    failed: tuple[Failure, ...]
    unparsable: int
    """Examples whose mark could not be read; they are among `rows`."""
    calls: int
    """Calls that were made; those that the cache answered are in `cached`."""
    cached: int
    cost: float | None
    """US dollars of `calls`; None: the price of one is unknown."""
    notes: int
    left_out: tuple[str, ...] = ()
    """Notes that must not leave this machine, left out because the caller said so."""
    cut: tuple[str, ...] = ()
    """Notes of which only the first lines fit."""

    @property
    def unanswered(self) -> int:
        """Calls that ended in an error: with any, the same call later may bring more examples."""
        return sum(failure.reason.startswith(_NO_REPLY) for failure in self.failed)

    def report(self) -> dict[str, Any]:
        """All but the rows, as JSON values."""
        marks = [row["rating"]["score"] for row in self.rows if row["rating"]["score"] is not None]
        return {
            "notes": self.notes,
            "examples": len(self.rows),
            "lost": sum(not failure.kept for failure in self.failed),
            "unanswered": self.unanswered,
            "reasons": dict(sorted(Counter(f"{item.step}: {item.reason}" for item in self.failed).items())),
            "marks": {
                "read": len(marks),
                "unparsable": self.unparsable,
                "mean": round(sum(marks) / len(marks), 3) if marks else None,
            },
            "calls": self.calls,
            "cached": self.cached,
            "cost_usd": self.cost,
            "left_out": list(self.left_out),
            "cut": list(self.cut),
            "failed": [asdict(failure) for failure in self.failed],
        }


def generate_examples(
    documents: Sequence[Document],
    *,
    chat: Chat,
    judge: Chat,
    budget: Budget,
    per_note: int,
    persona: str,
    stage: Stage = "expansion",
    system: str | None = None,
    max_note_tokens: int = NOTE_TOKENS,
    max_tokens: int = REPLY_TOKENS,
    author: str | None = None,
    licence: str | None = None,
    created: str | None = None,
    leave_out_local: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> GenerationResult:
    """Up to `per_note` examples from each document: 1 call, then 2 for each example, or 4 where it is revised.

    A reply that is not what was asked for is a `Failure`. So is an error at a single call; after three in a row the
    last is raised, since then it is not the note's fault.

    Args:
        documents: notes, in the order in which they are asked about.
        chat: writes questions, answers and revisions.
        judge: finds faults and gives marks; may be `chat` itself, though another model is the better judge.
        budget: that of both models; each example is a query of its own.
        per_note: examples wanted from each note.
        persona: system prompt in whose voice is answered.
        stage: that the examples count for.
        system: column `system` of the rows; None: they have none.
        max_note_tokens: of a note, by the chat model; a longer one is cut after a line.
        max_tokens: of each reply.
        author: who has the examples made; in the provenance, as `licence` and `created` (an ISO day).
        licence: see author.
        created: see author.
        leave_out_local: leave out notes that must not leave this machine, where a model is elsewhere.
        progress: told the notes that are done, and all.

    Raises:
        TerminalError: a note must not leave this machine and a model is elsewhere (nothing was sent); or, as
            TransientError, three calls failed one after the other: what was paid for is in the cache.
    """
    local = [document.path for document in documents if document.local]
    if leave_out_local and (chat.leaves_to or judge.leaves_to):
        documents = [document for document in documents if not document.local]
    else:
        local, kept = [], local
        for model in (chat, judge):
            refuse_local(kept, model=model.model, leaves=model.leaves_to)
    about = {"author": author, "licence": licence, "created": created}
    work = _Work(chat, judge, budget, persona, max_tokens)
    rows: list[dict[str, Any]] = []
    cut = []
    for done, document in enumerate(documents):
        progress(done, len(documents))
        note = fence_note(
            document.text, path=document.path, language=detect_language(document.text[:5000]),
            count_tokens=chat.count_tokens, max_tokens=max_note_tokens,
        )  # fmt: skip
        if note.lines < note.total:
            cut.append(document.path)
        for written in work.examples(document, note, per_note):
            rows.append(written.row(document, note, stage=stage, system=system, about=about))
    progress(len(documents), len(documents))
    return GenerationResult(
        rows=rows, failed=tuple(work.failed), unparsable=sum(row["rating"]["unparsable"] for row in rows),
        calls=work.calls, cached=work.cached, cost=work.cost, notes=len(documents), left_out=tuple(local),
        cut=tuple(cut),
    )  # fmt: skip


@dataclass
class _Written:
    """An example on its way."""

    question: str
    answer: str
    model: str
    judge: str
    mark: float | None = None
    faults: Sequence[str] = ()

    def row(
        self, document: Document, note: FencedNote, *, stage: Stage, system: str | None, about: dict[str, str | None]
    ) -> dict[str, Any]:
        name = sha256("\0".join([document.path, document.content_hash, self.question]).encode("utf-8", "replace"))
        provenance: dict[str, Any] = {
            "kind": "generated", "note": document.path, "note_sha256": document.content_hash, "model": self.model,
            "prompt_version": PROMPT_VERSION, **{key: value for key, value in about.items() if value is not None},
        }  # fmt: skip
        if note.lines < note.total:
            provenance["lines"] = [1, note.lines]
        rating: dict[str, Any] = {"by": self.judge, "score": self.mark, "unparsable": self.mark is None}
        if self.faults:
            rating["faults"] = list(self.faults)
        return {
            "id": f"gen-{name.hexdigest()[:12]}",
            "stage": stage,
            **({} if system is None else {"system": system}),
            "conversations": [
                {"from": "human", "value": self.question},
                {"from": "gpt", "value": self.answer},
            ],
            "provenance": provenance,
            "rating": rating,
        }


class _LostError(Exception):
    """This step has no result; its failure is recorded."""


class _Work:
    """The calls of one generation, counted."""

    def __init__(self, chat: Chat, judge: Chat, budget: Budget, persona: str, max_tokens: int) -> None:
        self._chat, self._judge, self._budget = chat, judge, budget
        self._persona, self._max_tokens = persona, max_tokens
        self._errors = 0
        self._asked: set[str] = set()
        self.failed: list[Failure] = []
        self.calls = self.cached = 0
        self.cost: float | None = 0.0

    def examples(self, document: Document, note: FencedNote, count: int) -> list[_Written]:
        written = []
        for question in self._questions(document, note, count):
            try:
                with self._budget.query():
                    written.append(self._example(document, note, question))
            except _LostError:
                continue
        return written

    def _questions(self, document: Document, note: FencedNote, count: int) -> list[str]:
        messages = question_messages(note, count=count)
        try:
            with self._budget.query():
                questions, reply = self._ask(self._chat, messages, read_questions, document, "questions")
        except _LostError:
            return []
        fresh = []
        for number, question in enumerate(questions):
            twice = question.casefold() in self._asked
            if twice or number >= count:
                reason = "asked before" if twice else f"more than the {count} that were asked for"
                self._fail(document, "questions", reason, question=question, reply=reply.text, kept=False)
                continue
            self._asked.add(question.casefold())
            fresh.append(question)
        return fresh

    def _example(self, document: Document, note: FencedNote, question: str) -> _Written:
        said, reply = self._ask(
            self._chat, answer_messages(note, question=question, persona=self._persona),
            lambda text: _cleaned(text, note), document, "answer", question=question,
        )  # fmt: skip
        written = _Written(question, said, reply.model, self._judge.model)
        if not self._criticise(document, note, written) or not written.faults:
            return written
        try:
            written.answer, reply = self._ask(
                self._chat,
                revision_messages(note, question=question, answer=said, faults=written.faults, persona=self._persona),
                lambda text: _cleaned(text, note), document, "revision", question=question, kept=True,
            )  # fmt: skip
        except _LostError:
            return written
        written.model, written.mark, written.faults = reply.model, None, ()
        self._criticise(document, note, written)  # the mark is that of the answer that stays
        return written

    def _criticise(self, document: Document, note: FencedNote, written: _Written) -> bool:
        messages = critique_messages(note, question=written.question, answer=written.answer)
        try:
            (faults, mark), reply = self._ask(
                self._judge, messages, read_critique, document, "critique", question=written.question, kept=True
            )
        except _LostError:
            return False
        written.faults, written.mark, written.judge = faults, mark, reply.model
        return True

    def _ask(
        self, model: Chat, messages: Sequence[Message], read: Callable[[str], Read], document: Document, step: Step,
        *, question: str | None = None, kept: bool = False,
    ) -> tuple[Read, Reply]:  # fmt: skip
        local = [document.path] if document.local else []
        try:
            reply = model.chat(messages, max_tokens=self._max_tokens, local_notes=local)
        except CervellaError as error:
            self._errors += 1
            if self._errors >= _GIVE_UP:
                raise
            self._fail(document, step, f"{_NO_REPLY}{type(error).__name__}", question=question, reply=str(error),
                       kept=kept)  # fmt: skip
            raise _LostError from error
        self._errors = 0
        self._count(reply)
        try:
            return read(reply.text), reply
        except UnparsableError as error:
            reason = f"{error} (cut at max_tokens)" if reply.finish_reason == "length" else str(error)
            self._fail(document, step, reason, question=question, reply=reply.text, kept=kept)
            raise _LostError from error

    def _count(self, reply: Reply) -> None:
        if reply.cached:
            self.cached += 1
            return
        self.calls += 1
        self.cost = None if self.cost is None or reply.cost_usd is None else self.cost + reply.cost_usd

    def _fail(
        self, document: Document, step: Step, reason: str, *, question: str | None, reply: str, kept: bool
    ) -> None:
        shown = mask_secrets(reply)[:_SHOWN]
        self.failed.append(Failure(document.path, step, reason, question, shown, kept))


def _cleaned(reply: str, note: FencedNote) -> str:
    """The answer of a reply, without what acts where it is shown. Raises UnparsableError when nothing is left."""
    answer = clean_answer(read_answer(reply), marker=note.marker, known=note.text)
    if not answer:
        raise UnparsableError("nothing left of the answer once control tokens and thoughts are out")
    return answer
