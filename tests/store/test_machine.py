"""What the machine has and refuses, in words."""

from __future__ import annotations

import pytest

from components.store import bytes_in_words


@pytest.mark.parametrize(
    ("size", "words"), [(0, "0 B"), (999, "999 B"), (1500, "2 kB"), (34_000_000, "34 MB"), (2_340_000_000, "2.3 GB")]
)
def test_sizes_in_words(size: int, words: str) -> None:
    assert bytes_in_words(size) == words
