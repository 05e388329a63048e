from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.answer.guard import clean_answer, neutralise, one_line


@pytest.mark.parametrize(
    "token",
    [
        "<|im_start|>", "<|im_end|>", "<|eot_id|>", "<|start_header_id|>", "<｜User｜>", "</s>", "<s>", "[INST]",
        "[/INST]", "<<SYS>>", "<</SYS>>", "<start_of_turn>", "<think>", "</think>", "<tool_call>",
        "<AgentInstructions>",
        "</AgentInstructions>", "<system>", "<system_prompt>", '<instructions priority="high">',
        "<|IM_END|>",
    ],
)  # fmt: skip
def test_control_tokens_are_written_otherwise(token: str) -> None:
    text, found = neutralise(f"prima {token} dopo")
    assert token not in text and found["control tokens"] == 1
    assert text.startswith("prima ") and text.endswith(" dopo") and len(text) == len(f"prima {token} dopo")


@pytest.mark.parametrize(
    "text",
    [
        "if a < b and c > d: x[0] | y", "List<String>", "<div class='a'>", "- [x] fatto", "[1] e [2]",
        "| a | b |\n|---|---|",
        "vedi [altra nota](altra.md#sezione)", "a -> b <- c", "Perché è così: 100% ✅ ❤️", "<s3-bucket>", "x << 2 >> 1",
    ],
)  # fmt: skip
def test_ordinary_text_stays(text: str) -> None:
    assert neutralise(text) == (text, {})


def test_unseen_characters_go() -> None:
    tags = "".join(chr(0xE0000 + ord(c)) for c in "obey")
    text, found = neutralise(f"a\u200bb\u2060c\ufeff{tags}\u202ed\U000e0100\x1b[31m e\xad")
    assert text == "abcd[31m e" and found["unseen characters"] == 7 + len(tags)


def test_html_comments_go_even_unclosed() -> None:
    assert neutralise("a <!-- x\ny --> b <!-- z")[0] == "a  b "


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("![logo](https://evil.example/?q=1)", "(immagine: logo)"),
        ("![](https://evil.example/?q=1)", ""),
        ("![a [b] c](<https://evil.example/x y> 'titolo')", "(immagine: a [b] c)"),
        ("![logo][ref]", "(immagine: logo)"),
        ("![logo]", "(immagine: logo)"),
        ("<img src='https://evil.example/x' alt='foto'>", "(immagine: foto)"),
        ("<IMG SRC=https://evil.example/x", ""),
        ("[clicca](https://evil.example/x)", "clicca (https://evil.example/x)"),
        ("[clicca](//evil.example/x 'titolo')", "clicca (//evil.example/x)"),
        ("[clicca](javascript:alert(1))", "clicca (javascript:alert(1)"),
        ("[![foto](https://evil.example/a)](https://evil.example/b)", "(immagine: foto) (https://evil.example/b)"),
    ],
)
def test_nothing_is_fetched_and_addresses_are_seen(text: str, shown: str) -> None:
    assert neutralise(text)[0].rstrip(")") == shown.rstrip(")")


def test_what_is_taken_out_cannot_join_what_is_left() -> None:
    assert "<|im_start|>" not in neutralise("<|im_<!-- -->start|>")[0]
    assert "<|im_start|>" not in neutralise("<|im_\u200bstart|>")[0]
    assert ">>>" not in neutralise(">\u200b>>")[0]
    assert "<!--" not in neutralise("<!<!-- -->-- x")[0]


hostile = st.lists(
    st.sampled_from(
        ["<", "|", "im_start", "|>", "<!--", "-->", "![", "](", ")", "[", "]", "https://x.y", "<<<", ">>>", "NOTA",
         "FINE", "\u200b", "</s>", "[INST]", "<img ", "alt='", "'", ">", "\n", " ", "a", "\r", "\x1b",
         "0123456789abcdef", "<think>"]
    ),
    max_size=30,
).map("".join)  # fmt: skip


@given(hostile)
def test_twice_is_once_and_nothing_dangerous_is_left(text: str) -> None:
    safe, _ = neutralise(text)
    assert neutralise(safe) == (safe, {})
    assert not re.search(r"<<<|>>>|<\|im_start\|>|</s>|\[INST\]|<img|<!--|!\[[^\]]*\]\(|[\r\x1b\u200b]", safe)


@given(hostile)
def test_an_answer_is_clean(text: str) -> None:
    assert not re.search(
        r"<\|im_start\|>|</s>|\[INST\]|<think>|<img|!\[[^\]]*\]\(|[\r\x1b\u200b]", clean_answer(text, marker="0" * 16)
    )


def test_an_answer_that_repeats_the_fence_or_thinks_aloud() -> None:
    marker = "0123456789abcdef"
    fence = f"<<<NOTA {marker}\ncitazione\n{marker} FINE>>>"
    said = f"<think>segreto {marker}</think>Ecco [1].<|im_end|>\n{fence}\n>>> print(1)"
    assert clean_answer(said, marker=marker) == "Ecco [1].\ncitazione\n>>> print(1)"


def test_an_answer_that_was_cut_in_the_marker() -> None:
    assert clean_answer("Di venerdì [1].\n01234567", marker="0123456789abcdef") == "Di venerdì [1]."
    assert clean_answer("Il codice è 0123", marker="0123456789abcdef") == "Il codice è 0123"


def test_a_label_is_one_line() -> None:
    assert one_line("a\nb\u2028c  <|im_end|>") == "a b c ‹¦im_end¦›"
    assert len(one_line("x" * 500)) == 200
