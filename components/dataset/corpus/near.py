"""Texts that are equal or nearly equal once folded: 5 letters in a row are a shingle, 0.8 of them in common is near.

MinHash (`components.sncp.minhash`) finds candidates without comparing all with all; each is then measured exactly, on
its text, which is kept folded in a temporary file.

**Not caught**: the same said in other words; a text that stands within a much longer one; texts of fewer than 5
letters, unless equal; pairs below 0.8. Of very many texts that are all alike not every pair is found, but each is
compared with the first of them and with those that are most like it. MinHash misses about one pair in 300 that is just
at 0.8, next to none that is more alike.
"""

from __future__ import annotations

import weakref
from array import array
from collections.abc import Iterable, Sequence
from functools import lru_cache
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, NamedTuple

from components.dataset.corpus.folded import SIZE, Folded, fold, windows
from components.sncp.minhash import candidates, distinct, jaccard, least, mixed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from components.dataset.conversation import Conversation

__all__ = ["ALIKE", "LONGEST", "Pair", "Texts", "clusters", "shingles", "spoken"]

ALIKE = 0.8
_BINS, _ROWS = 256, 8
"""32 bands of 8 bins: of pairs with 0.8 in common one in 350 shares no band; with 0.3, one in 500 shares one."""
_NEARLY = 0.71
"""Bins in common from which on a pair is measured: 3.6 standard errors (of 256 samples) below 0.8."""
_DENSE = 4 * _BINS
"""Hashes from which on next to no bin (2%) is empty."""
_CROWD, _NEIGHBOURS = 20, 3
_ENOUGH, _FAILED = 4, 3
"""A text is measured against those before it, the most alike first, until so many are near or so many are not."""
_IN_MEMORY = 64_000_000
_NO_LEVEL = 0xFF00FFFFFFFFFFFF
LONGEST = 200_000
"""Characters of a turn that are compared."""


class Pair(NamedTuple):
    """Two texts by their positions, `one` before `other`."""

    one: int
    other: int
    similarity: float


def shingles(codes: NDArray[np.uint32]) -> NDArray[np.uint64]:
    """The hashes of the shingles of a folded text, sorted, each once."""
    return distinct(mixed(windows(codes)))


class Texts:
    """Texts to be compared with each other: added once, then compared. Their positions count from 0."""

    def __init__(self) -> None:
        self._first: dict[bytes, int] = {}
        self._count = 0
        self._positions = array("q")  # of those that have a sketch
        self._sketches: list[NDArray[np.uint8]] = []
        self._file = SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - lives as long as this
        weakref.finalize(self, self._file.close)  # also where a check ends before its time
        self._places = array("q")  # of the same, in the file
        self._end = 0
        self._widths = array("b")

    def add(self, folded: Folded, spans: Iterable[tuple[int, int]], hashes: NDArray[np.uint64]) -> list[int | None]:
        """Add the texts at these spans.

        Gives for each the position of the first text that is equal, its own where none is before it; None for an empty
        one, which is equal to nothing. `hashes`: `mixed(windows(folded.codes))`, computed once for all that need it.
        """
        import numpy as np

        firsts: list[int | None] = []
        new: list[bytes] = []
        for start, end in spans:
            position = self._count
            self._count += 1
            if start == end:
                firsts.append(None)
                continue
            first = self._first.setdefault(folded.digest(start, end), position)
            firsts.append(first)
            if first == position and end - start >= SIZE:
                new.append(least(np.sort(_dense(hashes[start : end - SIZE + 1])), bins=_BINS))
                self._positions.append(position)
                self._keep(*folded.packed(start, end))
        self._sketches.append(np.frombuffer(b"".join(new), dtype=np.uint8).reshape(len(new), _BINS))
        return firsts

    def add_all(self, texts: Sequence[str]) -> list[int | None]:
        """`add` for texts that are not folded yet."""
        firsts: list[int | None] = []
        for at in range(0, len(texts), 64):
            folded = fold(texts[at : at + 64])
            spans = list(zip(folded.starts, folded.ends, strict=True))
            firsts += self.add(folded, spans, mixed(windows(folded.codes)))
        return firsts

    def pairs(self, *, apart: int = 0) -> list[Pair]:
        """Pairs from `ALIKE` on, equal ones left out (only the first of equal texts is in a pair), in order.

        `apart`: so many of the first texts are a set of their own: they are not compared with each other, and are
        preferred where a text has more candidates than it is measured against.
        """
        import numpy as np

        if len(self._positions) < 2:
            return []
        sketches = np.concatenate(self._sketches)
        self._sketches = [sketches]
        found = candidates(sketches, rows=_ROWS, nearly=_NEARLY, crowd=_CROWD, neighbours=_NEIGHBOURS)
        positions = np.frombuffer(self._positions, dtype=np.int64)
        found = found[positions[found[:, 1]] >= apart]
        common = [
            (sketches[some[:, 0]] == sketches[some[:, 1]]).sum(axis=1)
            for some in np.array_split(found, len(found) // 10_000 + 1)
        ]
        own = (positions[found[:, 0]] >= apart).astype(np.int64)
        found = found[np.lexsort((found[:, 0], -np.concatenate(common), own, found[:, 1]))]
        read = lru_cache(maxsize=512)(self._shingles)
        pairs = []
        of, near, failed = -1, 0, 0
        rank = np.arange(len(found)) - np.searchsorted(found[:, 1], found[:, 1])
        for one, other in found[rank < _ENOUGH + _FAILED].tolist():
            if other != of:
                of, near, failed = other, 0, 0
            if near == _ENOUGH or failed == _FAILED:
                continue
            similarity = jaccard(read(one), read(other), at_least=ALIKE)
            if similarity >= ALIKE:
                near += 1
                pairs.append(Pair(self._positions[one], self._positions[other], similarity))
            else:
                failed += 1
        return sorted(pairs, key=lambda pair: (pair.other, pair.one))

    def close(self) -> None:
        """Remove the temporary file."""
        self._file.close()

    def _keep(self, width: int, data: bytes) -> None:
        self._widths.append(width)
        self._places.append(self._end)
        self._end += len(data)
        self._file.write(data)

    def _shingles(self, at: int) -> NDArray[np.uint64]:
        import numpy as np

        end = self._places[at + 1] if at + 1 < len(self._places) else self._end
        self._file.seek(self._places[at])
        data = self._file.read(end - self._places[at])
        return shingles(np.frombuffer(data, dtype=f"u{self._widths[at]}").astype(np.uint32))


def spoken(conversation: Conversation) -> str:
    """What is compared of a conversation: the text of all its turns but the system's, which many have in common."""
    return "\n".join(turn.text[:LONGEST] for turn in conversation.turns or () if turn.role != "system")


def _dense(hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Enough hashes to fill all bins, however short the text: each again and again, mixed anew at each level.

    Within a bin those of the first level are the least, so that texts with different numbers of levels compare.
    """
    import numpy as np

    if len(hashes) >= _DENSE:
        return hashes & np.uint64(_NO_LEVEL)
    levels = min(-(-_DENSE // len(hashes)), 255)
    again = [hashes, mixed(np.add.outer(np.arange(1, levels, dtype=np.uint64) << np.uint64(32), hashes)).ravel()]
    level = np.repeat(np.arange(levels, dtype=np.uint64) << np.uint64(48), len(hashes))
    return np.concatenate(again) & np.uint64(_NO_LEVEL) | level


def clusters(n: int, links: Iterable[tuple[int, int]]) -> list[int]:
    """For each of `n` things the first of those that it is linked with, directly or through others."""
    parents = list(range(n))

    def root(at: int) -> int:
        while parents[at] != at:
            parents[at] = at = parents[parents[at]]
        return at

    for one, other in links:
        a, b = root(one), root(other)
        parents[max(a, b)] = min(a, b)
    return [root(at) for at in range(n)]
