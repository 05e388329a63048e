"""What we say trainers do, and our texts and masks, beside what the real ones did with the same rows.

How to record it again, once there is another version: record_trainer_facts_axolotl.py, .._llamafactory.py.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from components.dataset.checks.structure import structure_hits
from components.dataset.checks.templates import to_messages
from components.dataset.checks.text import text_hits
from components.dataset.checks.tokens import Measurer
from components.dataset.checks.tool_calls import tool_hits
from components.dataset.checks.trainers import axolotl_0_19, llamafactory_0_9_5, trainer_hits, unsloth
from components.dataset.conversation import ROLES, Conversation
from components.dataset.findings import Hit
from components.dataset.rules import RULES
from tests.dataset.anything import any_conversation, conversations
from tests.dataset.trainer_rows import HERE, conversation, conversation_of, read_rows

ROWS = {name: conversation_of(row) for name, row in read_rows().items()}
AXOLOTL = json.loads((HERE / "trainer_facts_axolotl.json").read_text("utf-8"))
LLAMA_FACTORY = json.loads((HERE / "trainer_facts_llamafactory.json").read_text("utf-8"))
MAX_TOKENS = AXOLOTL["max_tokens"]
ALIASES = {"user and assistant"}  # names that Axolotl maps, too; formats.py converts them before all rules


def told(row: Conversation) -> list[Hit]:
    found = [*structure_hits(row), *tool_hits(row), *(hit for hit in text_hits(row) if hit.rule == "C1")]
    found += Measurer(max_tokens=MAX_TOKENS).measure([row])[0].hits
    return [*found, *trainer_hits(row, found)]


def worst(hits: list[Hit]) -> set[str]:
    return {hit.severity or RULES[hit.rule].severity for hit in hits}


def test_the_facts_are_of_the_pinned_versions_and_of_all_rows() -> None:
    assert AXOLOTL["versions"]["axolotl"] == "0.19.0" and LLAMA_FACTORY["versions"]["llamafactory"] == "0.9.5"
    assert list(AXOLOTL["rows"]) == list(LLAMA_FACTORY["rows"]) == list(ROWS)


@pytest.mark.parametrize("name", ROWS)
def test_our_text_and_mask_are_axolotls_token_by_token(name: str) -> None:
    fact = AXOLOTL["rows"][name]["messages"]
    ours = Measurer(max_tokens=MAX_TOKENS).mask(ROWS[name])
    if "error" in fact or ours is None:
        assert ours is None  # a row without turns of text
        return
    assert ours[0] == fact["ids"]
    if name not in ALIASES:
        assert ours[1] == fact["trained"]


@pytest.mark.parametrize("name", ROWS)
def test_what_we_say_of_axolotl(name: str) -> None:
    fact, said = AXOLOTL["rows"][name]["messages"], axolotl_0_19(ROWS[name])
    if said.what == "stopped":  # nothing is lost in silence: what cannot be read never gets there
        assert ROWS[name].turns in ((), None) or Measurer().mask(ROWS[name]) is None
    elif said.what == "masked":
        assert not fact["trained"] and not fact["kept"]
    elif said.what == "kept":
        assert fact["trained"] and fact["kept"] == (len(fact["ids"]) <= MAX_TOKENS)


@pytest.mark.parametrize("name", ROWS)
def test_what_we_say_of_llama_factory(name: str) -> None:
    said, row = llamafactory_0_9_5(ROWS[name]), ROWS[name]
    for fact in LLAMA_FACTORY["rows"][name].values():
        assert ("error" in fact) == (said.what == "stopped")
        if "error" not in fact:
            assert fact["kept"] == (said.what != "dropped")
            if said.what == "kept" and not name.startswith("too long"):
                assert not _missing(row, fact["text"])
                assert all(_core(turn.text) in fact["trained"] for turn in row.turns or () if turn.role == "gpt")


def _missing(row: Conversation, text: str) -> list[str]:
    """Texts of turns that are not in the text of a trainer; reasoning and white space aside, and calls by name."""
    wanted = [_core(message.content) for message in to_messages(row)]
    wanted += [f'{{"name": "{name}", "arguments": ' for message in to_messages(row) for name, _ in message.calls]
    return [each for each in wanted if each not in text]


def _core(text: str) -> str:
    return text.rpartition("</think>")[2].strip()


CHANGED = {
    "system twice": lambda fact: "Anna" not in fact["text"],
    "idx in human": lambda fact: "Scrivi 0 e {{content}} qui" in fact["text"],
    "tools, an empty object": lambda fact: fact["text"].startswith("<|im_start|>system\n<|im_end|>\n"),
    "tools, empty": lambda fact: fact["text"].startswith("<|im_start|>system\n<|im_end|>\n"),
    "tool, arguments as text": lambda fact: r'"arguments": "{\"luogo\": \"faro\"}"' in fact["text"],
    "tool, two tagged": lambda fact: fact["text"].index("porto") < fact["text"].rindex('"faro"'),
    "train false": lambda fact: "Eccomi." in fact["trained"],
    "train none": lambda fact: "Eccomi." in fact["trained"],
    "weight": lambda fact: "Eccomi." in fact["trained"],
    "train human": lambda fact: "Ciao" not in fact["trained"],
    "train detail": lambda fact: "Eccomi qui, sono Nora." in fact["trained"],
    "train detail, none": lambda fact: "Eccomi qui." in fact["trained"],
}


def test_what_llama_factory_changes_is_what_we_say() -> None:
    assert {name for name, row in ROWS.items() if llamafactory_0_9_5(row).what == "changed"} == set(CHANGED)


@pytest.mark.parametrize("name", CHANGED)
def test_how_llama_factory_changes_it(name: str) -> None:
    assert all(CHANGED[name](fact) for fact in LLAMA_FACTORY["rows"][name].values())


@pytest.mark.parametrize("name", ROWS)
def test_what_any_trainer_drops_masks_or_stops_on_is_told(name: str) -> None:
    """By the recorded facts, not by our functions: an error for each; only a list of `tools` is a warning."""
    facts = [AXOLOTL["rows"][name]["messages"], *LLAMA_FACTORY["rows"][name].values()]
    bad = [fact for fact in facts if "error" in fact or not fact["kept"] or not fact["trained"]]
    severities = worst(told(ROWS[name]))
    if bad:
        assert "error" in severities or (name == "tool, tools as a list" and "warning" in severities)


def test_well_formed_rows_are_kept_by_all_and_told_of_nothing() -> None:
    clean = {name for name, row in ROWS.items() if not told(row)}
    assert {"one exchange", "system column", "two exchanges", "think last", "tool", "tool, parallel"} <= clean
    for name in clean:
        facts = [AXOLOTL["rows"][name]["messages"], *LLAMA_FACTORY["rows"][name].values()]
        assert all(fact["kept"] and fact["trained"] for fact in facts)


@pytest.mark.parametrize("way", ["messages", "sharegpt"])
def test_axolotl_leaves_tool_turns_out_of_a_sharegpt_file(way: str) -> None:
    """Why `templates.to_row` is what it is given: its roles know no function_call and no observation."""
    fact = AXOLOTL["rows"]["tool, no tools"][way]
    plain = AXOLOTL["rows"]["one exchange"][way]
    assert (len(fact["ids"]) > 2 * len(plain["ids"])) == (way == "messages")


@given(conversations(roles=(*ROLES, "bot"), flags=True))
@settings(max_examples=150, deadline=None)
def test_b17_is_left_with_what_it_names(row: Conversation) -> None:
    """For whatever rows: what a trainer does not keep is told, and B17 tells of four things and no others."""
    hits = told(row)
    treatments = [judge(row) for judge in (axolotl_0_19, llamafactory_0_9_5, unsloth)]
    if any(treatment.what != "kept" for treatment in treatments):
        assert hits
    if any(treatment.what in ("dropped", "masked") for treatment in treatments):
        assert "error" in worst(hits)
    own = " ".join(hit.message for hit in hits if hit.rule == "B17")
    for known in ("training flags", "`tools` is a list", "{{idx}}", "an empty system prompt"):
        own = own.replace(known, "")
    assert not any(word in own for word in ("dropped", "no turn", "role", "odd places", "column", "call"))


@pytest.mark.parametrize(
    ("row", "severity", "words"),
    [
        (conversation(("human", "{{idx}}"), ("gpt", "b")), None, "LLaMA-Factory: {{idx}} in a human turn"),
        (conversation(("human", "a"), ("gpt", "b"), tools="[]"), "info", "LLaMA-Factory: a text of `tools` without"),
        (conversation(("human", "a"), ("gpt", "b" * 99), tools=[{"name": "f"}]), "warning", "Factory: `tools` is a"),
        (
            conversation_of({"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"},
                             {"from": "human", "value": "a"}, {"from": "gpt", "value": "b", "train": False}]}),
            "warning", "LLaMA-Factory and Unsloth: training flags are not read",
        ),
    ],
    ids=["idx", "tools []", "tools a list", "flags"],
)  # fmt: skip
def test_what_b17_names(row: Conversation, severity: str | None, words: str) -> None:
    (hit,) = told(row)
    assert hit.rule == "B17" and hit.severity == severity and words in hit.message


def test_b17_is_a_net_where_no_other_rule_spoke() -> None:
    row = conversation(("human", "a"), ("human", "b"), ("gpt", "c"))
    assert [hit.rule for hit in trainer_hits(row)] == ["B17"]
    assert list(trainer_hits(row, structure_hits(row))) == []


@given(any_conversation)
@settings(max_examples=150, deadline=None)
def test_no_value_whatsoever_crashes_it(row: Conversation) -> None:
    for hit in trainer_hits(row):
        assert hit.rule == "B17" and len(hit.message) < 300


def test_real_rows_are_kept_by_all_trainers(shared: Path) -> None:
    rows: list[Any] = json.loads((shared / "data/sharegpt/glaive_toolcall_en_demo.json").read_text("utf-8"))
    hits = [hit for row in rows for hit in trainer_hits(conversation_of(row))]
    # 109 rows say `"tools": "[]"`: LLaMA-Factory opens an empty system prompt for them.
    assert {hit.severity for hit in hits} == {"info"} and len(hits) == 109
