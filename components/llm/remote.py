"""Everything remote, through litellm: our time-outs, our second tries, keys read at the call and shown nowhere."""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Generator, Sequence
from contextlib import closing
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from components.errors import InputError, TerminalError
from components.llm.budget import Budget
from components.llm.chat import Message, RawReply
from components.llm.counting import count_remote_messages, count_remote_tokens
from components.llm.litellm_door import (
    Opened,
    broke_off,
    call_litellm,
    open_litellm,
    stream_litellm,
    unanswered,
    warm_litellm,
)
from components.llm.pieces import LeftBehind, Line, pieces_of
from components.llm.places import leaves_to, pinned_client, refuse_local
from components.llm.retry import with_retries

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["RemoteChat", "RemoteEmbedder"]

_NO_KEY = "none"  # an endpoint of one's own that asks for no key; never a key of the environment that was not named

_MOST_LEFT = 32  # threads of calls that nobody waits for any more


def _address(api_base: str | None) -> str:
    """`@host:port/path` without user and password, "" for the provider's own."""
    parts = urlsplit(api_base or "")
    return f"@{parts.hostname}:{parts.port}{parts.path.rstrip('/')}" if api_base else ""


class _Remote:
    def __init__(
        self, *, model: str, api_base: str | None, api_key_env: str | None, timeout_seconds: float,
        trusted_hosts: Collection[str], key: str | None = None,
    ) -> None:  # fmt: skip
        self.model = model
        self.leaves_to = leaves_to(model, api_base=api_base, trusted_hosts=trusted_hosts)
        self._api_base = api_base
        self._api_key_env = api_key_env
        self._timeout = timeout_seconds
        self._own_key = key

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.model!r}{_address(self._api_base)})"

    def _key(self) -> str | None:
        """The key, read now.

        Raises:
            InputError: the variable that the recipe names is not set, or it names none and the provider needs one.
        """
        if self._own_key:
            return self._own_key
        if self._api_key_env:
            key = os.environ.get(self._api_key_env, "").strip()
            if not key:
                raise InputError(
                    f"{self.model} needs the environment variable {self._api_key_env} (api_key_env in the recipe), "
                    f"which is not set. Set it: export {self._api_key_env}=..."
                )
            return key
        if self._api_base:
            return _NO_KEY
        missing = open_litellm().validate_environment(self.model)["missing_keys"]
        if missing:
            raise InputError(
                f"{self.model} needs {' and '.join(missing)}, which the environment does not have, and the recipe "
                f"names no api_key_env. Set `api_key_env: {missing[0]}` beside `model: {self.model}` in the recipe "
                f"and export {missing[0]}=..."
            )
        return None

    def _call(self, name: str, **arguments: Any) -> Any:
        return call_litellm(name, **self._with_key(arguments))

    def _with_key(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """How litellm is called with these arguments."""
        key = self._key()
        if self.leaves_to is None and self._api_base:
            arguments = {**arguments, "client": pinned_client(self.model, api_base=self._api_base, key=key)}
        return {
            "model": self.model, "seconds": self._timeout, "key_name": self._api_key_env, "secret": key,
            "arguments": {**arguments, "api_key": key, "api_base": self._api_base},
        }  # fmt: skip


class RemoteChat(_Remote):
    """A chat model of litellm. Parameters that a model does not know (a seed) are left out for it.

    `key`: of a server that this process has started itself, instead of `api_key_env`.
    """

    is_local = False
    backoff_seconds = 1.0

    def __init__(
        self, *, model: str, temperature: float, timeout_seconds: float, seed: int,
        api_key_env: str | None, api_base: str | None, trusted_hosts: Collection[str] = (), key: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(
            model=model, api_base=api_base, api_key_env=api_key_env, timeout_seconds=timeout_seconds,
            trusted_hosts=trusted_hosts, key=key,
        )  # fmt: skip
        self.identity = model + _address(api_base)
        self._temperature = temperature
        self._seed = seed
        self._left_behind = LeftBehind(_MOST_LEFT)

    def warm(self) -> None:
        """See `Chat.warm`."""
        warm_litellm(self.model)
        if self.leaves_to is None and self._api_base:
            pinned_client(self.model, api_base=self._api_base, key=None)
        self.estimate_usd([{"role": "user", "content": "."}], 1)

    def count_tokens(self, text: str) -> int:
        """Tokens as litellm counts them for this model, offline: an estimate for those that publish no tokenizer."""
        return count_remote_tokens(self.model, text)

    def estimate_usd(self, messages: Sequence[Message], max_tokens: int) -> float | None:
        """Listed price of this prompt and the longest answer; None when none is listed."""
        tokens = count_remote_messages(self.model, [message["content"] for message in messages])
        return _price(self.model, tokens, max_tokens)

    def complete(self, messages: Sequence[Message], *, max_tokens: int) -> RawReply:
        """One try.

        Raises:
            InputError: no key. TerminalError: refused, or an answer that is none. TransientError: worth another try.
        """
        response = self._call("completion", **self._request(messages, max_tokens))
        choices = getattr(response, "choices", None) or []
        if not choices or getattr(choices[0], "message", None) is None:
            raise TerminalError(f"{self.model}: the answer has no choices; is api_base an OpenAI-compatible endpoint?")
        return self._raw_reply(response, text=choices[0].message.content or "", finish=choices[0].finish_reason)

    def stream(
        self, messages: Sequence[Message], *, max_tokens: int, beat_seconds: float | None = None
    ) -> Generator[str | RawReply, None, None]:
        """One try, in pieces. Raises as `complete`, after some pieces too, and TransientError for a stream that is cut.

        Closing it ends the connection, if the endpoint has begun to answer. A call that has no headers yet goes on by
        itself until it has, or its time is over; of such calls there are few (`_MOST_LEFT`), then TransientError.
        litellm does not hand on which model really answered: its name is the one that was asked for.
        """
        yield (
            yield from pieces_of(
                lambda line: self._take(line, messages, max_tokens), name=self.model, seconds=self._timeout,
                late=lambda: unanswered(self.model, self._timeout), beat_seconds=beat_seconds, wait_for_end=False,
                left_behind=self._left_behind,
            )
        )  # fmt: skip

    def _take(self, line: Line, messages: Sequence[Message], max_tokens: int) -> RawReply:
        """Put on the line what comes, until it ends or nobody wants it any more."""
        line.begin()
        chunks, parts, usage, finish = [], [], None, None
        seen: list[Opened] = []

        def opened(stream: Opened) -> None:
            seen.append(stream)
            line.hang_up_by(stream.hang_up)

        with closing(stream_litellm(**self._with_key(self._request(messages, max_tokens)), opened=opened)) as stream:
            for chunk in stream:
                if line.stop:
                    break
                chunks.append(chunk)
                usage = getattr(chunk, "usage", None) or usage
                for choice in getattr(chunk, "choices", None) or []:
                    finish = choice.finish_reason or finish
                    parts.append(choice.delta.content or "")
                    line.put(parts[-1])
        text = "".join(parts)
        if not seen[0].finished and (text or seen[0].is_stream):
            raise broke_off(self.model)
        if not text and not usage:
            raise TerminalError(
                f"{self.model}: the answer has no pieces; is api_base an OpenAI-compatible endpoint that streams?"
            )
        return self._raw_reply(_whole(chunks, usage), text=text, finish=finish)

    def _request(self, messages: Sequence[Message], max_tokens: int) -> dict[str, Any]:
        return {
            "messages": list(messages), "temperature": self._temperature, "max_tokens": max_tokens, "seed": self._seed,
        }  # fmt: skip

    def _raw_reply(self, response: Any, *, text: str, finish: str | None) -> RawReply:
        usage = getattr(response, "usage", None)
        prompt, completion = (int(getattr(usage, name, 0) or 0) for name in ("prompt_tokens", "completion_tokens"))
        return RawReply(
            text=text,
            model=str(getattr(response, "model", None) or self.model),
            prompt_tokens=prompt,
            completion_tokens=completion,
            cost_usd=_cost(response, self.model) if prompt else None,
            finish_reason=str(finish or "stop"),
        )


class RemoteEmbedder(_Remote):
    """An embedding model of litellm. Questions and passages are sent as they are, without prefixes."""

    is_local = False
    dense_weight = 0.6
    retries = 2
    backoff_seconds = 1.0

    def __init__(
        self, *, model: str, dimensions: int | None, api_base: str | None, api_key_env: str | None,
        timeout_seconds: float, budget: Budget | None, trusted_hosts: Collection[str] = (),
    ) -> None:  # fmt: skip
        super().__init__(
            model=model, api_base=api_base, api_key_env=api_key_env, timeout_seconds=timeout_seconds,
            trusted_hosts=trusted_hosts,
        )  # fmt: skip
        self.id = f"{model}{_address(api_base)}?dimensions={dimensions or 'default'}"
        self._asked = dimensions
        self._dimensions = dimensions
        self._budget = budget or Budget(per_run_usd=math.inf, per_query_usd=math.inf)
        self.spent_usd: float | None = 0.0
        """Dollars of all batches; None as soon as the price of one is unknown."""

    @property
    def dimensions(self) -> int:
        """As asked for, else as listed, else as the model answers to one word."""
        if self._dimensions is None:
            self._dimensions = self._listed("output_vector_size") or len(self._vectors(["dimensions"])[0])
        return self._dimensions

    @property
    def max_tokens(self) -> int:
        """As listed, else 512, which nearly every model can read."""
        return self._listed("max_input_tokens") or 512

    def count_tokens(self, text: str) -> int:
        """Tokens as litellm counts them for this model, offline: an estimate for those that publish no tokenizer."""
        return count_remote_tokens(self.model, text)

    def embed_passages(self, texts: Sequence[str], *, local_notes: Collection[str]) -> NDArray[np.float32]:
        """Vectors as the model gives them, (texts, dimensions); tried again after transient errors.

        Raises:
            TerminalError: there are `local_notes` and the texts would leave this machine. Nothing was sent.
        """
        refuse_local(local_notes, model=self.model, leaves=self.leaves_to)
        import numpy as np

        return np.asarray(self._vectors(texts), dtype=np.float32)

    def embed_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The same as for passages."""
        return self.embed_passages(texts, local_notes=())

    def _vectors(self, texts: Sequence[str]) -> list[list[float]]:
        return with_retries(lambda: self._try(texts), retries=self.retries, base_seconds=self.backoff_seconds)

    def _try(self, texts: Sequence[str]) -> list[list[float]]:
        # Providers refuse an empty text.
        said = [text if text.strip() else "-" for text in texts]
        tokens = sum(count_remote_tokens(self.model, text) for text in said)
        with self._budget.reserve(_price(self.model, tokens, 0), what=f"embedding {len(said)} texts") as money:
            asked = {} if self._asked is None else {"dimensions": self._asked}
            response = self._call("embedding", input=said, encoding_format="float", **asked)
            cost = _cost(response, self.model)
            money.settle(cost)
        self.spent_usd = None if cost is None or self.spent_usd is None else self.spent_usd + cost
        return _in_order(getattr(response, "data", None), len(said), self.model)

    def _listed(self, name: str) -> int | None:
        try:
            value = open_litellm().get_model_info(self.model).get(name)
        except Exception:  # litellm raises bare Exceptions for models that it does not list
            return None
        return int(value) if value else None


def _in_order(data: Any, count: int, model: str) -> list[list[float]]:
    """Vectors in the order of the texts: the interface allows any order and numbers them."""
    rows = [row if isinstance(row, dict) else vars(row) for row in data or []]
    numbers = [row.get("index", place) for place, row in enumerate(rows)]
    if sorted(numbers) != list(range(count)):
        raise TerminalError(
            f"{model}: {count} texts were sent and {len(rows)} vectors came back, numbered {numbers[:9]}"
        )
    vectors: list[list[float]] = [[]] * count
    for number, row in zip(numbers, rows, strict=True):
        vector = row.get("embedding")
        if not isinstance(vector, list) or not all(isinstance(x, (int, float)) for x in vector) or not vector:
            raise TerminalError(f"{model}: the vector of text {number} is no list of numbers")
        vectors[number] = vector
    if len({len(vector) for vector in vectors}) > 1:
        raise TerminalError(f"{model}: the vectors of one batch have different lengths")
    return vectors


def _whole(chunks: list[Any], usage: Any) -> Any:
    """A streamed answer as one that was not, for its price; `usage` is what the provider told, or None."""
    if usage is None:
        return None
    try:
        whole = open_litellm().stream_chunk_builder(chunks)
        whole.usage = usage
    except Exception:  # it stumbles over chunks that it does not know; the tokens are told all the same
        return SimpleNamespace(usage=usage)
    return whole


def _price(model: str, prompt_tokens: int, completion_tokens: int) -> float | None:
    try:
        costs = open_litellm().cost_per_token(
            model=model, prompt_tokens=prompt_tokens, completion_tokens=completion_tokens
        )
    except Exception:  # litellm raises bare Exceptions for models that it does not list
        return None
    return float(sum(costs))


def _cost(response: Any, model: str) -> float | None:
    """What the answer cost by litellm's list; unknown stays unknown, never 0."""
    try:
        cost = open_litellm().completion_cost(completion_response=response, model=model)
    except Exception:  # litellm raises bare Exceptions for models that it does not list
        return None
    return float(cost) if cost and math.isfinite(cost) else None
