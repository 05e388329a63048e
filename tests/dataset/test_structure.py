"""Structure of rows and turns: each fault is found once, in its place; LLaMA-Factory's rule is kept to the letter."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.dataset.checks.structure import structure_hits
from components.dataset.conversation import ASSISTANT_ROLES, ROLES, USER_ROLES, Conversation
from components.dataset.findings import SEVERITIES
from components.dataset.rules import RULES
from tests.dataset.anything import any_conversation
from tests.dataset.trainer_rows import conversation, conversation_of

ASK, ANSWER = ("human", "Ciao?"), ("gpt", "Eccomi.")
CALL, RESULT = ("function_call", '{"name": "f", "arguments": {}}'), ("observation", "1")


def told(row: Conversation) -> list[tuple[str, int | None]]:
    return [(hit.rule, hit.turn) for hit in structure_hits(row)]


def errors(row: Conversation) -> set[str]:
    return {hit.rule for hit in structure_hits(row) if (hit.severity or RULES[hit.rule].severity) == "error"}


GOOD: dict[str, Conversation] = {
    "one exchange": conversation(ASK, ANSWER),
    "system turn": conversation(("system", "Sei Nora."), ASK, ANSWER),
    "system column": conversation(ASK, ANSWER, system="Sei Nora."),
    "system turn and an empty column": conversation(("system", "Sei Nora."), ASK, ANSWER, system=""),
    "null columns": conversation(ASK, ANSWER, system=None, tools=None),
    "tool": conversation(ASK, CALL, RESULT, ANSWER),
    "two tools in a row": conversation(ASK, CALL, RESULT, CALL, RESULT, ANSWER, ASK, ANSWER),
    "ends with a call": conversation(ASK, CALL),
    "curated": conversation(
        ASK, ANSWER, id="val-001", stage="foundation", provenance={"kind": "hand"}, review=None, rating=None
    ),
    "keys of others": conversation(ASK, ANSWER, category="chat", topic=3, created_at="2026", score=0.5, title="t"),
    "pictures": conversation(("human", "<image>Che cos'è?"), ANSWER, images=["a.png"]),
    "one picture, no list": conversation(("human", "<image>Che cos'è?"), ANSWER, images="a.png"),
    "HTML": conversation(("human", "Come si usa <video> e <audio>?"), ANSWER),
}


@pytest.mark.parametrize("row", GOOD.values(), ids=GOOD.keys())
def test_well_formed_rows_are_clean(row: Conversation) -> None:
    assert told(row) == []


def turns(*values: Any) -> Conversation:
    return conversation_of({"conversations": list(values)})


H, G = {"from": "human", "value": "Ciao?"}, {"from": "gpt", "value": "Eccomi."}
FAULTS: dict[str, tuple[Conversation, list[tuple[str, int | None]]]] = {
    "not an object": (conversation_of([1]), [("B1", None)]),
    "no conversations": (conversation_of({"text": "x"}), [("B1", None)]),
    "conversations null": (conversation_of({"conversations": None}), [("B1", None)]),
    "conversations an object": (conversation_of({"conversations": H}), [("B1", None)]),
    "conversations empty": (turns(), [("B1", None)]),
    "misspelt conversations": (conversation_of({"conversation": [H, G]}), [("B4", None), ("B1", None)]),
    "a turn is text": (turns(H, "Eccomi."), [("B2", 1)]),
    "a turn is null": (turns(None, G), [("B2", 0)]),
    "no value": (turns(H, {"from": "gpt"}), [("B3", 1)]),
    "no from": (turns({"value": "Ciao?"}, G), [("B3", 0)]),
    "neither": (turns(H, {}), [("B3", 1), ("B3", 1)]),
    "misspelt from": (turns({"form": "human", "value": "Ciao?"}, G), [("B3", 0)]),
    "misspelt value": (turns(H, {"from": "gpt", "valeu": "Eccomi."}), [("B3", 1)]),
    "role and content": (turns(H, {"role": "gpt", "content": "Eccomi."}), [("B3", 1), ("B3", 1)]),
    "unknown key in turns": (turns({**H, "loss": 1}, {**G, "loss": 0}), [("B4", 0)]),
    "misspelt column": (conversation(ASK, ANSWER, tool="[]"), [("B4", None)]),
    "value null": (turns(H, {"from": "gpt", "value": None}), [("B5", 1)]),
    "value number": (turns(H, {"from": "gpt", "value": 5}), [("B5", 1)]),
    "value parts": (turns({"from": "human", "value": [{"type": "text", "text": "Ciao?"}]}, G), [("B5", 0)]),
    "system column is a list": (conversation(ASK, ANSWER, system=["Sei Nora."]), [("B5", None)]),
    "unknown role": (conversation(ASK, ("bot", "Eccomi.")), [("B6", 1)]),
    "unknown role in the middle": (conversation(ASK, ("bot", "Eccomi."), ASK, ANSWER), [("B6", 1)]),
    "role is a list": (turns({"from": ["human"], "value": "Ciao?"}, G), [("B6", 0)]),
    "role in capitals": (turns({"from": "Human", "value": "Ciao?"}, G), [("B6", 0)]),
    "system in the middle": (conversation(ASK, ANSWER, ("system", "Ora piano."), ASK, ANSWER), [("B7", 2)]),
    "system last": (conversation(ASK, ANSWER, ("system", "Ora piano.")), [("B7", 2)]),
    "two systems": (conversation(("system", "a"), ("system", "b"), ASK, ANSWER), [("B7", 1)]),
    "system in turn and column": (conversation(("system", "a"), ASK, ANSWER, system="b"), [("B7", 0)]),
    "begins with gpt": (conversation(ANSWER, ASK, ANSWER), [("B8", 0)]),
    "begins with observation": (conversation(RESULT, ANSWER, ASK, ANSWER), [("B8", 0)]),
    "ends with human": (conversation(ASK, ANSWER, ASK), [("B9", 2)]),
    "ends with observation": (conversation(ASK, CALL, RESULT), [("B9", 2)]),
    "two humans": (conversation(ASK, ASK, ANSWER), [("B10", 1)]),
    "two gpts": (conversation(ASK, ANSWER, ANSWER), [("B10", 2)]),
    "gpt before its call": (conversation(ASK, ANSWER, CALL, RESULT, ANSWER), [("B10", 2)]),
    "two results": (conversation(ASK, CALL, RESULT, RESULT, ANSWER), [("B10", 3)]),
    "human after result": (conversation(ASK, CALL, RESULT, ASK, ANSWER), [("B10", 3)]),
    "gpt and human wrong at both ends": (conversation(ANSWER, ASK), [("B8", 0), ("B9", 1)]),
    "only human": (conversation(ASK), [("B11", None)]),
    "humans only": (conversation(ASK, ASK, ASK), [("B11", None)]),
    "only gpt": (conversation(ANSWER), [("B11", None)]),
    "only system": (conversation(("system", "a")), [("B11", None)]),
    "pictures too few": (conversation(("human", "<image><image>?"), ANSWER, images=["a.png"]), [("B15", None)]),
    "pictures too many": (conversation(ASK, ANSWER, images=["a.png"]), [("B15", None)]),
    "sounds without a mark": (conversation(ASK, ANSWER, audios=["a.wav"]), [("B15", None)]),
    "mark without pictures": (conversation(("human", "<image>?"), ANSWER), [("B15", None)]),
    "train is text": (turns(H, {**G, "train": "no"}), [("B16", 1)]),
    "weight is 2": (turns(H, {**G, "weight": 2}), [("B16", 1)]),
    "none is trained": (turns(H, {**G, "train": False}), [("B16", None)]),
    "none weighs": (turns(H, {**G, "weight": 0}, H, {**G, "weight": 0.0}), [("B16", None)]),
    "a question is trained": (turns({**H, "train": True}, G), [("B16", 0)]),
    "part outside": (
        turns(H, {**G, "train_detail": [{"begin_offset": 0, "end_offset": 99, "train": True}]}), [("B16", 1)],
    ),
    "part backwards": (
        turns(H, {**G, "train_detail": [{"begin_offset": 3, "end_offset": 1, "train": True}]}), [("B16", 1)],
    ),
    "part without offsets": (turns(H, {**G, "train_detail": [{"train": True}]}), [("B16", 1)]),
    "parts no list": (turns(H, {**G, "train_detail": {}}), [("B16", 1)]),
}  # fmt: skip


@pytest.mark.parametrize(("row", "expected"), FAULTS.values(), ids=FAULTS.keys())
def test_each_fault_is_told_once(row: Conversation, expected: list[tuple[str, int | None]]) -> None:
    assert told(row) == expected


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({"train": True}, []),
        ({"weight": 1}, []),
        ({"train": None, "weight": None, "train_detail": None}, []),
        ({"train_detail": [{"begin_offset": 0, "end_offset": 6, "train": True}]}, []),
        ({"train_detail": [{"begin_offset": 0, "end_offset": 7, "train": True}]}, []),
    ],
    ids=["train", "weight", "null", "a part to its last character", "a part to its end"],
)
def test_flags_that_can_be_read(flags: dict[str, Any], expected: list[Any]) -> None:
    assert told(turns(H, {**G, **flags})) == expected


@pytest.mark.parametrize(
    ("row", "words", "fix"),
    [
        (conversation(ASK, ("bot", "x")), "unknown role 'bot', is it gpt?", "rename it to gpt"),
        (conversation(ASK, ("zorp", "x")), "unknown role 'zorp': Axolotl's template leaves", None),
        (conversation(ASK, ASK, ANSWER), "two human turns in a row: LLaMA-Factory drops the row, Axolotl", "join"),
        (conversation(ASK, CALL, CALL, RESULT, ANSWER), "two function_call turns in a row", "JSON list of calls"),
        (conversation(ASK, ANSWER, ASK, chosen=1, rejected=2), "`chosen` and `rejected` is not for", None),
        (turns(H, {"from": "gpt", "valeu": "x"}), "no `value`, but 'valeu'", "rename it to value"),
        (turns(H, {"from": "observation", "value": {"a": 1}}), "is an object, expected text", "JSON text"),
        (conversation(("system", "a"), ASK, ANSWER, system="a"), "the same text twice", None),
        (conversation(("human", "<image>"), ANSWER, images=["a", "b"]), "1 mark <image> in the text, 2 in", None),
        (turns(H, {"from": "gpt", "value": "x", "k" * 99: 1}), "…'", None),
    ],
)  # fmt: skip
def test_messages_say_what_happens_and_how_to_mend(row: Conversation, words: str, fix: str | None) -> None:
    hit = next(iter(structure_hits(row)))
    assert words in hit.message and len(hit.message) < 200
    assert fix is None or (hit.fix is not None and fix in hit.fix)


def llama_factory_keeps(row: Conversation) -> bool:
    """Written down again from data/converter.py and data/processor/supervised.py of LLaMA-Factory 0.9.5."""
    roles = [turn.role for turn in row.turns or ()]
    roles = roles[1:] if roles and roles[0] == "system" else roles
    sides = (USER_ROLES, ASSISTANT_ROLES)
    return bool(roles) and len(roles) % 2 == 0 and all(role in sides[i % 2] for i, role in enumerate(roles))


@given(st.lists(st.sampled_from([*ROLES, "bot"]), max_size=9))
@settings(max_examples=400)
def test_order_is_llama_factorys_rule(roles: list[str]) -> None:
    """What it drops is an error; what it keeps is none, but for what has no question or begins with a result."""
    row = conversation(*((role, "Testo.") for role in roles))
    found = errors(row)
    if not llama_factory_keeps(row):
        assert found & {"B1", "B6", "B7", "B8", "B9", "B10", "B11"}
    elif found:
        assert found <= {"B8", "B11"} and (roles[roles[0] == "system"] == "observation")


@given(any_conversation)
@settings(max_examples=150)
def test_no_value_whatsoever_crashes_it(row: Conversation) -> None:
    for hit in structure_hits(row):
        assert hit.rule in RULES and hit.message and len(hit.message) < 300
        assert hit.severity is None or SEVERITIES.index(hit.severity) <= SEVERITIES.index(RULES[hit.rule].severity)
        assert hit.turn is None or 0 <= hit.turn < len(row.turns or ())


@pytest.mark.parametrize(
    "text",
    ["<image>" * 50_000, "[" * 100_000, " " * 500_000, "a" * 500_000],
    ids=["marks", "brackets", "blank", "long"],
)
def test_long_texts_and_names_are_no_matter(text: str) -> None:
    row = conversation_of({"conversations": [{"from": text, "value": text, text: text}, G], text: text})
    assert {rule for rule, _ in told(row)} >= {"B6", "B4"}


def test_real_tool_conversations_are_clean(shared: Path) -> None:
    rows = json.loads((shared / "data/sharegpt/glaive_toolcall_en_demo.json").read_text("utf-8"))
    found = {number: told(conversation_of(row)) for number, row in enumerate(rows)}
    assert len(found) == 300 and {number: hits for number, hits in found.items() if hits} == {}


@pytest.mark.parametrize("name", ["conversation.json", "conversation.missingturns.json"])
def test_a_real_conversation_is_clean(shared: Path, name: str) -> None:
    # The empty answer of the second is C1's matter.
    assert told(conversation_of(json.loads((shared / "data/sharegpt" / name).read_text("utf-8")))) == []


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"prompt": "a", "chosen": "b", "rejected": "c"},
         "; its keys are 'prompt', 'chosen', 'rejected': a pair of preferences (for DPO), not a conversation"),
        ({"train": [{"conversations": [H, G]}]},
         "; its key is 'train': the rows seem to lie under 'train'; write that list alone"),
        ({"text": "x"}, "; its key is 'text'"),
        ({f"key{at}": at for at in range(8)},
         "; its keys are 'key0', 'key1', 'key2', 'key3', 'key4', 'key5' and 2 more"),
        ({"k" * 50: 1, "train": []}, f"; its keys are '{'k' * 39}…', 'train'"),
        ({}, "; it is empty"),
    ],
    ids=["preferences", "wrapped", "text", "many-keys", "long-key", "empty"],
)  # fmt: skip
def test_a_row_without_turns_says_what_it_has(row: dict[str, Any], told: str) -> None:
    (hit,) = [hit for hit in structure_hits(conversation_of(row)) if hit.rule == "B1"]
    assert hit.message == f"the row has no `conversations`{told}"


def test_real_rows_of_another_format_have_no_turns(shared: Path) -> None:
    rows = json.loads((shared / "data/sharegpt/identity_alpaca.json").read_text("utf-8"))
    assert {tuple(told(conversation_of(row))) for row in rows} == {(("B1", None),)}
