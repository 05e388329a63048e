"""Notes and sections that say nearly the same: found by MinHash, told with the one that holds.

Five words in a row are a shingle; the similarity of two texts is the share of their shingles that both have (Jaccard).
MinHash (`components.sncp.minhash`) finds candidates without comparing all with all; each is then measured exactly.

**Not caught**: the same said in other words; a note that stands whole within a much longer one (its sections are found
where they are `MIN_WORDS` long and have kept their bounds); texts below `MIN_WORDS`; pairs below about 0.8, on purpose;
of very many texts that are all alike, pairs beyond `_CROWD` in one place.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from components.sncp.metadata import outside_fences
from components.sncp.minhash import candidates, distinct, jaccard, least, mixed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from components.sncp.document import Document

__all__ = ["MIN_WORDS", "NearDuplicate", "Sketch", "Sketches", "near_duplicates"]

MIN_WORDS = 40
_ALIKE = 0.8
_SHINGLE = 5
_ROWS = 4
"""16 bands of 4 bins: of pairs with 0.8 in common one in 5,000 shares no band."""
_NEARLY = 0.62
"""Bins in common from which on a pair is measured: 3.6 standard errors (of 64 samples) below 0.8."""
_CROWD = 30
_WORD = re.compile(r"\w+")
_HEADING = re.compile(r"#{1,6}\s")


@dataclass(frozen=True)
class NearDuplicate:
    """Two texts that are nearly the same.

    `keep` holds rather than `other`: it replaces it, or is current, or newer, or has the shorter path. Lines are
    1-based and inclusive. `what`: "note" or "section"; sections of notes that are nearly the same are not told again.
    """

    what: str
    similarity: float
    """0.8..1, share of common shingles."""
    keep: str
    keep_lines: tuple[int, int]
    other: str
    other_lines: tuple[int, int]
    why: str
    """Why `keep` is kept, for people."""

    def to_dict(self) -> dict[str, Any]:
        """JSON values only."""
        return {**asdict(self), "keep_lines": list(self.keep_lines), "other_lines": list(self.other_lines)}


class Sketch(NamedTuple):
    """A note or a section of it, for finding what is like it without reading it again."""

    first: int
    last: int
    least: bytes
    """MinHash: a byte of the least shingle in each of 64 bins; the share that two texts have in common is about theirs.
    """

    def to_json(self) -> list[Any]:
        """JSON values only."""
        return [self.first, self.last, self.least.hex()]

    @classmethod
    def all_from_json(cls, values: Sequence[Any]) -> list[Sketch]:
        """The inverse of `to_json`, for those of one document."""
        return [cls(first, last, bytes.fromhex(found)) for first, last, found in values]


Sketches = Mapping[str, Sequence[Sketch]]
"""`content_hash` of a document -> the sketch of the whole, then of its sections; empty for a short one."""


def near_duplicates(
    documents: Sequence[Document], *, known: Sketches | None = None
) -> tuple[list[NearDuplicate], dict[str, Sequence[Sketch]]]:
    """(pairs of notes, then of sections of different notes, most alike first; the sketches of all documents).

    Exact duplicates are one document already; equal sections of different notes are told. A text whose sketch is
    `known` is read again only where something seems to be like it.
    """
    words = _Words()
    before = known or {}
    sketches: dict[str, Sequence[Sketch]] = {}
    for document in documents:
        key = document.content_hash
        sketches[key] = before[key] if key in before else _sketches(document.text, words)
    wholes = [(at, sketch) for at, document in enumerate(documents) for sketch in sketches[document.content_hash][:1]]
    parts = [(at, sketch) for at, document in enumerate(documents) for sketch in sketches[document.content_hash][1:]]
    notes = _alike(wholes, documents, words, told=set())
    sections = _alike(parts, documents, words, told={frozenset((one[0], other[0])) for one, other, _ in notes})
    return [
        _told(what, documents[one[0]], one[1], documents[other[0]], other[1], similarity)
        for what, pairs in (("note", notes), ("section", sections))
        for one, other, similarity in pairs
    ], sketches


class _Words(dict[str, int]):
    """Word -> its hash, computed once, however often it comes."""

    def __missing__(self, word: str) -> int:
        value = self[word] = zlib.crc32(word.encode()) << 32 | zlib.adler32(word.encode())
        return value

    def hashes(self, text: str) -> NDArray[np.uint64]:
        """A hash for each word, in order."""
        import numpy as np

        return mixed(np.array(list(map(self.__getitem__, _WORD.findall(text.casefold()))), dtype=np.uint64))


def _shingles(words: NDArray[np.uint64]) -> NDArray[np.uint64] | None:
    """Sorted, distinct hashes of each five words in a row; None for a text that is too short."""
    import numpy as np

    if len(words) < MIN_WORDS:
        return None
    total = np.zeros(len(words) - _SHINGLE + 1, dtype=np.uint64)
    for at in range(_SHINGLE):
        total = total * np.uint64(0x9E3779B97F4A7C15) + words[at : len(words) - _SHINGLE + 1 + at]
    return distinct(mixed(total))


def _sections(lines: Sequence[str]) -> Iterator[tuple[int, int, str]]:
    """(first line, last line, text) of what is before the first heading, then from each to the next, headings too."""
    starts = [at for at, line in outside_fences(lines) if _HEADING.match(line)]
    bounds = sorted({0, *starts, len(lines)})
    for start, end in zip(bounds, bounds[1:], strict=False):
        yield start + 1, end, "\n".join(lines[start:end])


def _sketches(text: str, words: _Words) -> list[Sketch]:
    import numpy as np

    parts = list(_sections(text.rstrip().split("\n")))
    rows = [words.hashes(part) for _, _, part in parts]
    whole = _shingles(np.concatenate(rows))
    if whole is None:
        return []
    sections = [
        Sketch(first, last, least(own))
        for (first, last, _), row in zip(parts, rows, strict=True)
        if (own := _shingles(row)) is not None
    ]
    return [Sketch(1, parts[-1][1], least(whole)), *(sections if len(parts) > 1 else [])]


Part = tuple[int, Sketch]
"""(position of the document, the whole or a section of it)"""


def _alike(
    parts: Sequence[Part], documents: Sequence[Document], words: _Words, *, told: Collection[frozenset[int]]
) -> list[tuple[Part, Part, float]]:
    """Pairs from 0.8 on, most alike first; none within one document or of two that are `told`."""
    read: dict[int, NDArray[np.uint64]] = {}

    def shingles(at: int) -> NDArray[np.uint64]:
        if at not in read:
            place, sketch = parts[at]
            lines = documents[place].text.split("\n")[sketch.first - 1 : sketch.last]
            own = _shingles(words.hashes("\n".join(lines)))
            assert own is not None, "what has a sketch is long enough"  # noqa: S101
            read[at] = own
        return read[at]

    found = []
    for one, other in _candidates([sketch.least for _, sketch in parts]):
        both = frozenset((parts[one][0], parts[other][0]))
        if len(both) < 2 or both in told:
            continue
        similarity = jaccard(shingles(one), shingles(other), at_least=_ALIKE)
        if similarity >= _ALIKE:
            found.append((parts[one], parts[other], similarity))
    return sorted(found, key=lambda pair: -pair[2])


def _candidates(sketches: Sequence[bytes]) -> list[tuple[int, int]]:
    """Pairs of positions whose sketches are nearly as alike as they should be."""
    import numpy as np

    if len(sketches) < 2:
        return []
    rows = np.frombuffer(b"".join(sketches), dtype=np.uint8).reshape(len(sketches), -1)
    return [(one, other) for one, other in candidates(rows, rows=_ROWS, nearly=_NEARLY, crowd=_CROWD).tolist()]


def _told(
    what: str, one: Document, one_part: Sketch, other: Document, other_part: Sketch, similarity: float
) -> NearDuplicate:
    kept_first, why = _holds(one, other)
    if not kept_first:
        one, one_part, other, other_part = other, other_part, one, one_part
    return NearDuplicate(
        what=what,
        similarity=round(similarity, 3),
        keep=one.path,
        keep_lines=(one_part.first, one_part.last),
        other=other.path,
        other_lines=(other_part.first, other_part.last),
        why=why,
    )


def _holds(one: Document, other: Document) -> tuple[bool, str]:
    """Whether the first of two holds rather than the second, and why."""
    for first, keep, left in ((True, one, other), (False, other, one)):
        if set(left.paths) & set(keep.supersedes):
            return first, "it replaces the other"
    for first, keep, left in ((True, one, other), (False, other, one)):
        if keep.status == "current" != left.status:
            return first, f"the other is {left.status}"
    if one.date and other.date and one.date != other.date:
        return one.date > other.date, "it is newer"
    return (len(one.path), one.path) <= (len(other.path), other.path), "its path is shorter"
