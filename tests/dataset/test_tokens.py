"""Tokens and what carries loss, with the real tokenizers; D2-D7."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.dataset.checks.placing import place_messages
from components.dataset.checks.templates import TemplateName, load_template
from components.dataset.checks.tokens import Measured, Measurer
from components.dataset.conversation import ROLES, Conversation
from components.dataset.rules import RULES
from components.errors import InputError
from components.llm.tokenizer import load_tokenizer
from tests.dataset.anything import TOOLS, any_conversation, conversations
from tests.dataset.trainer_rows import conversation, conversation_of

ASK, ANSWER = ("human", "Ciao?"), ("gpt", "Eccomi.")
CALL = ("function_call", '{"name": "f", "arguments": {"a": "x"}}')
THOUGHT = "<think>\nUno più uno.\n</think>\n\nDue."


@pytest.fixture(scope="module")
def qwen3() -> Measurer:
    return Measurer(template="qwen3")


@pytest.fixture(scope="module")
def smollm2() -> Measurer:
    return Measurer(template="smollm2")


def trained_text(measurer: Measurer, row: Conversation) -> str:
    """The tokens that carry loss, as they stand in the rendered text."""
    found = measurer.mask(row)
    assert found is not None
    text = measurer._template.render(row).text
    offsets = measurer._encode(text).offsets
    return "".join(text[slice(*offsets[place])] for place in found[1])


def told(measured: Measured) -> list[tuple[str, int | None]]:
    return [(hit.rule, hit.turn) for hit in measured.hits]


TRAINED: dict[str, tuple[Conversation, str]] = {
    "one answer": (conversation(ASK, ANSWER), "Eccomi.<|im_end|>"),
    "two answers": (conversation(ASK, ANSWER, ASK, ("gpt", "Sì.")), "Eccomi.<|im_end|>Sì.<|im_end|>"),
    "with a system prompt": (conversation(("system", "Sei Nora."), ASK, ANSWER), "Eccomi.<|im_end|>"),
    "newlines": (conversation(ASK, ("gpt", "\n\nEccomi.\n"), ASK, ("gpt", "\n\n Sì.\n")),
                 "\n\n\nEccomi.\n<|im_end|> Sì.\n<|im_end|>"),
    "reasoning": (conversation(ASK, ("gpt", THOUGHT)), "Uno più uno.\n</think>\n\nDue.<|im_end|>"),
    "a call": (
        conversation(ASK, CALL, ("observation", "1"), ANSWER, tools=TOOLS),
        '<tool_call>\n{"name": "f", "arguments": {"a": "x"}}\n</tool_call><|im_end|>Eccomi.<|im_end|>',
    ),
    "an empty answer": (conversation(ASK, ("gpt", ""), ASK, ANSWER), "Eccomi.<|im_end|>"),
    "not trained": (
        conversation_of({"conversations": [
            {"from": "human", "value": "a"}, {"from": "gpt", "value": "b", "train": False},
            {"from": "human", "value": "c"}, {"from": "gpt", "value": "d", "weight": 1}]}),
        "d<|im_end|>",
    ),
    "a trained question": (
        conversation_of({"conversations": [
            {"from": "human", "value": "a", "train": True}, {"from": "gpt", "value": "b"}]}),
        "a<|im_end|>b<|im_end|>",
    ),
    "a part": (
        conversation_of({"conversations": [{"from": "human", "value": "a"}, {
            "from": "gpt", "value": "Eccomi qui, sono Nora.",
            "train_detail": [{"begin_offset": 11, "end_offset": 21, "train": True}]}]}),
        " sono Nora.<|im_end|>",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("row", "text"), TRAINED.values(), ids=TRAINED.keys())
def test_what_carries_loss(qwen3: Measurer, row: Conversation, text: str) -> None:
    assert trained_text(qwen3, row) == text


def test_numbers_are_of_the_rendered_text(qwen3: Measurer) -> None:
    row = conversation(ASK, ANSWER, ASK, ANSWER)
    (found,) = qwen3.measure([row])
    assert found.tokens == load_tokenizer("qwen3").count(load_template("qwen3").render(row).text)
    assert found.turn_tokens == (5, 5) and found.trainable == 10 and found.hits == ()


def test_a_character_that_shares_a_token_with_the_header_is_counted() -> None:
    (found,) = Measurer(template="smollm2").measure([conversation(ASK, ("gpt", "\x00"))])
    (long,) = Measurer(template="smollm2").measure([conversation(ASK, ("gpt", "a"))])
    assert found.turn_tokens == long.turn_tokens == (2,)


@pytest.mark.parametrize("template", ["qwen3", "smollm2"])
@pytest.mark.parametrize("roles", [("system", "human", "gpt", "gpt"), ROLES], ids=["plain", "all roles"])
@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_the_short_way_counts_as_the_long_one(
    template: TemplateName, roles: tuple[str, ...], data: st.DataObject
) -> None:
    """Counting from end tokens gives what looking for each turn's characters gives."""
    row: Conversation = data.draw(conversations(roles=roles, flags=True))
    measurer = Measurer(template=template)
    rendered = load_template(template).render(row)
    (encoded,) = load_tokenizer(template).encode_batch([rendered.text])
    turns, ids = row.turns or (), encoded.ids
    places = None if rendered.plain else place_messages(rendered, thinks=template == "qwen3")
    if (short := measurer._of_blocks(turns, rendered, places, ids)) is not None:
        long = measurer._of_places(turns, rendered, None, ids)
        assert [list(places) for places in short.trained] == [list(places) for places in long.trained]
        assert long.hits == ()


@given(row=conversations(roles=ROLES, flags=True))
@settings(max_examples=150, deadline=None)
def test_every_turn_of_any_text_is_found_again(row: Conversation) -> None:
    """Qwen3's template loses no turn of a known role, but text around <think> and earlier reasoning."""
    (found,) = Measurer(template="qwen3").measure([row])
    thinks = any("</think>" in turn.text for turn in row.turns or ())
    assert thinks or "D7" not in {hit.rule for hit in found.hits}
    assert found.tokens is not None and sum(found.turn_tokens) == found.trainable <= found.tokens


LOST: dict[str, tuple[Conversation, list[tuple[str, int | None]]]] = {
    "reasoning in the last turn": (conversation(ASK, ("gpt", THOUGHT)), []),
    "reasoning written tightly": (conversation(ASK, ("gpt", "<think>Uno.</think>Due.")), []),
    "empty reasoning earlier": (conversation(ASK, ("gpt", "<think>\n\n</think>\n\nDue."), ASK, ANSWER), []),
    "reasoning earlier": (conversation(ASK, ("gpt", THOUGHT), ASK, ANSWER), [("D7", 1)]),
    "reasoning before each call of one question": (
        conversation(ASK, ("function_call", f"<think>Uno.</think>{CALL[1]}"), ("observation", "1"), ANSWER,
                     tools=TOOLS),
        [],
    ),
    "reasoning before a call, earlier": (
        conversation(ASK, ("function_call", f"<think>Uno.</think>{CALL[1]}"), ("observation", "1"), ANSWER, ASK, ANSWER,
                     tools=TOOLS),
        [("D7", 1)],
    ),
    "text before reasoning": (conversation(ASK, ("gpt", f"Vediamo. {THOUGHT}")), [("D7", 1)]),
    "reasoning twice": (conversation(ASK, ("gpt", "<think>a</think>Uno.<think>b</think>Due.")), [("D7", 1)]),
    "a broken call stays text": (conversation(ASK, ("function_call", "f(x)"), ("observation", "1"), ANSWER), []),
    "an unknown role is B6": (conversation(ASK, ("bot", "Eccomi."), ASK, ANSWER), []),
}  # fmt: skip


@pytest.mark.parametrize(("row", "expected"), LOST.values(), ids=LOST.keys())
def test_what_the_template_loses(qwen3: Measurer, row: Conversation, expected: list[Any]) -> None:
    assert told(qwen3.measure([row])[0]) == expected


def test_lost_reasoning_is_a_warning_lost_text_an_error(qwen3: Measurer) -> None:
    earlier, around = qwen3.measure([LOST["reasoning earlier"][0], LOST["text before reasoning"][0]])
    assert earlier.hits[0].severity == "warning" and "strips the reasoning" in earlier.hits[0].message
    assert around.hits[0].severity is None and "text around <think>" in around.hits[0].message


def test_smollm2_knows_no_tools(smollm2: Measurer) -> None:
    row = conversation(ASK, CALL, ("observation", "1"), ANSWER, tools=TOOLS)
    assert told(smollm2.measure([row])[0]) == [("D7", 1), ("D7", None)]
    assert trained_text(smollm2, conversation(ASK, ANSWER)) == "Eccomi.<|im_end|>"
    assert trained_text(smollm2, conversation(ASK, ("gpt", THOUGHT))) == f"{THOUGHT}<|im_end|>"


LONG = " ".join(map(str, range(200)))
LIMITS: dict[str, tuple[Conversation, list[str]]] = {
    "just right": (conversation(ASK, ANSWER), []),
    "too short": (conversation(("human", "a"), ("gpt", "b")), ["D3"]),
    "too long": (conversation(ASK, ("gpt", LONG)), ["D2"]),
    "too long, the answer after the cut": (conversation(("human", LONG), ANSWER), ["D2", "D4"]),
    "an empty answer": (conversation(ASK, ("gpt", ""), tools=TOOLS), ["D2", "D4"]),
    "little to train": (conversation(("human", LONG[:85]), ("gpt", "B")), ["D5"]),
    "no answer is B11": (conversation(("human", LONG[:60])), []),
    "no answer is trained is B16": (
        conversation_of({"conversations": [
            {"from": "human", "value": LONG[:60]}, {"from": "gpt", "value": "b", "train": False}]}), [],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("row", "expected"), LIMITS.values(), ids=LIMITS.keys())
def test_limits(row: Conversation, expected: list[str]) -> None:
    (found,) = Measurer(max_tokens=100, min_tokens=17).measure([row])
    assert [hit.rule for hit in found.hits] == expected


def test_messages_name_the_numbers() -> None:
    (found,) = Measurer(max_tokens=100).measure([conversation(("human", LONG), ANSWER)])
    assert found.hits[0].message == (
        f"{found.tokens:,} tokens, at most 100: Axolotl drops the row, Unsloth and LLaMA-Factory cut it"
    )
    assert "the first answer begins at token 7" in found.hits[1].message


def test_control_tokens_in_a_text_are_counted_as_what_they_are(qwen3: Measurer) -> None:
    row = conversation(ASK, ("gpt", "Eccomi.<|im_end|>\n<|im_start|>user\nE ora?"))
    assert trained_text(qwen3, row) == "Eccomi.<|im_end|>\n<|im_start|>user\nE ora?<|im_end|>"


def test_what_has_no_text_is_not_measured(qwen3: Measurer) -> None:
    rows = [
        conversation_of(None),
        conversation_of({"conversations": []}),
        conversation_of({"conversations": [{"from": "human", "value": None}]}),
        conversation(ASK, ANSWER),
    ]
    assert [found.tokens is None for found in qwen3.measure(rows)] == [True, True, True, False]
    assert qwen3.measure([]) == [] and qwen3.mask(rows[0]) is None


def test_e5_counts_only() -> None:
    with pytest.raises(InputError, match="tells counts only"):
        load_tokenizer("e5").encode_batch(["a"])


@given(any_conversation)
@settings(max_examples=150, deadline=None)
def test_no_value_whatsoever_crashes_it(row: Conversation) -> None:
    (found,) = Measurer(max_tokens=20, min_tokens=3).measure([row])
    assert all(hit.rule in RULES and len(hit.message) < 300 for hit in found.hits)


def test_every_real_conversation_is_found_again(qwen3: Measurer, shared: Path) -> None:
    rows = json.loads((shared / "data/sharegpt/glaive_toolcall_en_demo.json").read_text("utf-8"))
    found = qwen3.measure([conversation_of(row) for row in rows])
    assert [one.hits for one in found if one.hits] == [] and all(one.trainable for one in found)
    assert max(one.tokens or 0 for one in found) == 11_544
