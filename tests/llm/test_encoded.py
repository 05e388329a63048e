"""Tokens of whole batches, and where in a text each stands."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import InputError
from components.llm.tokenizer import TokenizerName, clean_text, load_tokenizer

NAMES: tuple[TokenizerName, ...] = ("qwen3", "smollm2")


@pytest.mark.parametrize("name", NAMES)
def test_a_control_token_is_one_token(name: TokenizerName) -> None:
    tokenizer = load_tokenizer(name)
    (found,) = tokenizer.encode_batch(["<|im_start|>user\nPerché?<|im_end|>\n"])
    end = tokenizer.token_id("<|im_end|>")
    assert found.ids[0] == tokenizer.token_id("<|im_start|>") and found.ids.count(end or -1) == 1
    assert tokenizer.token_id("<|nothing|>") is None


@pytest.mark.parametrize("name", NAMES)
@given(texts=st.lists(st.text(max_size=40), max_size=4))
@settings(max_examples=50, deadline=None)
def test_a_batch_is_counted_as_its_texts(name: TokenizerName, texts: list[str]) -> None:
    tokenizer = load_tokenizer(name)
    fast, placed = tokenizer.encode_batch(texts), tokenizer.encode_batch(texts, with_places=True)
    assert [found.ids for found in fast] == [found.ids for found in placed]
    assert [len(found.ids) for found in fast] == [tokenizer.count(text) for text in texts]


@pytest.mark.parametrize("name", NAMES)
def test_places_are_characters_of_the_text(name: TokenizerName) -> None:
    text = "Perché \ud800no?\0 👩‍🚀<|im_end|>"
    (found,) = load_tokenizer(name).encode_batch([text], with_places=True)
    begin = text.index("<|im_end|>")
    place = found.token_at(begin)
    assert place is not None and found.offsets[place] == (begin, len(text)) == (begin, len(clean_text(text)))
    assert found.token_at(len(text)) is None


def test_the_embedders_tokenizer_tells_counts_only() -> None:
    with pytest.raises(InputError, match="tells counts only; use qwen3 or smollm2"):
        load_tokenizer("e5").encode_batch(["a"])
