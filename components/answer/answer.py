"""A question -> an answer with its sources, or the honest sentence that it is not in the notes."""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, NotRequired, TypedDict, Unpack

from components.answer.guard import clean_answer, one_line
from components.answer.language import Language, detect_language
from components.answer.messages import (
    MAX_QUESTION_CHARS,
    NOT_IN_NOTES,
    Given,
    Hit,
    Request,
    build_request,
    check_question,
)
from components.answer.stream_guard import StreamGuard
from components.errors import TerminalError

if TYPE_CHECKING:
    from components.llm import Chat, Reply

__all__ = ["Answer", "Material", "Source", "answer", "render", "stream_answer", "without_sources"]

_NO_ANSWER: dict[Language, str] = {
    "it": "Il modello non ha dato una risposta.",
    "en": "The model gave no answer.",
}
_SAYS_MISSING = re.compile(
    r"\bnon (?:e'|è|e|c'è|c'e'|(?:ci )?sono|si trova|risulta|compare|appare) (?:\w+ ){0,3}"
    r"(?:nelle|in queste) (?:mie |tue )?note\b"
    r"|\b(?:nelle|le) note non (?:c'è|c'e'|ne parlano|lo dicono|(?:dicono|contengono|riportano|parlano|si dice)\b)"
    r"|\bnot (?:\w+ ){0,3}in (?:the|my|your|these) notes\b|\bisn't in the notes\b"
    r"|\bthe notes (?:do not|don't) (?:say|contain|mention)\b"
    r"|\A\W*(?:non lo so|non so|i do not know|i don't know)\b",
    re.IGNORECASE,
)
_TITLES = ("Fonti:", "Sources:", "Note lette:", "Notes that were read:")
_LISTED = re.compile(r"(?: {2}\[\d+\] [^\n]*+\n)+")
_CITATION = re.compile(r"\[(\d{1,3}(?:\s*[,;]\s*\d{1,3})*)\]")


@dataclass(frozen=True)
class Source:
    """A chunk that the model read. `number` is its [n] in the text; lines are 1-based, inclusive, cut with the text.

    `cosine` to the question: None without vectors. `local`: its text must not leave this machine.
    """

    number: int
    path: str
    first_line: int
    last_line: int
    heading: tuple[str, ...]
    score: float
    cited: bool
    date: str | None
    status: str
    paths: tuple[str, ...]
    cosine: float | None = None
    local: bool = False


@dataclass(frozen=True)
class Answer:
    """What was answered.

    `text` carries [n] but no list of sources (`render` adds it). `sources` are the chunks given to the model, those
    cited in the text first, in the order of their citation. `found` is False when nothing was retrieved, or nothing
    near enough, or the model says that it is not in the notes; then `reply` may be None: no model was called.
    `seconds` is the time of all this, `neutralised` what was taken out of the notes, by kind.
    """

    text: str
    sources: tuple[Source, ...]
    found: bool
    language: Language
    reply: Reply | None
    seconds: float
    neutralised: Mapping[str, int] = field(default_factory=dict)

    def places(self, *, cited: bool = False) -> tuple[str, ...]:
        """Where its sources stand, `path:first-last` (lines); with `cited` only of those that the text cites."""
        shown = [one for one in self.sources if one.cited or not cited]
        return tuple(f"{one.path}:{one.first_line}-{one.last_line}" for one in shown)

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "text": self.text,
            "sources": [{**asdict(s), "heading": list(s.heading), "paths": list(s.paths)} for s in self.sources],
            "found": self.found,
            "language": self.language,
            "reply": None if self.reply is None else asdict(self.reply),
            "seconds": self.seconds,
            "neutralised": dict(self.neutralised),
        }


class Material(TypedDict):
    """What a question is answered from, and how: keywords of `answer` and of `stream_answer`."""

    prompt: str
    """System prompt of the persona."""
    session: str | None
    """Session context."""
    hits: Sequence[Hit]
    """Retrieved chunks, best first."""
    chat: Chat
    """The model; it is called once at most."""
    language: Literal["auto", "it", "en"]
    """auto: the language of the question."""
    max_context_tokens: int
    """Of retrieved text, by `chat.count_tokens`."""
    min_score: float
    """Cosine (0 to 1) that the best hit must have. Hits without one (full text alone) are not judged by it."""
    random_marker: NotRequired[bool]
    """See `build_request`; False."""
    local_notes: NotRequired[Collection[str]]
    """Sources of prompt and session that must not leave this machine; hits say it themselves."""
    max_chars: NotRequired[int]
    """Longest question that is taken (characters); MAX_QUESTION_CHARS."""
    told: NotRequired[str]
    """The conversation so far, see `build_request`."""


def answer(question: str, *, max_tokens: int | None = None, **material: Unpack[Material]) -> Answer:
    """Ask the model about the retrieved chunks, or say that it is not in the notes without asking it.

    Args:
        question: of the person.
        max_tokens: longest answer, by the model's tokenizer; None: the model's own limit.
        material: see `Material`.

    Raises:
        InputError: the question is empty or too long.
        TerminalError: from the model, also when it is elsewhere and is given something local; TransientError likewise.
    """
    asked = _prepare(question, **material)
    if isinstance(asked, Answer):
        return asked
    reply = material["chat"].chat(asked.request.messages, max_tokens=max_tokens, local_notes=asked.local_notes)
    return asked.answered(reply, text=clean_answer(reply.text, **asked.guarded()))


def stream_answer(
    question: str,
    *,
    max_tokens: int | None = None,
    beat_seconds: float | None = None,
    **material: Unpack[Material],
) -> Generator[str | Answer, None, None]:
    """As `answer`, in pieces; then the answer, whose text is the pieces joined and is what `answer` gives.

    A piece is given as soon as nothing that follows can change what the guard makes of it. Closing the generator ends
    the work of the model, see `Chat.stream`; so does an error, which may come after some pieces. With `beat_seconds` an
    empty piece is given whenever there is nothing to show, at least so often.
    """
    chat, asked = material["chat"], _prepare(question, **material)
    if isinstance(asked, Answer):
        yield asked.text
        yield asked
        return
    guard, reply = StreamGuard(**asked.guarded()), None
    pieces = chat.stream(
        asked.request.messages, max_tokens=max_tokens, local_notes=asked.local_notes, beat_seconds=beat_seconds
    )
    with closing(pieces):
        for item in pieces:
            if isinstance(item, str):
                shown = guard.feed(item)
                if shown or beat_seconds is not None:
                    yield shown
            else:
                reply = item
    if reply is None:
        raise TerminalError(f"{chat.model}: the answer ended without an end")
    if shown := guard.end():
        yield shown
    whole = asked.answered(reply, text=guard.text)
    if not guard.text:
        yield whole.text
    yield whole


@dataclass(frozen=True)
class _Asked:
    """A question that goes to the model."""

    request: Request
    local_notes: list[str]
    language: Language
    started: float

    def guarded(self) -> dict[str, Any]:
        """What the guard on the answer has to know."""
        given = "\n".join(message["content"] for message in self.request.messages)
        return {"marker": self.request.marker, "known": given, "notes": len(self.request.given)}

    def answered(self, reply: Reply, *, text: str) -> Answer:
        """The answer, of the text that the guard left."""
        cited = _citations(text, up_to=len(self.request.given))
        return Answer(
            text=text or _NO_ANSWER[self.language],
            sources=_sources(self.request.given, cited=cited),
            found=_says_something(text, cited=cited),
            language=self.language,
            reply=replace(reply, text=text),  # nothing else may show what was taken out
            seconds=time.perf_counter() - self.started,
            neutralised=self.request.neutralised,
        )


def _prepare(
    question: str,
    *,
    prompt: str,
    session: str | None,
    hits: Sequence[Hit],
    chat: Chat,
    language: Literal["auto", "it", "en"],
    max_context_tokens: int,
    min_score: float,
    random_marker: bool = False,
    local_notes: Collection[str] = (),
    max_chars: int = MAX_QUESTION_CHARS,
    told: str = "",
) -> Answer | _Asked:
    """What is to be asked, or the answer, when the notes have nothing."""
    started = time.perf_counter()
    question = check_question(question, max_chars=max_chars)
    spoken: Language = detect_language(question) if language == "auto" else language
    cosines = [hit.cosine for hit in hits if hit.cosine is not None]
    if not hits or (cosines and max(cosines) < min_score):
        return Answer(
            text=NOT_IN_NOTES[spoken],
            sources=(),
            found=False,
            language=spoken,
            reply=None,
            seconds=time.perf_counter() - started,
        )
    request = build_request(
        question,
        prompt=prompt,
        session=session,
        hits=hits,
        language=spoken,
        max_context_tokens=max_context_tokens,
        count_tokens=chat.count_tokens,
        random_marker=random_marker,
        told=told,
    )
    local = {chunk.hit.path for chunk in request.given if getattr(chunk.hit, "local", False)}.union(local_notes)
    return _Asked(request, sorted(local), spoken, started)


def render(answer: Answer) -> str:
    """The answer for a terminal: its text, then the cited sources (all of them when it cites none) as file:lines."""
    cited = [source for source in answer.sources if source.cited]
    shown = cited or list(answer.sources)
    if not shown:
        return answer.text
    italian = answer.language == "it"
    title = _TITLES[(0 if cited else 2) + (0 if italian else 1)]
    lines = []
    for source in shown:
        facts = [one_line(" > ".join(source.heading)), source.date or ""]
        facts += [source.status] if source.status != "current" else []
        about = ", ".join(fact for fact in facts if fact)
        where = f"{one_line(source.path)}:{source.first_line}-{source.last_line}"
        lines.append(f"  [{source.number}] {where}" + (f"  ({about})" if about else ""))
    return "\n".join([answer.text, "", title, *lines])


def without_sources(text: str) -> str:
    """An answer as `render` gives it, without its list of sources; any other text as it is.

    For texts of any client: the time it takes grows with the length alone.
    """
    text = text.rstrip()
    start, title = max((text.rfind(f"\n\n{title}\n"), title) for title in _TITLES)
    listed = start >= 0 and _LISTED.fullmatch(f"{text}\n", start + len(title) + 3)
    return text[:start] if listed else text


def _citations(text: str, *, up_to: int) -> list[int]:
    """Numbers of given chunks that the text cites, each once, in the order of the text."""
    numbers = (int(number) for group in _CITATION.findall(text) for number in re.findall(r"\d+", group))
    return list(dict.fromkeys(number for number in numbers if 1 <= number <= up_to))


def _says_something(text: str, *, cited: Sequence[int]) -> bool:
    """Whether the text is more than the admission that it is not in the notes: it cites one and says why."""
    if not _SAYS_MISSING.search(text):
        return bool(text)
    rest = _CITATION.sub(" ", _SAYS_MISSING.sub(" ", text))
    return bool(cited) and len(rest.split()) >= 4


def _sources(given: Sequence[Given], *, cited: Sequence[int]) -> tuple[Source, ...]:
    order = {number: place for place, number in enumerate(cited)}
    return tuple(
        Source(
            number=chunk.number,
            path=chunk.hit.path,
            first_line=chunk.hit.first_line,
            last_line=chunk.last_line,
            heading=tuple(chunk.hit.heading),
            score=chunk.hit.score,
            cited=chunk.number in order,
            date=chunk.hit.date,
            status=chunk.hit.status,
            paths=tuple(chunk.hit.paths),
            cosine=chunk.hit.cosine,
            local=bool(getattr(chunk.hit, "local", False)),
        )
        for chunk in sorted(given, key=lambda chunk: (order.get(chunk.number, len(order)), chunk.number))
    )
