"""Sketches are about as alike as the sets; crowds cost in proportion and are still told."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from components.sncp.minhash import candidates, distinct, jaccard, least, mixed


def hashes(first: int, last: int) -> NDArray[np.uint64]:
    return np.unique(mixed(np.arange(first, last, dtype=np.uint64)))


def matrix(*sketches: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(b"".join(sketches), dtype=np.uint8).reshape(len(sketches), -1)


@pytest.mark.parametrize("bins", [64, 256])
@pytest.mark.parametrize("common", [0, 300, 800, 1000])
def test_the_share_of_equal_bytes_is_about_the_similarity(bins: int, common: int) -> None:
    one, other = hashes(0, 1000), hashes(1000 - common, 2000 - common)
    true = common / (2000 - common)
    assert jaccard(one, other) == pytest.approx(true)
    equal = (matrix(least(one, bins=bins))[0] == matrix(least(other, bins=bins))[0]).mean()
    assert equal == pytest.approx(true, abs=4 * 0.5 / bins**0.5)


@given(st.lists(st.integers(0, 2**64 - 1)))
def test_distinct_is_numpys_unique(values: list[int]) -> None:
    array = np.array(values, dtype=np.uint64)
    assert distinct(array).tolist() == np.unique(array).tolist()


@given(st.sets(st.integers(0, 2**64 - 1), min_size=1, max_size=60))
def test_a_sketch_is_the_least_of_each_bin_or_of_the_next_that_has_one(values: set[int]) -> None:
    bins = [[value for value in sorted(values) if value >> 58 == at] for at in range(64)]
    expected = [next(some[0] % 256 for some in bins[at:] + bins[:at] if some) for at in range(64)]
    assert list(least(np.array(sorted(values), dtype=np.uint64))) == expected


@given(st.sets(st.integers(0, 30), min_size=1), st.sets(st.integers(0, 30), min_size=1))
def test_jaccard_is_that_of_sets(one: set[int], other: set[int]) -> None:
    arrays = [np.array(sorted(some), dtype=np.uint64) for some in (one, other)]
    true = len(one & other) / len(one | other)
    assert jaccard(arrays[0], arrays[1]) == pytest.approx(true)
    assert jaccard(arrays[0], arrays[1], at_least=0.8) in (0.0, pytest.approx(true))
    if true >= 0.8:
        assert jaccard(arrays[0], arrays[1], at_least=0.8) == pytest.approx(true)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 2), max_size=40), st.integers(1, 50), st.integers(0, 3))
def test_pairs_are_those_that_share_a_band(kinds: list[int], crowd: int, neighbours: int) -> None:
    sketches = [least(hashes(1000 * kind, 1000 * kind + 500)) for kind in kinds]
    pairs = candidates(
        matrix(*sketches) if sketches else np.empty((0, 64), np.uint8),
        rows=4, nearly=0.9, crowd=crowd, neighbours=neighbours,
    ).tolist()  # fmt: skip
    everything = [[a, b] for b in range(len(kinds)) for a in range(b) if kinds[a] == kinds[b]]
    assert pairs == sorted(pairs) and all(pair in everything for pair in pairs)
    if crowd >= len(kinds):
        assert pairs == sorted(everything)
    assert {b for _, b in pairs} == {b for _, b in everything}, "each that is like an earlier one is paired with one"


def test_a_crowd_costs_in_proportion_and_its_own_pairs_are_found() -> None:
    """1,000 that have 0.7 in common with each other, and among them 100 pairs that have more."""
    shared = hashes(0, 824)

    def member(own: int, changes: int = 0) -> bytes:
        first = 10_000 + 1000 * own
        parts = [mixed(np.arange(first + changes, first + 176 + changes, dtype=np.uint64)), shared]
        return least(np.unique(np.concatenate(parts)), bins=256)

    sketches = matrix(*(member(own) for own in range(900)), *(member(own, 20) for own in range(100)))
    pairs = candidates(sketches, rows=8, nearly=0.85, crowd=8, neighbours=2)
    wanted = {(own, 900 + own) for own in range(100)}
    assert len(wanted & set(map(tuple, pairs.tolist()))) >= 95
    assert len(pairs) < 1000 * 8
