"""The word triples of a text, and how many two texts share: near copies are found by them.

Broder, "On the resemblance and containment of documents", 1997. A triple is kept as the 64 bits of its hash: two
triples that share them count as one, which happens to one pair of texts in 10^14.
"""

from __future__ import annotations

import math
import re
from array import array
from dataclasses import dataclass

__all__ = ["Shingles", "words_of"]

_ROUNDING = 1e-6
_WORD = re.compile(r"\w+")


def words_of(text: str) -> list[str]:
    """The words of a text, without case."""
    return _WORD.findall(text.casefold())


@dataclass(frozen=True)
class Shingles:
    """Hashes of the distinct word triples of a text, ascending; they are of this process alone."""

    hashes: array[int]

    @classmethod
    def of(cls, text: str) -> Shingles:
        """Of a text; one of fewer than three words is one shingle."""
        words = words_of(text)
        triples = zip(words, words[1:], words[2:], strict=False) if len(words) > 2 else [tuple(words)]
        return cls(array("q", sorted(set(map(hash, triples)))))

    def prefix(self, alike: float) -> array[int]:
        """The first few: two texts that resemble each other by `alike` (0..1) share at least one of theirs.

        The prefix filter of set similarity joins (Chaudhuri, Ganti, Kaushik, ICDE 2006): such texts share at least
        `alike` of the larger one's triples, so that they cannot differ in all of so many, in one order for all.
        """
        count = len(self.hashes)
        return self.hashes[: count - math.ceil(alike * count - _ROUNDING) + 1]

    def resemblance(self, other: Shingles) -> float:
        """Triples of both among the triples of either, 0..1 (Jaccard)."""
        shared = len(set(self.hashes).intersection(other.hashes))
        return shared / (len(self.hashes) + len(other.hashes) - shared)
