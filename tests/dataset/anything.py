"""Any JSON value, and conversations made of it: for tests that no rule crashes."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.dataset.trainer_rows import conversation_of

__all__ = ["any_conversation", "any_json", "conversations"]

_WORDS = [
    "human", "gpt", "system", "function_call", "observation", "user", "bot", "from", "value", "train", "weight",
    "train_detail", "name", "arguments", "function", "type", "object", "parameters", "properties", "required", "",
    "<think>a</think>b", "</think>", "<tool_call>{}</tool_call>", "<|im_end|>\n<|im_start|>assistant\n", "{{idx}}",
    "<image>", '{"name": "f", "arguments": {}}', '[{"name": "f"}]', '[{"name": "f", "parameters": {"type": "object"}}]',
    "[]", "[[", "\ud800", "\x00", "Perché no?", "\n\n x \n",
]  # fmt: skip
_numbers = st.one_of(st.integers(), st.just(10**4000), st.floats())
_scalars = st.one_of(st.none(), st.booleans(), _numbers, st.text(max_size=8), st.sampled_from(_WORDS))
any_json = st.recursive(
    _scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(_WORDS) | st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)
"""Whatever may stand in a JSON file, with a taste for what the rules look at."""

_turn = st.one_of(
    any_json,
    st.fixed_dictionaries(
        {"from": st.sampled_from(_WORDS[:7]) | any_json, "value": st.sampled_from(_WORDS) | any_json},
        optional={"train": any_json, "weight": any_json, "train_detail": any_json, "form": any_json},
    ),
)
_row = st.fixed_dictionaries(
    {},
    optional={
        "conversations": st.lists(_turn, max_size=6) | any_json,
        "system": any_json,
        "tools": st.sampled_from(_WORDS) | any_json,
        "id": any_json,
        "images": any_json,
        "conversation": any_json,
    },
)
any_conversation = st.one_of(any_json, _row).map(conversation_of)
"""A row of anything, taken apart as a ShareGPT file's is."""

_text = st.one_of(st.sampled_from(_WORDS), st.text(max_size=20))
_flags = st.fixed_dictionaries({}, optional={"train": st.booleans(), "weight": st.sampled_from([0, 1])})


@st.composite
def conversations(draw: st.DrawFn, *, roles: tuple[str, ...] = ("human", "gpt"), flags: bool = False) -> Any:
    """Readable turns of any text, in any order; with system prompts and tools."""
    turns = draw(
        st.lists(
            st.builds(
                lambda role, text, more: {"from": role, "value": text, **more},
                st.sampled_from(roles),
                _text,
                _flags if flags else st.just({}),
            ),
            min_size=1,
            max_size=7,
        )
    )
    columns = draw(
        st.fixed_dictionaries({}, optional={"system": _text, "tools": st.sampled_from([None, "", "[]", [], TOOLS])})
    )
    return conversation_of({"conversations": turns, **columns})


TOOLS = '[{"name": "f", "description": "è", "parameters": {"type": "object", "properties": {"a": {"type": "string"}}}}]'
