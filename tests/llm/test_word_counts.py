"""Counting by words gives what the engine counts, on all real notes and on any words."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from components.index.plain import plain_line
from components.llm.local_embedder import E5Embedder, load_e5
from components.llm.word_counts import WordCounts


@pytest.fixture(scope="module")
def e5() -> E5Embedder:
    return load_e5()


@pytest.mark.slow
def test_equal_on_every_line_of_the_real_notes(e5: E5Embedder, shared: Path) -> None:
    lines: set[str] = set()
    for file in (shared / "data" / "sncp").rglob("*.md"):
        text = file.read_text(encoding="utf-8")
        lines |= {plain_line(line) for line in text.splitlines()}
        lines |= {section for section in text.split("\n#")[::9] if len(section) < 2_000}
    wrong = [line for line in lines if e5.count_tokens(line) != e5._engine_tokens(line)]
    assert len(lines) > 15_000
    assert wrong == []


@given(st.text(st.sampled_from("abcèàÈìÀŁß019 .,;:!?'\"()[]{}<>|*_#-=+/\\@€…–—‘’“”«»°\n\t "), max_size=60))
@example("parola ")
@example(" \n parola")
@example("")
@example("…")
def test_equal_on_any_words(text: str) -> None:
    e5 = load_e5()
    assert e5.count_tokens(text) == e5._engine_tokens(text)


@given(st.text(max_size=40))
def test_equal_on_any_text(text: str) -> None:
    e5 = load_e5()
    assert e5.count_tokens(text) == e5._engine_tokens(text)


def test_a_word_is_counted_once() -> None:
    asked: list[str] = []

    def count(text: str) -> int:
        asked.append(text)
        return len(text.split())

    counts = WordCounts(count)
    assert [counts("il mare e il cielo"), counts("il cielo\ne il mare"), counts("漢字 il")] == [5, 5, 2]
    assert asked == ["il", "mare", "e", "cielo", "漢字 il"]
