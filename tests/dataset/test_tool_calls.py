"""Tool calls and tools: real ways of writing them are no errors, broken ones are, each once."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.dataset.checks.tool_calls import Call, parse_call, parse_tools, tool_hits
from components.dataset.checks.tool_schemas import argument_faults, schema_fault
from components.dataset.conversation import Conversation
from components.dataset.findings import SEVERITIES
from components.dataset.rules import RULES
from tests.dataset.anything import any_conversation, any_json
from tests.dataset.trainer_rows import conversation, conversation_of

PARAMETERS = {
    "type": "object",
    "properties": {
        "luogo": {"type": "string", "description": "Dove"},
        "ora": {"type": "integer"},
        "unità": {"type": "string", "enum": ["nodi", "km/h"]},
        "giorni": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["luogo"],
}
BARE = {"name": "meteo", "description": "Il tempo", "parameters": PARAMETERS}
TOOLS = json.dumps([BARE], ensure_ascii=False)
ASK, RESULT, ANSWER = ("human", "Che tempo fa?"), ("observation", '{"vento": 30}'), ("gpt", "C'è vento.")
GOOD_CALL = '{"name": "meteo", "arguments": {"luogo": "faro"}}'


def call(value: Any, tools: Any = TOOLS, **columns: Any) -> Conversation:
    return conversation(ASK, ("function_call", value), RESULT, ANSWER, tools=tools, **columns)


def told(row: Conversation) -> list[tuple[str, str, int | None]]:
    return [(hit.rule, hit.severity or RULES[hit.rule].severity, hit.turn) for hit in tool_hits(row)]


def words(row: Conversation) -> str:
    return "; ".join(hit.message for hit in tool_hits(row))


CLEAN: dict[str, Conversation] = {
    "no tools": conversation(ASK, ANSWER),
    "tools null": conversation(ASK, ANSWER, tools=None),
    "tools empty text": conversation(ASK, ANSWER, tools=""),
    "tools []": conversation(ASK, ANSWER, tools="[]"),
    "tools empty list": conversation(ASK, ANSWER, tools=[]),
    "tools {}": conversation(ASK, ANSWER, tools="{}"),
    "tools not used": conversation(ASK, ANSWER, tools=TOOLS),
    "glaive": call(GOOD_CALL),
    "tools as a list": call(GOOD_CALL, [BARE]),
    "OpenAI's wrapping": call(GOOD_CALL, json.dumps([{"type": "function", "function": BARE}])),
    "parallel": call(f"[{GOOD_CALL}, {GOOD_CALL}]"),
    "after reasoning": call(f"<think>\nGuardo fuori.\n</think>\n\n{GOOD_CALL}"),
    "tagged": call(f"<tool_call>\n{GOOD_CALL}\n</tool_call>"),
    "tagged after reasoning": call(f"<think>Guardo.</think>\n<tool_call>\n{GOOD_CALL}\n</tool_call>"),
    "spread over lines": call(json.dumps(json.loads(GOOD_CALL), indent=2)),
    "no arguments": call('{"name": "ora", "arguments": {}}', '[{"name": "ora", "description": "L\'ora"}]'),
    "parameters null": call('{"name": "ora", "arguments": {}}', '[{"name": "ora", "parameters": null}]'),
    "parameters empty": call('{"name": "ora", "arguments": {"x": 1}}', '[{"name": "ora", "parameters": {}}]'),
    "all arguments": call(
        '{"name": "meteo", "arguments": {"luogo": "faro", "ora": 9, "unità": "nodi", "giorni": ["lun"]}}'
    ),
    "an argument more": call('{"name": "meteo", "arguments": {"luogo": "faro", "nota": [1]}}'),
    "9.0 is an integer": call('{"name": "meteo", "arguments": {"luogo": "faro", "ora": 9.0}}'),
    "Chinese": call(
        '{"name": "获取天气", "arguments": {"城市": "北京"}}',
        '[{"name": "获取天气", "parameters": {"type": "object", "properties": {"城市": {"type": "string"}}}}]',
    ),
    "xlam's parameters by name": call(
        '{"name": "f", "arguments": {"type": "a"}}',
        '[{"name": "f", "parameters": {"type": {"description": "k", "type": "str", "default": ""}}}]',
    ),
    "references": call(
        '{"name": "f", "arguments": {"p": {"x": 1}}}',
        '[{"name": "f", "parameters": {"type": "object", "properties": {"p": {"$ref": "#/$defs/P"}}, '
        '"$defs": {"P": {"type": "object", "properties": {"x": {"type": "integer"}}}}}}]',
    ),
    "tools in the system prompt": call(GOOD_CALL, None, system="<tools>[]</tools> are the functions"),
    "Hermes": conversation(
        ("system", "<tools>[]</tools>"),
        ASK,
        ("gpt", f"<tool_call>\n{GOOD_CALL}\n</tool_call>"),
        ("observation", "<tool_response>\n1\n</tool_response>"),
        ANSWER,
    ),
    "ReAct": conversation(ASK, ("gpt", "Thought: ...\nAction: meteo\nAction Input: {}"), RESULT, ANSWER),
    "ToolACE": conversation(ASK, ("gpt", '[meteo(luogo="faro"), Get Time(x=1)]'), RESULT, ANSWER),
}


@pytest.mark.parametrize("row", CLEAN.values(), ids=CLEAN.keys())
def test_well_formed_calls_are_clean(row: Conversation) -> None:
    assert told(row) == []


E, W = "error", "warning"
BROKEN: dict[str, tuple[Conversation, list[tuple[str, str, int | None]]]] = {
    "result of nothing": (conversation(ASK, ANSWER, RESULT, ANSWER), [("B12", E, 2)]),
    "call without result": (
        conversation(ASK, ("function_call", GOOD_CALL), ("human", "Allora?"), ANSWER, tools=TOOLS), [("B12", E, 1)],
    ),
    "ends with a call": (conversation(ASK, ("function_call", GOOD_CALL), tools=TOOLS), [("B12", W, 1)]),
    "no JSON": (call("meteo(faro)"), [("B13", E, 1)]),
    "cut JSON": (call(GOOD_CALL[:-1]), [("B13", E, 1)]),
    "text before": (call(f"Guardo. {GOOD_CALL}"), [("B13", E, 1)]),
    "a number": (call("5"), [("B13", E, 1)]),
    "a list of nothing": (call("[]"), [("B13", E, 1)]),
    "a list of text": (call('["meteo"]'), [("B13", E, 1)]),
    "no name": (call('{"arguments": {}}'), [("B13", E, 1)]),
    "name empty": (call('{"name": " ", "arguments": {}}'), [("B13", E, 1)]),
    "name a number": (call('{"name": 5, "arguments": {}}'), [("B13", E, 1)]),
    "no arguments": (call('{"name": "meteo"}'), [("B13", E, 1)]),
    "parameters for arguments": (call('{"name": "meteo", "parameters": {}}'), [("B13", E, 1)]),
    "arguments null": (call('{"name": "meteo", "arguments": null}'), [("B13", E, 1)]),
    "arguments a list": (call('{"name": "meteo", "arguments": []}'), [("B13", E, 1)]),
    "arguments broken text": (call('{"name": "meteo", "arguments": "{"}'), [("B13", E, 1)]),
    "arguments text of a list": (call('{"name": "meteo", "arguments": "[]"}'), [("B13", E, 1)]),
    "OpenAI's wrapping": (call(f'{{"type": "function", "function": {GOOD_CALL}}}'), [("B13", E, 1)]),
    "one of two broken": (call(f'[{GOOD_CALL}, {{"name": "x"}}]'), [("B13", E, 1)]),
    "not declared": (call('{"name": "mare", "arguments": {}}'), [("B13", E, 1)]),
    "arguments as text": (call('{"name": "meteo", "arguments": "{\\"luogo\\": \\"x\\"}"}'), [("B13", W, 1)]),
    "arguments empty text": (
        call('{"name": "o", "arguments": ""}', '[{"name": "o"}]'), [("B13", W, 1)],
    ),
    "two tags": (call(f"<tool_call>{GOOD_CALL}</tool_call><tool_call>{GOOD_CALL}</tool_call>"), [("B13", W, 1)]),
    "argument missing": (call('{"name": "meteo", "arguments": {"ora": 9}}'), [("B13", W, 1)]),
    "argument of another type": (call('{"name": "meteo", "arguments": {"luogo": 5}}'), [("B13", W, 1)]),
    "true is no number": (call('{"name": "meteo", "arguments": {"luogo": "a", "ora": true}}'), [("B13", W, 1)]),
    "not of the list": (call('{"name": "meteo", "arguments": {"luogo": "a", "unità": "m"}}'), [("B13", W, 1)]),
    "tools no JSON": (conversation(ASK, ANSWER, tools="[{"), [("B14", E, None)]),
    "tools blank": (conversation(ASK, ANSWER, tools=" \n"), [("B14", E, None)]),
    "tools the text null": (conversation(ASK, ANSWER, tools="null"), [("B14", E, None)]),
    "reasoning in one line": (call(f"<think>Guardo.</think>{GOOD_CALL}"), [("B13", E, 1)]),
    "reasoning without an empty line": (call(f"<think>\nGuardo.\n</think>\n{GOOD_CALL}"), [("B13", E, 1)]),
    "reasoning in one line, converted": (
        replace(call(f"<think>Guardo.</think>{GOOD_CALL}"), converted="openai"), [("B13", W, 1)],
    ),
    "tools words": (conversation(ASK, ANSWER, tools="meteo(luogo)"), [("B14", E, None)]),
    "tools an object": (conversation(ASK, ANSWER, tools=BARE), [("B14", E, None)]),
    "tools text of an object": (conversation(ASK, ANSWER, tools=json.dumps(BARE)), [("B14", E, None)]),
    "tools a number": (conversation(ASK, ANSWER, tools=5), [("B14", E, None)]),
    "a tool is text": (conversation(ASK, ANSWER, tools='["meteo"]'), [("B14", E, None)]),
    "a tool without a name": (conversation(ASK, ANSWER, tools='[{"description": "x"}]'), [("B14", E, None)]),
    "a wrapping without a name": (
        conversation(ASK, ANSWER, tools='[{"type": "function", "function": {}}]'), [("B14", E, None)],
    ),
    "broken tools are told once": (call(GOOD_CALL, "[{"), [("B14", E, None)]),
    "declared twice": (conversation(ASK, ANSWER, tools=json.dumps([BARE, BARE])), [("B14", W, None)]),
    "ToolACE's dict": (
        call('{"name": "f", "arguments": {"a": 1}}', '[{"name": "f", "parameters": {"type": "dict", "properties": '
             '{"a": {"type": "int"}}}}]'), [("B14", W, None)],
    ),
    "parameters as text": (
        call('{"name": "f", "arguments": {}}', '[{"name": "f", "parameters": "{}"}]'), [("B14", W, None)],
    ),
    "calls without tools": (call(GOOD_CALL, None), [("B14", W, None)]),
}  # fmt: skip


@pytest.mark.parametrize(("row", "expected"), BROKEN.values(), ids=BROKEN.keys())
def test_each_fault_is_told_once(row: Conversation, expected: list[tuple[str, str, int | None]]) -> None:
    assert told(row) == expected


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (call("{,}"), "the call is no JSON (Expecting property name enclosed in double quotes at character 1)"),
        (call('{"name": "mare", "arguments": {}}'), "calls 'mare', which `tools` does not declare"),
        (call('{"name": "m", "parameters": {}}'), "the call has no arguments, but 'parameters'; LLaMA-Factory stops"),
        (call('{"name": "meteo", "arguments": {}}'), "call of 'meteo': misses 'luogo', which `tools` requires"),
        (call('{"name": "meteo", "arguments": {"luogo": 5}}'), "call of 'meteo': luogo is no string, as `tools` says"),
        (call('{"name": "meteo", "arguments": {"luogo": "", "giorni": [1]}}'), "giorni[0] is no string"),
        (call(GOOD_CALL, '[{"name": "meteo", "parameters": {"type": "objet"}}]'), "are no valid JSON schema: $.type"),
    ],
)
def test_messages_say_what_was_seen(row: Conversation, expected: str) -> None:
    assert expected in words(row)


def test_no_value_of_an_argument_is_in_a_message() -> None:
    secret = "sk-live-0123456789abcdef"
    wrong = {"luogo": [secret], "ora": secret, "unità": secret, "giorni": secret}
    found = words(call(json.dumps({"name": "meteo", "arguments": wrong})))
    assert found.count("call of") == 3 and secret not in found


def test_a_call_is_read_with_its_reasoning() -> None:
    found = parse_call(f"<think>\nVento?\n</think>\n\n[{GOOD_CALL}]")
    assert found.thought == "<think>\nVento?\n</think>"
    assert found.calls == (Call("meteo", {"luogo": "faro"}),) and found.doubts == ()


def test_tools_are_given_in_openais_form() -> None:
    wrapped = {"type": "function", "function": BARE}
    assert parse_tools(TOOLS).given == (wrapped,) and parse_tools(json.dumps([wrapped])).given == (wrapped,)
    assert parse_tools(TOOLS) is parse_tools(TOOLS)  # read once


HOSTILE: dict[str, Conversation] = {
    "an endless number": call('{"name": "f", "arguments": {"a": ' + "9" * 10_000 + "}}"),
    "an endless number in a list": call(GOOD_CALL, [{"name": "f", "parameters": {"type": 10**5000}}]),
    "an endless number in properties": call(
        GOOD_CALL, [{"name": "f", "parameters": {"type": "object", "properties": {"a": {"default": 10**5000}}}}]
    ),
    "brackets": call("[" * 100_000),
    "brackets in tools": conversation(ASK, ANSWER, tools="[" * 100_000),
    "deep parameters": call(
        '{"name": "f", "arguments": {}}',
        '[{"name": "f", "parameters": {"type": "object", "properties": {"a": '
        + '{"type": "array", "items": ' * 450
        + "{}"
        + "}" * 450
        + "}}}]",
    ),
    "tags that never close": call("<think>" * 50_000 + "</think>"),
    "tags in the wrong order": call("</think>" + "<think>" * 50_000),
    "calls that never close": call("</tool_call>" + "<tool_call>" * 50_000),
    "a gpt turn of quotes": conversation(ASK, ("gpt", '"name"' * 50_000 + " " * 50_000), RESULT, ANSWER),
    "a pattern that never ends": call(
        json.dumps({"name": "f", "arguments": {"a": "a" * 40 + "!"}}),
        '[{"name": "f", "parameters": {"type": "object", "properties": {"a": {"pattern": "^(a+)+$"}}}}]',
    ),
    "names by a pattern that never ends": call(
        json.dumps({"name": "f", "arguments": {"a" * 40 + "!": 1}}),
        '[{"name": "f", "parameters": {"type": "object", "patternProperties": {"^(a+)+$": {}}}}]',
    ),
    "a reference into itself": call(
        '{"name": "f", "arguments": {}}', '[{"name": "f", "parameters": {"type": "object", "$ref": "#"}}]'
    ),
    "references that double": call(
        '{"name": "f", "arguments": {}}',
        json.dumps([{"name": "f", "parameters": {"type": "object", "$ref": "#/$defs/d0", "$defs": {
            **{f"d{i}": {"allOf": [{"$ref": f"#/$defs/d{i + 1}"}] * 2} for i in range(60)}, "d60": {}}}}]),
    ),
    "a reference to elsewhere": call(
        '{"name": "f", "arguments": {}}',
        '[{"name": "f", "parameters": {"type": "object", "$ref": "https://schemas.invalid/x.json"}}]',
    ),
}  # fmt: skip


@pytest.mark.parametrize("row", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.timeout(20)
def test_hostile_texts_end_in_findings_soon(row: Conversation) -> None:
    assert all(hit.rule in ("B12", "B13", "B14") for hit in tool_hits(row))


@given(any_conversation)
@settings(max_examples=150)
def test_no_value_whatsoever_crashes_it(row: Conversation) -> None:
    for hit in tool_hits(row):
        assert hit.rule in RULES and hit.message and len(hit.message) < 300
        assert hit.severity is None or SEVERITIES.index(hit.severity) <= SEVERITIES.index(RULES[hit.rule].severity)
        assert hit.turn is None or 0 <= hit.turn < len(row.turns or ())


@given(st.text() | any_json.map(lambda value: json.dumps(value, default=str)))
def test_a_call_is_read_or_refused_in_words(text: str) -> None:
    try:
        found = parse_call(text)
    except ValueError as error:
        assert str(error)
    else:
        assert found.calls and all(one.name.strip() and isinstance(one.arguments, dict) for one in found.calls)


_types = st.sampled_from(["string", "integer", "number", "boolean", "array", "object", "null"])
_schemas = st.recursive(
    st.fixed_dictionaries({"type": _types}, optional={"enum": st.lists(any_json, max_size=2)}),
    lambda inner: st.one_of(
        st.fixed_dictionaries({"type": st.just("array"), "items": inner}),
        st.fixed_dictionaries(
            {"type": st.just("object"), "properties": st.dictionaries(st.sampled_from("ab"), inner, max_size=2)},
            optional={"required": st.lists(st.sampled_from("abc"), unique=True)},
        ),
    ),
    max_leaves=4,
)
_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.sampled_from("ab"),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=5,
)


@given(
    st.dictionaries(st.sampled_from("ab"), _schemas, max_size=2), st.lists(st.sampled_from("ab"), unique=True), _values
)
@settings(max_examples=150)
def test_the_short_way_finds_what_the_library_finds(properties: Any, required: list[str], value: Any) -> None:
    import jsonschema

    schema = {"type": "object", "properties": properties, "required": required}
    validator = jsonschema.Draft202012Validator(schema)
    assert bool(list(argument_faults(schema, value))) == (not validator.is_valid(value))


@given(_schemas | any_json)
@settings(max_examples=150)
def test_the_short_way_knows_a_schema_as_the_library_does(schema: Any) -> None:
    import jsonschema

    if not isinstance(schema, dict) or not ("properties" in schema or isinstance(schema.get("type"), str)):
        return
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
        valid = True
    except jsonschema.SchemaError:
        valid = False
    assert (schema_fault(schema) is None) == valid


def test_real_calls_fit_their_tools_but_one(shared: Path) -> None:
    rows = json.loads((shared / "data/sharegpt/glaive_toolcall_en_demo.json").read_text("utf-8"))
    found = {number: told(conversation_of(row)) for number, row in enumerate(rows)}
    # Row 259 gives a list where its tool asks for a number; every trainer renders it as it stands.
    assert {number: hits for number, hits in found.items() if hits} == {259: [("B13", "warning", 3)]}
