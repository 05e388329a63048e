"""Chat models behind one contract: cache, budget and second tries are the same for all of them."""

from __future__ import annotations

import time
from collections.abc import Collection, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypedDict

from components.errors import InputError, TerminalError, TransientError
from components.llm.budget import Budget
from components.llm.names import check_model_name, is_remote
from components.llm.pieces import resting
from components.llm.places import refuse_local
from components.llm.response_cache import ResponseCache
from components.llm.retry import seconds_to_wait, with_retries

if TYPE_CHECKING:
    from components.llm.spread import Workers

__all__ = ["Backend", "Chat", "Message", "RawReply", "Reply", "backend_here", "load_chat"]


class Message(TypedDict):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True)
class RawReply:
    """What a backend answers: the text, the model that really answered, tokens, dollars (None: unknown).

    `seconds`: of the try, where another process made it and knows better than who waits for it.
    """

    text: str
    model: str
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None
    finish_reason: str
    seconds: float | None = None


@dataclass(frozen=True)
class Reply:
    """An answer and what it took."""

    text: str
    model: str
    """The model that really answered, in the words of who served it."""
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    """Of the try that answered; for a cached reply, of the original answer."""
    cost_usd: float | None
    """US dollars of this reply; None: nobody lists the price; 0 for a local or cached one."""
    is_local: bool
    cached: bool
    original_cost_usd: float | None = None
    """What the answer cost when it was made; equal to `cost_usd` unless cached."""
    finish_reason: str = "stop"
    """`length`: cut at max_tokens or at the end of the context."""
    tries: int = 1


class Chat(Protocol):
    """A model that answers."""

    @property
    def model(self) -> str:
        """The name it was asked for by."""

    @property
    def is_local(self) -> bool:
        """Whether texts stay in this process; a local reply costs nothing."""

    @property
    def leaves_to(self) -> str | None:
        """Where texts go when they leave this machine, in words; None: they stay."""

    @property
    def max_tokens(self) -> int:
        """Longest answer (tokens), where a call names no other."""

    @property
    def workers(self) -> Workers | None:
        """The workers of a Ray cluster that answer in the place of this process."""

    def chat(
        self, messages: Sequence[Message], *, max_tokens: int | None = None, local_notes: Collection[str]
    ) -> Reply:
        """The answer. `local_notes`: paths of the notes in `messages` that must not leave this machine.

        Raises TerminalError, also when there are local notes and the model is elsewhere: nothing was sent then;
        TransientError when every try failed.
        """

    def stream(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int | None = None,
        local_notes: Collection[str],
        beat_seconds: float | None = None,
    ) -> Generator[str | Reply, None, None]:
        """The answer in pieces, then the reply, whose text is the pieces joined. As `chat` otherwise.

        To be taken by one thread at a time. Closing it ends the work: a model here stops at its next piece (of the
        prompt or of the answer), a connection on which an answer has begun is ended at once. What is closed early is
        charged as the most that it may cost, and is not cached. An answer from the cache is one piece. After the first
        piece nothing is tried again: the error is raised.

        `beat_seconds`: while no piece comes, an empty one is given so often, for who wants to close it then. None:
        never.
        """

    def count_tokens(self, text: str) -> int:
        """Tokens of `text`, by the model's tokenizer or the nearest that is here."""

    def warm(self) -> None:
        """Load now what the first call would wait for, seconds of it. Nothing is sent, no key read.

        Raises TerminalError: a model of this process cannot be loaded. Called by who answers for long, not by who asks
        once: a cached answer needs no model.
        """


class Backend(Protocol):
    """What a kind of model has to bring; `identity` is all that its answers depend on beside the request."""

    model: str
    identity: str
    is_local: bool
    backoff_seconds: float

    @property
    def leaves_to(self) -> str | None:
        """See Chat."""

    def complete(self, messages: Sequence[Message], *, max_tokens: int) -> RawReply:
        """One try."""

    def stream(
        self, messages: Sequence[Message], *, max_tokens: int, beat_seconds: float | None = None
    ) -> Generator[str | RawReply, None, None]:
        """One try, in pieces; see `Chat.stream`."""

    def estimate_usd(self, messages: Sequence[Message], max_tokens: int) -> float | None:
        """The most that this call may cost; None: unknown."""

    def count_tokens(self, text: str) -> int:
        """See Chat."""


class _Chat:
    def __init__(
        self, backend: Backend, *, max_tokens: int, retries: int, request: dict[str, Any],
        budget: Budget | None, cache: ResponseCache | None,
    ) -> None:  # fmt: skip
        self._backend = backend
        self.max_tokens = max_tokens
        self._retries = retries
        self._request = request
        self._budget = budget or Budget(per_run_usd=float("inf"), per_query_usd=float("inf"))
        self._cache = cache

    @property
    def model(self) -> str:
        return self._backend.model

    @property
    def is_local(self) -> bool:
        return self._backend.is_local

    @property
    def leaves_to(self) -> str | None:
        return self._backend.leaves_to

    @property
    def workers(self) -> Workers | None:
        return getattr(self._backend, "workers", None)

    def count_tokens(self, text: str) -> int:
        return self._backend.count_tokens(text)

    def warm(self) -> None:
        if warm := getattr(self._backend, "warm", None):
            warm()

    def __repr__(self) -> str:
        return f"Chat({self.model!r}, is_local={self.is_local})"

    def chat(
        self, messages: Sequence[Message], *, max_tokens: int | None = None, local_notes: Collection[str]
    ) -> Reply:
        request = self._wanted(messages, max_tokens, local_notes)
        if kept := self._kept(request):
            return kept
        reply = self._ask(messages, request["max_tokens"])
        if self._cache:
            self._cache.put(request, reply)
        return reply

    def stream(
        self, messages: Sequence[Message], *, max_tokens: int | None = None, local_notes: Collection[str],
        beat_seconds: float | None = None,
    ) -> Generator[str | Reply, None, None]:  # fmt: skip
        request = self._wanted(messages, max_tokens, local_notes)
        if kept := self._kept(request):
            if kept.text:
                yield kept.text
            yield kept
            return
        tries = 0
        while True:
            tries += 1
            given: list[str] = []
            try:
                reply = yield from self._try_in_pieces(
                    messages, request["max_tokens"], tries=tries, given=given, beat_seconds=beat_seconds
                )
                break
            except TransientError as error:
                if given or tries > self._retries:
                    raise
                wait = seconds_to_wait(error, attempt=tries - 1, base_seconds=self._backend.backoff_seconds)
            yield from resting(wait, beat_seconds=beat_seconds)
        if self._cache:
            self._cache.put(request, reply)
        yield reply

    def _try_in_pieces(
        self, messages: Sequence[Message], limit: int, *, tries: int, given: list[str], beat_seconds: float | None
    ) -> Generator[str, None, Reply]:
        """One try; the pieces are kept in `given` too."""
        with self._budget.reserve(self._estimate(messages, limit), what=f"a call of {self.model}") as money:
            start = time.perf_counter()
            pieces = self._backend.stream(messages, max_tokens=limit, beat_seconds=beat_seconds)
            try:
                for item in pieces:
                    if isinstance(item, RawReply):
                        money.settle(0.0 if self.is_local else item.cost_usd)
                        return self._reply(item, seconds=item.seconds or time.perf_counter() - start, tries=tries)
                    if item:
                        given.append(item)
                    yield item
            except Exception as error:
                if given or getattr(error, "may_be_charged", False):
                    money.settle(0.0 if self.is_local else None)
                raise
            except GeneratorExit:  # closed early: what it cost by then nobody tells
                money.settle(0.0 if self.is_local else None)
                raise
            finally:
                pieces.close()
        raise TerminalError(f"{self.model}: the answer ended without an end")

    def _wanted(self, messages: Sequence[Message], max_tokens: int | None, local: Collection[str]) -> dict[str, Any]:
        """All that the answer depends on."""
        refuse_local(local, model=self.model, leaves=self.leaves_to)
        if not messages:
            raise TerminalError(f"{self.model}: no messages to answer")
        return {**self._request, "messages": list(messages), "max_tokens": max_tokens or self.max_tokens}

    def _kept(self, request: dict[str, Any]) -> Reply | None:
        kept = self._cache.get(request) if self._cache else None
        return Reply(**{**kept, "cached": True, "cost_usd": 0.0}) if kept else None

    def _estimate(self, messages: Sequence[Message], limit: int) -> float | None:
        return 0.0 if self.is_local else self._backend.estimate_usd(messages, limit)

    def _reply(self, raw: RawReply, *, seconds: float, tries: int) -> Reply:
        return Reply(
            text=raw.text, model=raw.model, prompt_tokens=raw.prompt_tokens, completion_tokens=raw.completion_tokens,
            seconds=seconds, cost_usd=raw.cost_usd, is_local=self.is_local, cached=False,
            original_cost_usd=raw.cost_usd, finish_reason=raw.finish_reason, tries=tries,
        )  # fmt: skip

    def _ask(self, messages: Sequence[Message], limit: int) -> Reply:
        tries = 0

        def once() -> Reply:
            nonlocal tries
            tries += 1
            with self._budget.reserve(self._estimate(messages, limit), what=f"a call of {self.model}") as money:
                start = time.perf_counter()
                try:
                    raw = self._backend.complete(messages, max_tokens=limit)
                except TransientError as error:
                    # Who gave no answer in time may have made one, and charge for it.
                    if getattr(error, "may_be_charged", False):
                        money.settle(None)
                    raise
                money.settle(0.0 if self.is_local else raw.cost_usd)
            return self._reply(raw, seconds=raw.seconds or time.perf_counter() - start, tries=tries)

        return with_retries(once, retries=self._retries, base_seconds=self._backend.backoff_seconds)


def load_chat(
    *,
    model: str,
    temperature: float,
    max_tokens: int,
    context_tokens: int,
    timeout_seconds: float,
    retries: int,
    seed: int,
    api_key_env: str | None = None,
    api_base: str | None = None,
    budget: Budget | None = None,
    cache: Path | None = None,
    local_only: bool = False,
    trusted_hosts: Collection[str] = (),
    adapter: Path | None = None,
    workers: Workers | None = None,
    backend: Backend | None = None,
) -> Chat:
    """The chat model of that name.

    `local/smollm2-135m-instruct` and `fake/chat?...` answer in this process; any other name is litellm's, at
    `api_base` if given, with the key in the environment variable `api_key_env`, read at each call. `cache` is the
    SQLite file of the response cache, used at temperature 0 only. `trusted_hosts` are names in `api_base` that count
    as this machine. `adapter` is a LoRA adapter as GGUF, for `local/smollm2-135m-instruct`; its digest is part of what
    answers are cached by. A server elsewhere has its adapters under names of their own. `workers` answer in the place
    of a model of this process; cache and budget stay here. `backend` answers in the place of the model of that name,
    with an adapter of its own: a server that somebody has started for it on this machine.

    Raises:
        InputError: unknown `local/` or `fake/` name; an adapter for a model that is not `local/`.
        TerminalError: its package is not installed; `local_only` and the model is remote.
    """
    check_model_name(model, kind="chat")
    if adapter and not model.startswith("local/"):
        raise InputError(
            f"an adapter file can be put on local/smollm2-135m-instruct, not on {model}: a server serves an adapter "
            "under a name of its own; ask for that name"
        )
    if backend is not None:
        pass
    elif is_remote(model):
        if local_only:
            raise TerminalError(f"the chat model {model} is remote and this recipe keeps texts on this machine")
        from components.llm.remote import RemoteChat

        backend = RemoteChat(
            model=model, temperature=temperature, timeout_seconds=timeout_seconds, seed=seed,
            api_key_env=api_key_env, api_base=api_base, trusted_hosts=trusted_hosts,
        )  # fmt: skip
    else:
        settings: dict[str, Any] = {
            "temperature": temperature, "context_tokens": context_tokens, "timeout_seconds": timeout_seconds,
            "seed": seed, "adapter": adapter,
        }  # fmt: skip
        backend = backend_here(model, **settings)
        if workers is not None:
            from components.llm.spread.models import SpreadBackend

            backend = SpreadBackend(backend, workers, model=model, **settings)
    request = {
        "model": backend.identity, "temperature": temperature, "context_tokens": context_tokens, "seed": seed,
    }  # fmt: skip
    return _Chat(
        backend, max_tokens=max_tokens, retries=retries, request=request, budget=budget,
        cache=ResponseCache(cache) if cache and temperature == 0 else None,
    )  # fmt: skip


def backend_here(
    model: str, *, temperature: float, context_tokens: int, timeout_seconds: float, seed: int, adapter: Path | None
) -> Backend:
    """A model that answers in this process: `local/...` or `fake/...`. Raises as `load_chat`."""
    if model.startswith("fake/"):
        from components.llm.fake import FakeChat

        return FakeChat(model, temperature=temperature, seed=seed)
    from components.llm.local_chat import SmolLM2Chat

    return SmolLM2Chat(
        temperature=temperature, context_tokens=context_tokens, timeout_seconds=timeout_seconds, seed=seed,
        adapter=adapter,
    )  # fmt: skip
