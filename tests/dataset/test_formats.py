"""Formats: each is found, read as ShareGPT, told once, and written back; plain ShareGPT is left as it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.dataset.conversation import MISSING, Conversation
from components.dataset.files.formats import Conversions, detect_format, to_conversation, to_sharegpt
from components.dataset.files.reading import Reader
from components.dataset.findings import Hit

CALL = {"id": "c1", "type": "function", "function": {"name": "meteo", "arguments": '{"città": "Roma"}'}}
WRITTEN = '{"name": "meteo", "arguments": {"città": "Roma"}}'
HERMES = f"<tool_call>\n{WRITTEN}\n</tool_call>"


def convert(row: Any, format_: str | None = None) -> tuple[Conversation, list[Hit]]:
    return to_conversation(row, index=3, line=7, format=format_ or detect_format([row]))


def turns(row: Any, format_: str | None = None) -> list[tuple[Any, Any]]:
    return [(turn.role, turn.value) for turn in convert(row, format_)[0].turns or ()]


QA = [("human", "q"), ("gpt", "a")]


@pytest.mark.parametrize(
    ("row", "format_", "expected"),
    [
        pytest.param({"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]},
                     "sharegpt", QA, id="sharegpt"),
        pytest.param({"messages": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]},
                     "sharegpt-variant", QA, id="sharegpt-under-messages"),
        pytest.param({"conversation": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]},
                     "sharegpt-variant", QA, id="sharegpt-under-conversation"),
        pytest.param({"conversations": [{"from": "user", "value": "q"}, {"from": "assistant", "value": "a"}]},
                     "sharegpt-variant", QA, id="llama-factory-tags"),
        pytest.param({"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": HERMES},
                                        {"from": "tool", "value": '<tool_response>\n{"t": 9}\n</tool_response>'},
                                        {"from": "gpt", "value": "a"}]},
                     "sharegpt-variant",
                     [QA[0], ("function_call", WRITTEN), ("observation", '{"t": 9}'), QA[1]], id="hermes"),
        pytest.param({"conversations": [{"from": "human", "value": "q"},
                                        {"from": "gpt", "value": f"<think>\nmh\n</think>\n{HERMES}\n{HERMES}"},
                                        {"from": "tool", "value": "1"}, {"from": "tool", "value": "due"},
                                        {"from": "gpt", "value": "a"}]},
                     "sharegpt-variant",
                     [QA[0], ("function_call", f"<think>\nmh\n</think>\n\n[{WRITTEN}, {WRITTEN}]"),
                      ("observation", '[1, "due"]'), QA[1]], id="hermes-parallel-with-thought"),
        pytest.param({"messages": [{"role": "developer", "content": "s"}, {"role": "user", "content": "q"},
                                   {"role": "assistant", "content": "a"}]},
                     "openai", [("system", "s"), *QA], id="openai"),
        pytest.param({"conversations": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]},
                     "openai", QA, id="openai-under-conversations"),
        pytest.param({"messages": [{"role": "user", "content": [{"type": "text", "text": "q"}]},
                                   {"role": "assistant", "content": [{"type": "text", "text": "a"}, {"text": "b"}]}]},
                     "openai", [QA[0], ("gpt", "ab")], id="openai-parts"),
        pytest.param({"messages": [{"role": "user", "content": "q"},
                                   {"role": "assistant", "content": None, "tool_calls": [CALL]},
                                   {"role": "tool", "tool_call_id": "c1", "content": '{"t": 9}'},
                                   {"role": "assistant", "content": "a", "tool_calls": None}]},
                     "openai",
                     [QA[0], ("function_call", WRITTEN), ("observation", '{"t": 9}'), QA[1]], id="openai-tools"),
        pytest.param({"messages": [{"role": "user", "content": "q"},
                                   {"role": "assistant", "content": "", "tool_calls": [CALL, CALL]},
                                   {"role": "tool", "content": '{"t": 9}'}, {"role": "tool", "content": "due"},
                                   {"role": "assistant", "content": "a"}]},
                     "openai",
                     [QA[0], ("function_call", f"[{WRITTEN}, {WRITTEN}]"), ("observation", '[{"t": 9}, "due"]'), QA[1]],
                     id="openai-parallel-calls"),
        pytest.param({"messages": [{"role": "user", "content": "q"},
                                   {"role": "assistant", "function_call": CALL["function"], "content": None},
                                   {"role": "function", "name": "meteo", "content": "9"},
                                   {"role": "assistant", "content": "a"}]},
                     "openai", [QA[0], ("function_call", WRITTEN), ("observation", "9"), QA[1]], id="openai-legacy"),
        pytest.param({"messages": [{"role": "user", "content": "q"},
                                   {"role": "assistant", "content": "guardo", "tool_calls": [CALL]}]},
                     "openai", [QA[0], ("gpt", f"guardo\n{HERMES}")], id="openai-text-beside-a-call"),
        pytest.param({"messages": [{"role": "user", "content": "q"},
                                   {"role": "assistant", "reasoning_content": "mh", "content": "a"}]},
                     "openai", [QA[0], ("gpt", "<think>\nmh\n</think>\n\na")], id="openai-reasoning"),
        pytest.param({"prompt": [{"role": "user", "content": "q"}],
                      "completion": [{"role": "assistant", "content": "a"}]},
                     "openai", QA, id="trl-prompt-completion"),
        pytest.param({"instruction": "q", "input": "", "output": "a"}, "alpaca", QA, id="alpaca"),
        pytest.param({"instruction": "q", "input": "i", "output": "a", "history": [["x", "y"]]},
                     "alpaca", [("human", "x"), ("gpt", "y"), ("human", "q\ni"), ("gpt", "a")], id="alpaca-history"),
        pytest.param({"query": "q", "response": "a", "history": [["x", "y"]]},
                     "prompt-response", [("human", "x"), ("gpt", "y"), *QA], id="swift"),
        pytest.param({"prompt": "q", "completion": "a"}, "prompt-response", QA, id="prompt-completion"),
        pytest.param({"conversation": [{"human": "q", "assistant": "a"}, {"human": "q", "assistant": "a"}]},
                     "pairs", QA * 2, id="human-assistant"),
    ],
)  # fmt: skip
def test_every_format_is_read_as_sharegpt(row: Any, format_: str, expected: list[tuple[str, str]]) -> None:
    assert detect_format([row]) == format_
    conversation, hits = convert(row)
    assert [(turn.role, turn.value) for turn in conversation.turns or ()] == expected
    assert hits == []
    assert conversation.converted == (None if format_ == "sharegpt" else format_)
    assert (conversation.index, conversation.line, conversation.raw) == (3, 7, row)
    written = to_sharegpt(conversation)
    assert detect_format([written]) == "sharegpt"
    assert turns(written) == expected


def test_plain_sharegpt_is_not_touched() -> None:
    row = {
        "stage": "foundation", "conversations": [{"value": "q", "from": "human", "weight": 1}, {"from": "bot"}, 5],
        "tools": None, "id": 7, "system": "s",
    }  # fmt: skip
    conversation, hits = convert(row)
    assert (hits, conversation.converted) == ([], None)
    assert (conversation.system, conversation.tools, conversation.id) == ("s", None, 7)
    assert conversation.extra == {"stage": "foundation"}
    first, second, third = conversation.turns or ()
    assert (first.role, first.value, first.extra) == ("human", "q", {"weight": 1})
    assert (second.role, second.value) == ("bot", MISSING)
    assert (third.role, third.value, third.raw) == (MISSING, MISSING, 5)
    assert json.dumps(to_sharegpt(conversation)) == json.dumps(row)


def test_columns_are_carried_over() -> None:
    row = {"id": "a", "instruction": "q", "output": "a", "system": "s", "tools": [{"name": "è"}], "source": "n.md"}
    conversation, _ = convert(row)
    assert to_sharegpt(conversation) == {
        "id": "a", "system": "s", "conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}],
        "tools": '[{"name": "è"}]', "source": "n.md",
    }  # fmt: skip


def test_pictures_stay_beside_their_marks() -> None:
    parts = [{"type": "text", "text": "che vedi?"}, {"type": "image_url", "image_url": {"url": "gatto.png"}}]
    conversation, hits = convert({"messages": [{"role": "user", "content": parts}]})
    written = to_sharegpt(conversation)
    assert written["conversations"] == [{"from": "human", "value": "che vedi?<image>"}]
    assert written["images"] == ["gatto.png"]
    assert hits == []


def test_a_part_that_is_no_text_is_told_and_stays() -> None:
    parts = [{"type": "file", "file": "a.pdf"}]
    row = {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": parts}]}
    conversation, hits = convert(row)
    assert [(hit.rule, hit.turn) for hit in hits] == [("A6", 1)]
    assert (conversation.turns or ())[1].value == parts


@pytest.mark.parametrize("role", ["bot", "chatgpt", "model", "bing", 5, None, ["user"]])
def test_roles_that_no_dialect_has_stay_as_they_are(role: Any) -> None:
    assert turns({"messages": [{"role": role, "content": "x"}, {"role": "user", "content": "y"}]})[0] == (role, "x")
    assert turns({"conversations": [{"from": role, "value": "x"}, {"from": "user", "value": "y"}]})[0] == (role, "x")


def test_a_row_that_is_not_like_the_rest_of_its_file() -> None:
    openai = {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}
    conversation, hits = convert(openai, "sharegpt")
    assert turns(openai, "sharegpt") == QA
    assert conversation.converted == "openai"
    assert [hit.rule for hit in hits] == ["A6", "B1"]
    assert "the row is OpenAI messages, the rest of the file ShareGPT" in hits[0].message
    # In a file of plain ShareGPT a turn of `user` is dropped by LLaMA-Factory: left for B6, which is an error.
    user = {"conversations": [{"from": "user", "value": "q"}, {"from": "gpt", "value": "a"}]}
    assert turns(user, "sharegpt") == [("user", "q"), ("gpt", "a")]
    # Roles of tools are mixed into plain files by Hermes.
    tool = {
        "conversations": [
            {"from": "human", "value": "q"},
            {"from": "gpt", "value": HERMES},
            {"from": "tool", "value": "1"},
        ]
    }
    assert turns(tool, "sharegpt") == [("human", "q"), ("function_call", WRITTEN), ("observation", "1")]
    assert [hit.rule for hit in convert(tool, "sharegpt")[1]] == ["A6"]


def test_a_file_speaks_another_dialect_where_more_than_a_few_rows_do() -> None:
    plain = {"conversations": [{"from": "human", "value": "q"}]}
    other = {"conversations": [{"from": "human", "value": "q"}, {"from": "tool", "value": "1"}]}
    assert detect_format([plain] * 60 + [other]) == "sharegpt"
    assert detect_format([plain] * 10 + [other]) == "sharegpt-variant"
    assert detect_format([]) == detect_format([1, "x", None, {}]) == "sharegpt"


def test_text_around_a_call_stays_text() -> None:
    for value in (
        f"Guardo.\n{HERMES}",
        f"{HERMES}\nfatto",
        "<tool_call>\nnon JSON\n</tool_call>",
        "parla di <tool_call>",
    ):
        assert turns({"conversations": [{"from": "gpt", "value": value}]}) == [("gpt", value)]


def test_a_file_is_told_once_with_what_is_lost() -> None:
    row = {
        "messages": [
            {"role": "assistant", "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "c1", "content": "1"},
        ]
    }
    conversions = Conversions()
    for _ in range(3):
        conversions.add(convert(row)[0])
    conversions.add(convert({"conversations": []})[0])
    [hit] = conversions.finish()
    assert hit.rule == "A6"
    assert "OpenAI messages, not ShareGPT: 3 rows were converted" in hit.message
    assert "tool_call_id: 3" in hit.message and "tool_calls.id: 3" in hit.message
    assert Conversions().finish() == []


def test_the_real_files(shared: Path) -> None:
    for name, format_, told in (
        ("glaive_toolcall_en_demo.json", "sharegpt", 0), ("conversation.json", "sharegpt", 0),
        ("conversation.missingturns.json", "sharegpt", 0), ("identity_alpaca.json", "alpaca", 1),
    ):  # fmt: skip
        rows = list(Reader(shared / "data" / "sharegpt" / name))
        assert detect_format(row.value for row in rows) == format_
        conversions = Conversions()
        for row in rows:
            conversation, hits = to_conversation(row.value, index=row.index, line=row.line, format=format_)
            conversions.add(conversation)
            assert hits == []
            if format_ == "alpaca":
                assert [turn.role for turn in conversation.turns or ()] == ["human", "gpt"]
            else:
                assert to_sharegpt(conversation) == row.value
        assert len(conversions.finish()) == told


KEYS = st.sampled_from(
    ["conversations", "messages", "conversation", "from", "value", "role", "content", "type", "text", "image_url",
     "url", "tool_calls", "function_call", "function", "name", "arguments", "tools", "functions", "system", "id",
     "history", "instruction", "input", "output", "prompt", "completion", "query", "response", "human", "assistant",
     "train", "reasoning_content"]
)  # fmt: skip
WORDS = st.sampled_from(["user", "assistant", "human", "gpt", "tool", "text", "function_call", HERMES, "{}", "[1]", ""])
VALUES = st.recursive(
    WORDS | st.none() | st.booleans() | st.integers() | st.text(st.characters(codec=None), max_size=3),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(KEYS, below, max_size=4),
    max_leaves=25,
)
TURN = st.dictionaries(KEYS, VALUES, max_size=4) | VALUES
CHATS = st.dictionaries(KEYS, st.lists(TURN, max_size=4) | VALUES, max_size=4)


@settings(deadline=None)  # files are written, on a machine that may be busy
@given(
    CHATS | VALUES, st.sampled_from(["sharegpt", "sharegpt-variant", "openai", "alpaca", "pairs", "prompt-response"])
)
def test_any_json_is_a_conversation(row: Any, format_: str) -> None:
    detect_format([row])
    conversation, hits = convert(row, format_)
    assert conversation.raw is row
    assert {hit.rule for hit in hits} <= {"A6", "B1"}
    written = to_sharegpt(conversation)
    json.dumps(written)
    assert conversation.converted is None or isinstance(written["conversations"], list)
    conversions = Conversions()
    conversions.add(conversation)
    assert len(conversions.finish()) == (conversation.converted is not None)
