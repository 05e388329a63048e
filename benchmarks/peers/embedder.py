"""The embedder that every contestant is given: hashed bags of words, counted, made to fail when a case asks for it.

It needs the standard library and numpy alone, as it runs in the environment of each contestant.
"""

from __future__ import annotations

import re
import time
import zlib
from collections.abc import Sequence
from typing import Any

DIMENSIONS = 64
_WORD = re.compile(r"\w+")


class BrokenError(Exception):
    """The embedder failed, as it was told to."""


class HashedEmbedder:
    """Texts that share words are near. `texts`, `calls` and `seconds` say what was asked of it."""

    def __init__(self, *, fail: bool = False) -> None:
        self._fail = fail
        self._places: dict[str, int] = {}
        self.texts = 0
        self.calls = 0
        self.seconds = 0.0

    def embed(self, texts: Sequence[str]) -> Any:
        """Vectors of unit length, (texts, DIMENSIONS), float32. Raises BrokenError where it was told to fail."""
        import numpy as np

        if self._fail:
            raise BrokenError("the embedder failed, as it was told to")
        began = time.perf_counter()
        vectors = np.zeros((len(texts), DIMENSIONS), dtype=np.float32)
        for row, text in enumerate(texts):
            vectors[row, 0] = 0.01  # a text without words has a direction too
            for word in _WORD.findall(text.lower()):
                place = self._places.get(word)
                if place is None:
                    place = 1 + zlib.crc32(word.encode("utf-8", "replace")) % (DIMENSIONS - 1)
                    self._places[word] = place
                vectors[row, place] += 1.0
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        self.texts += len(texts)
        self.calls += 1
        self.seconds += time.perf_counter() - began
        return vectors

    @staticmethod
    def count_tokens(text: str) -> int:
        """Words of a text."""
        return len(_WORD.findall(text))
