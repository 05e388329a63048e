"""A request of OpenAI's chat completions -> a question with its history; what cannot be done is said, not passed over.

What is not known, or changes only how a model writes (temperature, seed, tools that may be called), is ignored and
named in the answer (`cervella.ignored`). So are system messages: the partner keeps her persona.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from components.answer import without_sources
from components.serve.http.errors import invalid
from components.serve.params import LimitParams

if TYPE_CHECKING:
    from components.llm import Message

__all__ = ["Asking", "Scored", "read_asking", "read_score"]

_SYSTEM = ("system", "developer")
_USED = frozenset(
    {"messages", "model", "stream", "stream_options", "max_tokens", "max_completion_tokens", "conversation", "n"}
)
_LONGEST_NAME, _MOST_IGNORED = 200, 20  # characters of an id or a name; names that are told
_MOST_TOKENS = 1_000_000  # of an answer: more is a mistake; how many are made at most the recipe says

_Kind = TypeVar("_Kind", bound=BaseModel)


class _Given(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True, hide_input_in_errors=True)


def _joined(content: object) -> object:
    """Parts of text as one text. Raises ValueError for any other part: an image that is passed over is no answer."""
    if not isinstance(content, list):
        return content
    texts = [part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text"]
    if len(texts) < len(content) or not all(isinstance(text, str) for text in texts):
        raise ValueError("only text is read here: a text, or parts of type text")
    return "\n".join(map(str, texts))


class _Turn(_Given):
    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[str | None, BeforeValidator(_joined)] = None


class _StreamOptions(_Given):
    include_usage: bool | None = None


class _Body(_Given):
    messages: list[_Turn] = Field(min_length=1)
    model: str | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_tokens: int | None = Field(default=None, ge=1, le=_MOST_TOKENS)
    max_completion_tokens: int | None = Field(default=None, ge=1, le=_MOST_TOKENS)
    n: Literal[1] | None = None
    conversation: str | None = Field(default=None, min_length=1, max_length=_LONGEST_NAME)
    metadata: dict[str, Any] | None = None
    # What would be another answer than the one that is asked for.
    response_format: dict[str, Any] | None = None
    modalities: Annotated[list[Literal["text"]], Field(fail_fast=True)] | None = None  # not a fault for each
    logprobs: Literal[False] | None = None
    tool_choice: Literal["auto", "none"] | None = None
    function_call: Literal["auto", "none"] | None = None


class _Score(_Given):
    id: str = Field(min_length=1, max_length=_LONGEST_NAME)
    score: Literal[-1, 1]
    text: str | None = Field(default=None, max_length=2000)


@dataclass(frozen=True)
class Asking:
    """What is asked.

    Attributes:
        question: the newest turn.
        history: turns before it, without system messages, and without the lists of sources that we have put there.
        conversation: its id; None: the client names none.
        max_tokens: longest answer that is wanted; None: the recipe's.
        stream: whether the answer is wanted in pieces.
        include_usage: whether a stream ends with the tokens.
        ignored: what of the request has no effect, by name.
    """

    question: str
    history: tuple[Message, ...]
    conversation: str | None
    max_tokens: int | None
    stream: bool
    include_usage: bool
    ignored: tuple[str, ...]


@dataclass(frozen=True)
class Scored:
    """Feedback on the answer of request `id`: -1 or 1, and a text or None."""

    id: str
    score: int
    text: str | None


def read_asking(body: bytes, *, limits: LimitParams, model: str) -> Asking:
    """The question in a request.

    Args:
        body: JSON.
        limits: of the recipe.
        model: the only model that is here; a request may leave it out.

    Raises:
        HttpError: 400: what is wrong, and where; 404: another model is asked for.
    """
    told = _object(body)
    messages = told.get("messages")
    if isinstance(messages, list) and len(messages) > limits.messages:  # before each of them is looked at
        raise invalid(f"At most {limits.messages} messages are taken.", param="messages", code="too_many_messages")
    given = _validated(_Body, told)
    if given.model is not None and given.model != model:
        raise invalid(f"There is no such model here; there is {model}.", param="model", code="model_not_found",
                      status=404)  # fmt: skip
    if (kind := (given.response_format or {}).get("type", "text")) != "text":
        shown = "JSON" if str(kind).startswith("json") else "another form"
        raise invalid(
            f"Answers are text; {shown} cannot be asked for.", param="response_format", code="unsupported_value"
        )
    *before, last = given.messages
    if last.role != "user":
        raise invalid("The last message has to be the question, of role user.", param="messages")
    question = (last.content or "").strip()
    if not question:
        raise invalid(
            "The question is empty: the last message, of role user, has to hold it.",
            param="messages", code="empty_question",
        )  # fmt: skip
    if len(question) > limits.question_chars:
        raise invalid(
            f"The question has {len(question)} characters, at most {limits.question_chars} are taken.",
            param="messages", code="question_too_long",
        )  # fmt: skip
    history: list[Message] = []
    for turn in before:
        text = turn.content or ""
        text = without_sources(text) if turn.role == "assistant" else text
        if text.strip() and turn.role in ("user", "assistant"):
            history.append({"role": "user" if turn.role == "user" else "assistant", "content": text})
    return Asking(
        question=question,
        history=tuple(history),
        conversation=_conversation(given),
        max_tokens=given.max_completion_tokens or given.max_tokens,
        stream=bool(given.stream),
        include_usage=bool(given.stream_options and given.stream_options.include_usage),
        ignored=_ignored(told, given),
    )


def read_score(body: bytes) -> Scored:
    """The feedback in a request. Raises HttpError 400."""
    given = _validated(_Score, _object(body))
    return Scored(given.id, given.score, given.text)


def _object(body: bytes) -> dict[str, Any]:
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        raise invalid("The request is no JSON in UTF-8.", code="invalid_json") from None
    if not isinstance(told, dict):
        raise invalid("The request has to be a JSON object.", code="invalid_json")
    return told


def _validated(kind: type[_Kind], told: Mapping[str, Any]) -> _Kind:
    try:
        return kind.model_validate(told)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
        raise invalid(f"{where}: {first['msg'].removeprefix('Value error, ')}.", param=where or None) from None
    except RecursionError:
        raise invalid("The request is nested too deeply.", code="invalid_json") from None


def _conversation(given: _Body) -> str | None:
    named = given.conversation or (given.metadata or {}).get("conversation")
    return named[:_LONGEST_NAME] if isinstance(named, str) and named else None


def _ignored(told: Mapping[str, Any], given: _Body) -> tuple[str, ...]:
    names = [name for name, value in told.items() if name not in _USED and value is not None]
    names = [name for name in names if name != "metadata" or not _conversation(given)]
    found = ["system messages"] if any(turn.role in _SYSTEM for turn in given.messages) else []
    names = [*found, *sorted(names)][:_MOST_IGNORED]  # first, since there may be thousands
    return tuple("".join(char if char.isprintable() else "\ufffd" for char in name[:40]) for name in names)
