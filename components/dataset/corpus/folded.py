"""Texts folded for comparison: without case, punctuation and white space; many at once, as numbers of letters."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["SIZE", "Folded", "fold", "windows"]

SIZE = 5
"""Letters in a row that make a shingle."""
_SPACE = 32
_LETTERS_END = 0x33480  # beyond it Unicode has marks and tags only
_PIECE = 2_000  # marks out of order cost their number squared in NFC


@dataclass(frozen=True)
class Folded:
    """Texts, one behind the other with a space between. `codes[starts[i]:ends[i]]`: the i-th, maybe empty."""

    codes: NDArray[np.uint32]
    starts: list[int]
    ends: list[int]
    narrow: NDArray[np.uint8] | None
    """The codes, where each of them is a byte, as in most texts of this side of the world."""

    def codes_of(self, at: int) -> NDArray[np.uint32]:
        """The text at a position."""
        return self.codes[self.starts[at] : self.ends[at]]

    def span(self, first: int, last: int) -> tuple[int, int]:
        """Where the texts from `first` to before `last` begin and end, as one text."""
        starts, ends = self.starts, self.ends
        while first < last and starts[first] == ends[first]:
            first += 1
        while first < last and starts[last - 1] == ends[last - 1]:
            last -= 1
        return (starts[first], ends[last - 1]) if first < last else (0, 0)

    def packed(self, start: int, end: int) -> tuple[int, bytes]:
        """(bytes a code, all of them): as few as the text between these places needs."""
        if self.narrow is not None:
            return 1, self.narrow[start:end].tobytes()
        codes = self.codes[start:end]
        most = int(codes.max(initial=0))
        width = 1 if most < 1 << 8 else 2 if most < 1 << 16 else 4
        return width, codes.astype(f"u{width}").tobytes()

    def digest(self, start: int, end: int) -> bytes:
        """17 bytes that are equal for equal text only."""
        width, data = self.packed(start, end)
        return blake2b(data, digest_size=16).digest() + bytes([width])


def fold(texts: Sequence[str]) -> Folded:
    """NFC, casefolded; whatever is no letter, digit or mark is a space; no two spaces in a row, none at the edges."""
    import numpy as np

    plain = [text.casefold() if text.isascii() else _composed(text).casefold() for text in texts]
    joined = "\n".join(["", *plain, ""])
    codes = _letters()[np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)]
    space = codes == _SPACE
    keep = np.append(False, ~(space[1:] & space[:-1]))
    kept = np.append(0, np.cumsum(keep))
    ends = np.cumsum([len(text) + 1 for text in plain], dtype=np.int64)
    starts = kept[ends - np.array([len(text) for text in plain], dtype=np.int64)]
    ends = kept[ends]
    codes = codes[keep]
    ends -= (ends > starts) & (codes[ends - 1] == _SPACE) if len(codes) else 0
    narrow = codes.astype(np.uint8) if codes.max(initial=0) < 256 else None
    return Folded(codes, starts.tolist(), ends.tolist(), narrow)


def windows(values: NDArray[np.uint32] | NDArray[np.uint64], *, step: int = 1) -> NDArray[np.uint64]:
    """A hash for each `SIZE` values that are `step` apart, at the place of the first; not mixed."""
    import numpy as np

    n = max(len(values) - (SIZE - 1) * step, 0)
    total = values[:n].astype(np.uint64)
    for at in range(step, SIZE * step, step):
        total *= np.uint64(0x9E3779B97F4A7C15)
        total += values[at : at + n]
    return total


def _composed(text: str) -> str:
    if len(text) <= _PIECE:
        return unicodedata.normalize("NFC", text)
    return "".join(unicodedata.normalize("NFC", text[at : at + _PIECE]) for at in range(0, len(text), _PIECE))


@cache
def _letters() -> NDArray[np.uint32]:
    """Code -> itself, or a space where it is no part of a word."""
    import numpy as np

    table = np.full(0x110000, _SPACE, dtype=np.uint32)
    words = [at for at in range(_LETTERS_END) if (c := chr(at)).isalnum() or unicodedata.category(c)[0] == "M"]
    table[words] = words
    return table
