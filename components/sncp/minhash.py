"""MinHash of one permutation: sketches of sets of hashes, pairs of sketches that seem alike, similarity measured.

Broder, "On the resemblance and containment of documents", 1997; Li, Owen, Zhang, "One permutation hashing", NIPS 2012.
A set is given as the sorted, distinct hashes of its members (uint64, evenly spread: `mixed`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["candidates", "distinct", "jaccard", "least", "mixed"]


def mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Each value as if it were random (the finaliser of splitmix64, Steele, Lea, Flood, OOPSLA 2014)."""
    import numpy as np

    values = values ^ (values >> np.uint64(30))  # a copy; from here on in place
    values *= np.uint64(0xBF58476D1CE4E5B9)
    values ^= values >> np.uint64(27)
    values *= np.uint64(0x94D049BB133111EB)
    values ^= values >> np.uint64(31)
    return values


def distinct(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The values sorted, each once: `numpy.unique`, several times as fast (it hashes integers since numpy 2.3)."""
    import numpy as np

    values = np.sort(values)
    return values[np.append(True, values[1:] != values[:-1])] if len(values) else values


def least(hashes: NDArray[np.uint64], *, bins: int = 64) -> bytes:
    """The sketch of a set that is not empty: a byte for each bin (a power of two of them), of its least hash.

    The share of bytes that two sketches have in common is about the similarity of the sets. An empty bin borrows from
    the next that is not.
    """
    import numpy as np

    begins = np.arange(bins, dtype=np.uint64) << np.uint64(64 - bins.bit_length() + 1)  # first bits: the bin
    found = hashes[hashes.searchsorted(begins) % len(hashes)]
    return found.astype(np.uint8).tobytes()  # last bits: the first are those of the bin


def candidates(
    sketches: NDArray[np.uint8], *, rows: int, nearly: float, crowd: int, neighbours: int = 0
) -> NDArray[np.int64]:
    """Pairs (n x 2, in order, each once, the smaller first) of sketches that share a band and are nearly alike.

    `sketches`: one a row, all of as many bins. `rows`: 4 or 8, bins of a band; more: fewer pairs that are not alike,
    and fewer that are. `nearly`: the share of bins that a pair must have in common.

    `crowd`: of sketches that all share a band, the first so many are paired with each other. The others are paired
    with the first, and with so many `neighbours` in the order of the bands that follow, so that a crowd costs time in
    proportion. Pairs that are alike only among these others may be missed.
    """
    import numpy as np

    n, bins = sketches.shape
    # A band takes bins that are far from each other: neighbours may have borrowed the same value.
    bands = sketches.reshape(n, rows, bins // rows).transpose(0, 2, 1).copy().view(f"u{rows}")[:, :, 0]
    codes = np.empty(0, dtype=np.int64)
    for at in range(bands.shape[1] if n > 1 else 0):
        found = [codes]
        for pairs in _of_a_band(bands, at, crowd, neighbours):
            one, other = np.minimum(*pairs), np.maximum(*pairs)
            for start in range(0, len(one), 10_000):
                some, others = one[start : start + 10_000], other[start : start + 10_000]
                common = (sketches[some] == sketches[others]).mean(axis=1)
                found.append((some * n + others)[common >= nearly])
        codes = np.sort(np.concatenate(found))
        codes = codes[np.append(True, codes[1:] != codes[:-1])] if len(codes) else codes
    return np.stack([codes // max(n, 1), codes % max(n, 1)], axis=1)


def _of_a_band(
    bands: NDArray[np.unsignedinteger], at: int, crowd: int, neighbours: int
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """(positions, positions) that have this band in common."""
    import numpy as np

    order = np.argsort(bands[:, at], kind="stable")
    begins, rank = _runs(bands[order, at])
    sizes = np.diff(np.append(begins, len(order)))
    pairs = []
    for lag in range(1, min(crowd, int(sizes.max(initial=0)))):
        places = np.flatnonzero((rank >= lag) & (rank < crowd))
        pairs.append((order[places - lag], order[places]))
    late = np.flatnonzero(rank >= crowd)
    if len(late):
        pairs.append((order[late - rank[late]], order[late]))
        if neighbours:
            inside = np.flatnonzero(np.repeat(sizes > crowd, sizes))
            following = [bands[order[inside], (at + step) % bands.shape[1]] for step in (3, 2, 1)]
            group = np.repeat(np.arange(len(begins)), sizes)[inside]
            again = order[inside][np.lexsort((*following, group))]
            for lag in range(1, neighbours + 1):
                same = group[lag:] == group[:-lag]
                pairs.append((again[:-lag][same], again[lag:][same]))
    return pairs


def _runs(values: NDArray[np.unsignedinteger]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(where each run of equal values begins, the rank of each value within its run)."""
    import numpy as np

    changes = np.concatenate([[True], values[1:] != values[:-1]])
    begins = np.flatnonzero(changes)
    return begins, np.arange(len(values)) - begins[np.cumsum(changes) - 1]


def jaccard(one: NDArray[np.uint64], other: NDArray[np.uint64], *, at_least: float = 0.0) -> float:
    """The share of members that both sets have; 0 where their sizes alone say that it is below `at_least`."""
    import numpy as np

    if min(len(one), len(other)) < at_least * max(len(one), len(other)):
        return 0.0
    both = len(np.intersect1d(one, other, assume_unique=True))
    return both / (len(one) + len(other) - both)
