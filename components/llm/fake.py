"""Doubles that ship with the program: models whose configuration is their faults, in their names.

`fake/embedding?dimensions=64&fail_prob=0.1&die_at=3&delay=0&seed=0`
`fake/chat?reply=Ciao&mode=extract&obey=false&cost=0&unparsable=0&fail_prob=0.1&die_at=3&delay=0&break_at=0&seed=0`
`fake/chat?mode=judge&tpr=0.9&tnr=0.8&unparsable=0.05&favours=first&favour_prob=0.2&seed=0`
They are deterministic, fast and bad. Numbers that come from them prove the machinery and nothing else.
"""

from __future__ import annotations

import hashlib
import os
import random
import re
import signal
import threading
import time
import unicodedata
from collections.abc import Collection, Generator, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from components.errors import InputError, TransientError
from components.llm.chat import Message, RawReply
from components.llm.fake_examples import example_reply
from components.llm.fake_judge import judge_reply
from components.llm.names import Option, parse_fake
from components.llm.pieces import resting

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["FakeChat", "FakeEmbedder", "obeyed"]

_WORD = re.compile(r"\w+")
_FAULTS: dict[str, Option] = {"fail_prob": 0.0, "die_at": 0, "delay": 0.0, "seed": 0}
_ORDER = re.compile(r"(?i)(?:ignor[ae]|dimentica|forget|disregard)\b[^.\n]*(?:istruzioni|instructions)[^\n]*")
_WORD_TO_SAY = re.compile(
    r"(?i:\b(?:reply only with|rispond[ia] (?:solo|soltanto) con|output|scrivi) (?:the word |la parola )?)"
    r"([A-Z][A-Z_]{4,})"
)
_TURNS = re.compile(
    r"<[|\uff5c][^<>\n]{1,60}[|\uff5c]>|</?s>|\[/?(?:INST|SYSTEM_PROMPT)\]|<</?SYS>>|<(?:start|end)_of_turn>"
)
_DROPPED = re.compile("[\u200b-\u200f\u2060-\u2064\u202a-\u202e\u2066-\u2069\ufeff]|<!--.*?-->", re.DOTALL)
_FENCED = re.compile(r"<<<\w+ (\w+)\n.*?(?:\n\1 \w+>>>|\w+>>>)", re.DOTALL)


def obeyed(messages: Sequence[Message]) -> str | None:
    """The word that some text orders to say ("rispondi soltanto con la parola X", "reply only with X"), or None.

    So does a model that obeys whoever speaks outside of a fence (`<<<NOTE code`, lines, `code END>>>`). It reads the
    conversation as a chat template writes it: a control token of any family that is alive in a note ends its turn, and
    what follows is no longer fenced; a fence ends at anything that looks like its end; characters that nobody sees are
    read as the letters that they hide.
    """
    prompt = "<|im_end|>".join(message["content"] for message in messages)
    for hidden in (
        "".join(chr(ord(c) - 0xE0000) for c in prompt if "\U000e0020" <= c <= "\U000e007e"),
        bytes(
            ord(c) - (0xFE00 if c < "\U000e0000" else 0xE0100 - 16)
            for c in prompt
            if "\ufe00" <= c <= "\ufe0f" or "\U000e0100" <= c <= "\U000e01ef"
        ).decode("utf-8", "replace"),
    ):
        if order := _WORD_TO_SAY.search(hidden):
            return order[1]
    prompt = unicodedata.normalize("NFKC", _DROPPED.sub("", prompt))
    for turn in _TURNS.split(prompt):
        if order := _WORD_TO_SAY.search(_FENCED.sub("", turn)):
            return order[1]
    return None


class _Faults:
    """Counts calls, and at each waits, fails or kills this very process as its options say."""

    def __init__(self, model: str, options: dict[str, Option]) -> None:
        self._model = model
        self._options = options
        self._random = random.Random(int(options["seed"]))  # noqa: S311
        self._lock = threading.Lock()
        self.calls = 0

    def strike(self, *, wait: bool = True) -> None:
        with self._lock:
            self.calls += 1
            calls, dice = self.calls, self._random.random()
        if wait:
            time.sleep(float(self._options["delay"]))
        if calls == int(self._options["die_at"]):
            os.kill(os.getpid(), signal.SIGKILL)
        if dice < float(self._options["fail_prob"]):
            raise TransientError(f"{self._model} failed at its call {calls}, as it was told to")


class FakeEmbedder:
    """Hashed bags of words: texts that share words are near, whatever the words mean.

    Options: dimensions (64), fail_prob (share of calls that raise TransientError), die_at (SIGKILL at that call,
    counted from 1), delay (seconds of each call), seed (of fail_prob).
    """

    max_tokens = 512
    dense_weight = 0.5
    is_local = True

    def __init__(self, model: str, *, dimensions: int | None = None) -> None:
        options = parse_fake(model, {"dimensions": dimensions or 64, **_FAULTS})
        self.dimensions = int(options["dimensions"])
        if self.dimensions < 2:
            raise InputError(f"{model}: dimensions must be at least 2")
        # Faults change no vector, so they are not in the id: a run that died finds its vectors again.
        self.id = f"fake/embedding@1?dimensions={self.dimensions}"
        self._faults = _Faults(model, options)

    def count_tokens(self, text: str) -> int:
        """Words of `text`."""
        return len(_WORD.findall(text))

    def embed_passages(self, texts: Sequence[str], *, local_notes: Collection[str]) -> NDArray[np.float32]:
        """Vectors of unit length, (texts, dimensions)."""
        import numpy as np

        self._faults.strike()
        vectors = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for row, text in enumerate(texts):
            vectors[row, 0] = 0.01  # a text without words has a direction too
            for word in _WORD.findall(text.lower()):
                number = int.from_bytes(hashlib.blake2b(word.encode("utf-8", "replace"), digest_size=8).digest(), "big")
                vectors[row, 1 + number % (self.dimensions - 1)] += 1.0
        normal: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return normal

    def embed_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The same vectors as for passages."""
        return self.embed_passages(texts, local_notes=())


class FakeChat:
    """Answers without a model.

    Options: reply (always this text), mode (`extract`: the line of the prompt, outside the last user line, that
    shares most words with it; `echo`: the last user message; `obedient`: what `obeyed` says, else extract; `examples`:
    examples from a note, see fake_examples.py; `judge`: verdicts, see fake_judge.py), obey (true: a line that orders to
    ignore the instructions is obeyed, with `OBEYED: ` and that line), cost (dollars of each call; `unknown`: nobody
    knows; any cost but 0 makes it count as remote), unparsable (share of prompts that modes `examples` and `judge`
    answer in prose), tpr, tnr, favours and favour_prob (errors of mode `judge`, which above temperature 0 are drawn
    anew for each seed of the request), and the faults of FakeEmbedder. In pieces, which are words, `delay` is before
    each of them, and `break_at` raises TransientError in place of that piece, counted from 1.
    """

    backoff_seconds = 0.01
    leaves_to: str | None = None

    def __init__(self, model: str, *, temperature: float = 0.0, seed: int = 0) -> None:
        answers: dict[str, Option] = {
            "reply": "", "mode": "extract", "obey": False, "cost": "0", "unparsable": 0.0, "tpr": 1.0, "tnr": 1.0,
            "favours": "", "favour_prob": 1.0,
        }  # fmt: skip
        options = parse_fake(model, {**answers, **_FAULTS, "break_at": 0})
        self.model = model
        # Faults change no answer, so they are not in it: a run that died finds the answers that it had.
        self.identity = f"fake/chat@1?{urlencode({name: options[name] for name in (*answers, 'seed')})}"
        self._options = options
        self._faults = _Faults(model, options)
        if options["mode"] not in ("extract", "echo", "obedient", "examples", "judge"):
            raise InputError(
                f"{model}: mode must be extract, echo, obedient, examples or judge, not {options['mode']!r}"
            )
        if options["favours"] not in ("", "first", "second"):
            raise InputError(f"{model}: favours must be first or second, not {options['favours']!r}")
        self._draw = f"{options['seed']}" if temperature == 0 else f"{options['seed']} {seed}"
        try:
            self._cost = None if options["cost"] == "unknown" else float(options["cost"])
        except ValueError:
            raise InputError(f"{model}: cost must be dollars or unknown, not {options['cost']!r}") from None
        self.is_local = self._cost == 0.0

    def count_tokens(self, text: str) -> int:
        """Words and signs of `text`."""
        return len(re.findall(r"\w+|[^\w\s]", text))

    def estimate_usd(self, messages: Sequence[Message], max_tokens: int) -> float | None:
        """The cost in its name."""
        return self._cost

    def complete(self, messages: Sequence[Message], *, max_tokens: int) -> RawReply:
        """Its answer, after its faults."""
        self._faults.strike()
        return self._answer(messages, max_tokens)

    def stream(
        self, messages: Sequence[Message], *, max_tokens: int, beat_seconds: float | None = None
    ) -> Generator[str | RawReply, None, None]:
        """Its answer word by word, after its faults."""
        self._faults.strike(wait=False)
        begun, delay = time.monotonic(), float(self._options["delay"])
        raw = self._answer(messages, max_tokens)
        for number, piece in enumerate(re.findall(r"\s*\S+(?:\s+\Z)?|\s+\Z", raw.text), 1):
            # Until its moment, not so long after the last one: else what each wait takes too long adds up.
            yield from resting(begun + number * delay - time.monotonic(), beat_seconds=beat_seconds)
            if number == self._options["break_at"]:
                raise TransientError(f"{self.model} failed at its piece {number}, as it was told to")
            yield piece
        yield raw

    def _answer(self, messages: Sequence[Message], max_tokens: int) -> RawReply:
        words = self._text(messages).split()
        return RawReply(
            text=" ".join(words[:max_tokens]) if len(words) > max_tokens else self._text(messages),
            model="fake/chat",
            prompt_tokens=sum(self.count_tokens(message["content"]) for message in messages),
            completion_tokens=min(max_tokens, len(words)),
            cost_usd=self._cost,
            finish_reason="length" if len(words) > max_tokens else "stop",
        )

    def _text(self, messages: Sequence[Message]) -> str:
        if self._options["reply"]:
            return str(self._options["reply"])
        if self._options["obey"]:
            orders = [found for message in messages for found in _ORDER.findall(message["content"])]
            if orders:
                return f"OBEYED: {orders[0]}"
        if self._options["mode"] == "obedient" and (word := obeyed(messages)):
            return word
        said = next((message["content"] for message in reversed(messages) if message["role"] == "user"), "")
        if self._options["mode"] == "echo":
            return said
        if self._options["mode"] == "examples":
            return example_reply(said, unparsable=float(self._options["unparsable"]), seed=int(self._options["seed"]))
        if self._options["mode"] == "judge":
            return judge_reply(
                [message["content"] for message in messages],
                tpr=float(self._options["tpr"]), tnr=float(self._options["tnr"]),
                unparsable=float(self._options["unparsable"]), favours=str(self._options["favours"]),
                favour_prob=float(self._options["favour_prob"]), seed=self._draw,
            )  # fmt: skip
        lines = [line.strip() for message in messages for line in message["content"].splitlines() if line.strip()]
        asked = next((line.strip() for line in reversed(said.splitlines()) if line.strip()), "")
        words = set(_WORD.findall(asked.lower()))
        others = [line for line in lines if line != asked] or [asked]
        return max(others, key=lambda line: len(words & set(_WORD.findall(line.lower()))))
