"""Rules on text, given any value and texts made to keep a pattern busy."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

from chats import chat  # noqa: E402

from components.dataset.checks.italian import italian_hits  # noqa: E402
from components.dataset.checks.language import language_hits, language_of  # noqa: E402
from components.dataset.checks.private import private_hits  # noqa: E402
from components.dataset.checks.text import text_hits  # noqa: E402
from components.dataset.conversation import Conversation  # noqa: E402
from components.dataset.rules import RULES  # noqa: E402

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
PIECES = (
    "<think>", "</think>", "```", "\n", " ", "e' ", "perche'", "sono pronto", "[Nome]", "{{a}}", "\u200d", "Ã", "à",
    "<|im_end|>", "as an AI", "mi dispiace, non posso", "TODO:", "password: ", "a@b.it", "12345678", "的", "ha ",
    "copy code", "&amp;", "<div>", "\ud83d",
)  # fmt: skip
pieces = st.sampled_from(PIECES)
texts = st.text() | st.lists(pieces | st.text(max_size=4), max_size=12).map("".join)
roles = st.sampled_from(["human", "gpt", "system", "observation", "function_call", "tool"]) | values


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(roles, texts | values), max_size=4) | st.none(), texts | values, texts | values)
def test_no_value_is_too_odd(turns: list[tuple[Any, Any]] | None, system: Any, tools: Any) -> None:
    conversation = chat(*(turns or ()), system=system, tools=tools)
    if turns is None:
        conversation = Conversation(index=0, line=1, turns=None, system=system, tools=tools)
    for find in (text_hits, italian_hits, language_hits, private_hits):
        for hit in find(conversation):
            assert hit.rule in RULES and hit.message
            assert hit.turn is None or 0 <= hit.turn < len(turns or ())
            assert len(hit.message) < 300


HOSTILE = (
    "<", "{", "[", "a'", "a' ", " 'a", " ", "ha ", "\n", "`", "``` ", "```\n", "~~~\n", "<think>", "<tool_call>",
    "<|", "<|a", "[INST", "Ã", "Ã ", "â€", "@", "a@", "1", "1 ", "12345678 ", "sorry ", "sono ", "sono molto ",
    "pronto ", "AI ", '"', "«", "“", ">", "&", "&amp", "<div ", "[your ", "{{a ", "password=", "password aB3#fG7 ",
    "|", "| ", "的", "你好，", "\u200d", "👩\u200d", "\ufe0f", "\ud800", "\0", ". ", "A. ", "%", "=", "/", "a/",
    "aGVsbG8gd29ybGQK", "TODO ", "(TODO ", "Copy code\n", "x", "Xy7 ", "lorem ", "perche' ", "l'", "\\", "- ",
    "AKIA", "eyJ", "sk-ant-", ":", ",", "non posso ", "mi dispiace ", "\t",
)  # fmt: skip


@pytest.mark.parametrize("unit", HOSTILE, ids=ascii)
def test_hostile_texts_are_read_to_the_end(unit: str) -> None:
    """A pattern that runs away would not come back from these within the time that a test has."""
    text = unit * (100_000 // len(unit))
    conversation = chat(("human", text), ("gpt", f"{text}x"), ("observation", text))
    for find in (text_hits, italian_hits, language_hits, private_hits):
        assert all(len(hit.message) < 300 for hit in find(conversation))
    language_of(text)
