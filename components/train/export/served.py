"""What llama.cpp says at chosen places of texts, with an adapter or without: log-probabilities of the next token."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.errors import TerminalError
from components.llm.gguf import read_metadata
from components.llm.llama_cpp import start_llama

__all__ = ["SHOWN", "Place", "Said", "served_logits"]

SHOWN = 64  # likeliest tokens that llama.cpp names
_SURE = 1e6  # added to a logit: this token it is


@dataclass(frozen=True)
class Place:
    """A text as ids, and the positions of those tokens that are to be said, each from all before it; none is 0."""

    ids: Sequence[int]
    places: Sequence[int]


@dataclass(frozen=True)
class Said:
    """At one place: log-probability of the token that stands there, and those of the likeliest ones by id."""

    actual: float
    likeliest: dict[int, float]


def served_logits(
    gguf: Path, texts: Sequence[Place], *, adapter: Path | None = None,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> list[Said]:  # fmt: skip
    """One `Said` for each place, in order.

    Args:
        gguf: the base model.
        texts: where to look.
        adapter: a LoRA adapter as GGUF.
        tell: called with how many places are done, and of how many.

    Raises:
        TerminalError: llama.cpp cannot load them, or says nothing.
    """
    longest = max(max(text.places) for text in texts)
    llama = _Llama(start_llama(gguf, context=longest + 2, adapter=adapter), tokens=_vocabulary(gguf))
    total = sum(len(text.places) for text in texts)
    found: list[Said] = []
    for text in texts:
        for place in text.places:
            found.append(llama.say(list(text.ids[:place]), int(text.ids[place])))
            tell(len(found), total)
    return found


def _vocabulary(gguf: Path) -> list[str]:
    tokens: list[str] = read_metadata(gguf)["tokenizer.ggml.tokens"]
    return tokens


class _Llama:
    def __init__(self, server: Any, *, tokens: Sequence[str]) -> None:
        self._server = server
        self._size = len(tokens)
        self._whole = tokens.index(".")

    def say(self, before: list[int], actual: int) -> Said:
        """One token after `before`, forced to be `actual`: what is told of it is its probability before that.

        llama.cpp tells nothing of a token that is only a part of a character: a full stop is forced there, and
        everything else is asked for.
        """
        told = self._ask(before, actual, shown=SHOWN)
        if told is None:
            told = self._ask(before, self._whole, shown=self._size)
        if told is None:
            raise TerminalError("llama.cpp told no probabilities")
        likeliest = {one["id"]: one["logprob"] for one in told["top_logprobs"]}
        said = told["logprob"] if told["id"] == actual else likeliest.get(actual)
        if said is None:
            raise TerminalError(f"llama.cpp said token {told['id']} where {actual} was asked for")
        return Said(said, likeliest)

    def _ask(self, before: list[int], forced: int, *, shown: int) -> dict[str, Any] | None:
        request = {
            "prompt": before, "n_predict": 1, "n_probs": shown, "temperature": 1.0, "cache_prompt": True,
            "logit_bias": [[forced, _SURE]],
        }  # fmt: skip
        reply = self._server.handle_completions(request)
        try:
            told = reply["choices"][0]["logprobs"]
            return told["content"][0] if told else None
        except (KeyError, IndexError, TypeError):
            raise TerminalError(f"llama.cpp did not answer: {str(reply)[:300]}") from None
