"""Tokens of a text as the sum of those of its words, each counted once: for tokenizers that never join two words."""

from __future__ import annotations

import re
from collections.abc import Callable

__all__ = ["WordCounts"]

# Letters, digits and signs that a tokenizer's normalisation leaves alone or changes within their word; no blank at the
# end, which can be a token of its own.
_PLAIN = re.compile("[!-~À-ÖØ-öø-ɏ°«»…–—‘’“”€ \n\t]*[^ \n\t]")
_MOST = 300_000  # words remembered: about 40 MB


class WordCounts:
    """Counts as `count` does, where that is exact word by word; else asks `count` for the whole.

    Exact for a SentencePiece Unigram vocabulary, in which a blank begins a piece and never stands within one. Not
    covered: texts of which two ways of cutting are equally likely to the last bit of a float.
    """

    def __init__(self, count: Callable[[str], int]) -> None:
        self._count = count
        self._known: dict[str, int] = {}

    def __call__(self, text: str) -> int:
        """Tokens of `text`."""
        if not _PLAIN.fullmatch(text):
            return self._count(text)
        if len(self._known) > _MOST:
            self._known.clear()
        known, total = self._known, 0
        for word in text.split():
            if word not in known:
                known[word] = self._count(word)
            total += known[word]
        return total
