"""The chat model that a server of ours serves, as a backend of `components.llm.chat`.

It is on this machine: no text leaves it, and an answer costs nothing. While the server is down a question is refused at
once, with the time after which to ask again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from components.errors import TooLongError
from components.llm.chat import Message, RawReply
from components.llm.counting import count_remote_tokens
from components.llm.local_chat import harmless
from components.llm.params import ChatParams
from components.llm.remote import RemoteChat
from components.llm.tokenizer import load_tokenizer
from components.serve.backends.vllm import BASE_NAME
from components.serve.backends.weights import Adapter
from components.train.environments.find import trainer_version

if TYPE_CHECKING:
    from components.serve.backends.server import Server

__all__ = ["ServedChat"]

_OWN_TOKENIZERS = ("smollm2", "qwen3")
_LONG_SECONDS = 20.0  # without a first word, after which a question that was given up speaks against the engine
_OF_A_TURN = 12  # tokens of a chat template around one message, and some to spare


class ServedChat:
    """See `components.llm.chat.Backend`.

    Args:
        server: that serves it.
        adapter: held by whoever made this; None: the base alone.
        chat: how it is asked.
    """

    is_local = True
    leaves_to: str | None = None
    backoff_seconds = 0.5

    def __init__(self, server: Server, *, adapter: Adapter | None, chat: ChatParams) -> None:
        base = server.base
        self.model = f"vllm/{base.name}"
        self.identity = f"{self.model}@{base.identity}+vllm{trainer_version('vllm')}+{server.params.dtype}"
        if adapter:
            self.identity += f"+lora{adapter.sha256}"
        self._server, self._adapter, self._chat = server, adapter, chat
        self._name = adapter.name if adapter else BASE_NAME
        self._template = base.template
        self._lock = threading.Lock()
        self._remote: tuple[str, RemoteChat] | None = None  # and the address of the server that it asks

    def is_up(self) -> bool:
        """Whether its server answers, and serves its adapter."""
        return self._server.is_up(self._adapter)

    def warm(self) -> None:
        """See `Chat.warm`."""
        self._asked_at(self._server.door.url).warm()

    def count_tokens(self, text: str) -> int:
        """Tokens by the model's own tokenizer where it is here, else an estimate."""
        if self._template in _OWN_TOKENIZERS:
            return load_tokenizer("smollm2" if self._template == "smollm2" else "qwen3").count(text)
        return count_remote_tokens(self.model, text)

    def estimate_usd(self, messages: Sequence[Message], max_tokens: int) -> float | None:
        """It costs nothing."""
        return 0.0

    def complete(self, messages: Sequence[Message], *, max_tokens: int) -> RawReply:
        """One answer. Control tokens of the chat format within a message are broken up.

        Raises:
            RetryLater: the server is not up, or does not serve the adapter yet.
            TransientError: it went down, or took too long.
            TooLongError: the prompt is longer than the context.
            TerminalError: the server refuses it.
        """
        remote, asked, most = self._request(messages, max_tokens)
        with self._told() as begun:
            raw = remote.complete(asked, max_tokens=most)
            begun()
        return self._own(raw)

    def stream(
        self, messages: Sequence[Message], *, max_tokens: int, beat_seconds: float | None = None
    ) -> Generator[str | RawReply, None, None]:
        """As `complete`, in pieces; see `Chat.stream`."""
        remote, asked, most = self._request(messages, max_tokens)
        with self._told() as begun, closing(remote.stream(asked, max_tokens=most, beat_seconds=beat_seconds)) as pieces:
            for piece in pieces:
                if piece:
                    begun()
                yield self._own(piece) if isinstance(piece, RawReply) else piece

    @contextmanager
    def _told(self) -> Iterator[Callable[[], None]]:
        """The server hears of each piece (what is given is called then), or that none came in a long time."""
        since, pulse, begins = time.monotonic(), self._server.pulse, False

        def begun() -> None:
            nonlocal begins
            begins = True
            pulse.heard()

        try:
            yield begun
        finally:
            if not begins and time.monotonic() - since >= min(_LONG_SECONDS, self._chat.timeout_seconds):
                pulse.missed()

    def _request(self, messages: Sequence[Message], max_tokens: int) -> tuple[RemoteChat, list[Message], int]:
        self._server.check(self._adapter)
        asked: list[Message] = [{"role": one["role"], "content": harmless(one["content"])} for one in messages]
        used = sum(self.count_tokens(one["content"]) + _OF_A_TURN for one in asked)
        room = self._server.context - used
        if room < 1:
            raise TooLongError(
                f"{self.model}: the prompt has about {used} tokens, the context is {self._server.context}. Raise "
                "llm.chat.context_tokens or put fewer notes in front of the question"
            )
        return self._asked_at(self._server.door.url), asked, min(max_tokens, room)

    def _asked_at(self, url: str) -> RemoteChat:
        """The same for as long as the server is at this address: it counts calls that were given up and go on."""
        with self._lock:
            if self._remote is None or self._remote[0] != url:
                self._remote = url, RemoteChat(
                    model=f"hosted_vllm/{self._name}", temperature=self._chat.temperature, seed=self._chat.seed,
                    timeout_seconds=self._chat.timeout_seconds, api_key_env=None, api_base=f"{url}/v1",
                    key=self._server.key,
                )  # fmt: skip
            return self._remote[1]

    def _own(self, raw: RawReply) -> RawReply:
        return replace(raw, model=self.model, cost_usd=0.0)
