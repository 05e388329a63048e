"""Messages and rendered texts: the joined text is the template's own, and jinja is set up as transformers does."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest
from hypothesis import given, settings

from components.dataset.checks.templates import (
    Message,
    Template,
    TemplateError,
    TemplateName,
    load_template,
    to_messages,
    to_row,
)
from components.dataset.conversation import ROLES, Conversation
from components.errors import InputError
from tests.dataset.anything import TOOLS, any_conversation, conversations
from tests.dataset.trainer_rows import conversation, conversation_of

NAMES = get_args(TemplateName)
ASK, ANSWER = ("human", "Ciao?"), ("gpt", "Eccomi.")


@pytest.mark.parametrize("name", NAMES)
@given(row=conversations(roles=ROLES))
@settings(max_examples=200, deadline=None)
def test_joined_text_is_the_templates_own(name: TemplateName, row: Conversation) -> None:
    template = load_template(name)
    rendered, by_jinja = template.render(row), template.render_with_jinja(row)
    assert rendered.text == by_jinja.text and list(rendered.messages) == list(by_jinja.messages)


@pytest.mark.parametrize("name", NAMES)
@given(row=conversations(roles=("system", "human", "gpt", "gpt")))
@settings(max_examples=200, deadline=None)
def test_plain_conversations_too(name: TemplateName, row: Conversation) -> None:
    template = load_template(name)
    assert template.render(row).text == template.render_with_jinja(row).text


@pytest.mark.parametrize("name", NAMES)
def test_which_conversations_need_no_jinja(name: TemplateName) -> None:
    template = load_template(name)
    assert template.render(conversation(("system", "Sei Nora."), ASK, ANSWER, ASK, ANSWER, tools="[]")).plain
    assert not template.render(conversation(ASK, ANSWER, tools=TOOLS)).plain
    assert not template.render(conversation(ASK, ("function_call", "{}"))).plain


def test_qwen3_renders_a_tool_conversation() -> None:
    call = '<think>\nGuardo.\n</think>\n\n{"name": "f", "arguments": {"a": "è", "b": null}}'
    row = conversation(ASK, ("function_call", call), ("observation", "30"), ANSWER, system="Sei Nora.", tools=TOOLS)
    text = load_template("qwen3").render(row).text
    assert text.startswith("<|im_start|>system\nSei Nora.\n\n# Tools\n")
    assert '\n{"type": "function", "function": {"name": "f", "description": "è", ' in text
    assert (
        "<|im_start|>assistant\n<think>\nGuardo.\n</think>\n\n<tool_call>\n"
        '{"name": "f", "arguments": {"a": "è", "b": null}}\n</tool_call><|im_end|>\n'
        "<|im_start|>user\n<tool_response>\n30\n</tool_response><|im_end|>\n"
        "<|im_start|>assistant\n<think>\n\n</think>\n\nEccomi.<|im_end|>\n"
    ) in text


def test_smollm2_adds_its_own_system_prompt() -> None:
    template = load_template("smollm2")
    text = template.render(conversation(ASK, ANSWER)).text
    assert "named SmolLM" in template.default_system
    assert text == (
        f"<|im_start|>system\n{template.default_system}<|im_end|>\n"
        "<|im_start|>user\nCiao?<|im_end|>\n<|im_start|>assistant\nEccomi.<|im_end|>\n"
    )
    assert not template.takes_tools and load_template("qwen3").takes_tools


def test_messages_of_every_role() -> None:
    parallel = '[{"name": "f", "arguments": {"a": 1}}, {"name": "g", "arguments": "{}"}]'
    row = conversation(ASK, ("function_call", parallel), ("observation", "1"), ANSWER, system="Sei Nora.")
    assert to_messages(row) == [
        Message("system", "Sei Nora.", None),
        Message("user", "Ciao?", 0),
        Message("assistant", "", 1, (("f", {"a": 1}), ("g", {}))),
        Message("tool", "1", 2),
        Message("assistant", "Eccomi.", 3),
    ]
    assert to_messages(row)[2].to_dict()["tool_calls"][0] == {
        "type": "function",
        "function": {"name": "f", "arguments": {"a": 1}},
    }


@pytest.mark.parametrize(
    ("row", "roles"),
    [
        (conversation(("system", "a"), ASK, ANSWER, system="b"), ["system", "user", "assistant"]),
        (conversation(ASK, ANSWER, system=""), ["user", "assistant"]),
        (conversation(ASK, ANSWER, system=5), ["user", "assistant"]),
        (conversation(ASK, ("bot", "x")), ["user", "bot"]),
        (conversation(ASK, ("function_call", "broken")), ["user", "assistant"]),
    ],
    ids=["turn before column", "empty column", "column of no text", "unknown role", "broken call"],
)
def test_messages_of_odd_rows(row: Conversation, roles: list[str]) -> None:
    assert [message.role for message in to_messages(row)] == roles


def test_a_row_for_axolotl_holds_json_as_text() -> None:
    call = '{"name": "f", "arguments": {"a": null, "b": "è"}}'
    flagged = {"from": "gpt", "value": "Fatto.", "weight": 0}
    parts = {"from": "gpt", "value": "Eccomi.", "train_detail": [{"begin_offset": 0, "end_offset": 2, "train": True}]}
    turns = [{"from": "human", "value": "?"}, {"from": "function_call", "value": call}, flagged, parts]
    row = to_row(conversation_of({"conversations": turns, "tools": TOOLS}))
    assert row["messages"][1]["tool_calls"][0]["function"] == {"name": "f", "arguments": '{"a": null, "b": "è"}'}
    assert row["messages"][2]["train"] is False and "train" not in row["messages"][3]
    assert row["messages"][3]["train_detail"] == parts["train_detail"]
    assert json.loads(row["tools"])[0]["function"] == json.loads(TOOLS)[0]
    assert "tools" not in to_row(conversation(ASK, ANSWER, tools="[]"))


def test_tojson_escapes_nothing() -> None:
    template = Template(name="qwen3", source="{{ messages[0] | tojson }}{{ messages[0].content | tojson(indent=2) }}")
    assert template.render_with_jinja(conversation(("human", "<a href='è'>"))).text == (
        '{"role": "user", "content": "<a href=\'è\'>"}"<a href=\'è\'>"'
    )


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("{{ raise_exception('Roles must alternate') }}", "the template qwen3 refuses it: Roles must alternate"),
        ("{{ messages[9].content + '' }}", "the template qwen3 refuses it"),
        ("{{ messages.append(1) }}", "the template qwen3 refuses it"),
        ("{{ ''.__class__.__mro__ }}", "the template qwen3 refuses it"),
    ],
    ids=["raises", "undefined", "changes what it was given", "reaches out"],
)
def test_a_template_may_refuse(source: str, words: str) -> None:
    with pytest.raises(TemplateError, match=words):
        Template(name="qwen3", source=source).render_with_jinja(conversation(ASK, ANSWER))


def test_the_date_of_a_template() -> None:
    template = Template(name="qwen3", source="{{ strftime_now('%Y') }}{% for i in [1, 2] %}{% break %}{% endfor %}")
    assert int(template.render_with_jinja(conversation(ASK, ANSWER)).text) >= 2026


def test_a_template_of_another_name() -> None:
    name: Any = "llama"
    with pytest.raises(InputError, match="known: qwen3, smollm2"):
        load_template(name)


@given(any_conversation)
@settings(max_examples=150)
def test_rows_and_messages_of_whatever_value(row: Conversation) -> None:
    assert len(to_row(row)["messages"]) == len(to_messages(row))
