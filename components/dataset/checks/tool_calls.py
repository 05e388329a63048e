"""Tool calls: what a call and a list of tools look like, and whether they fit (B12-B14)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from components.dataset.checks.tool_schemas import argument_faults, schema_fault
from components.dataset.conversation import MISSING, Conversation, Turn
from components.dataset.findings import Hit

__all__ = ["Call", "Calls", "Tools", "parse_call", "parse_tools", "tool_hits"]

# As LLaMA-Factory 0.9.5 reads a function_call turn (data/formatter.py, FunctionFormatter).
_CALL = ("<tool_call>", "</tool_call>")
_THINK = ("<think>\n", "\n</think>\n\n")
_LOOSE_THINK = ("<think>", "</think>")
# What a gpt turn that calls a tool in its text looks like: Hermes and Qwen, glaive, ToolACE, ReAct, Llama.
_CALL_IN_TEXT = re.compile(
    r"<tool_call|<function|<\|python_tag\|>|^\s*\[\s*\w[\w.\- ]*\(|Action:|\"(?:name|arguments|parameters)\"\s*:|```"
)
_TOOLS_IN_TEXT = re.compile(r"<tools>|\"parameters\"|\"properties\"|<functions>|function", re.IGNORECASE)


class Call(NamedTuple):
    """One call. `arguments` is an object, or as it is written where it cannot be read as one."""

    name: str
    arguments: Any


class Calls(NamedTuple):
    """What a function_call turn holds: text before the calls (reasoning), the calls, and what is doubtful of them.

    `stops`: LLaMA-Factory stops on it, though others read it, and why; empty: it does not.
    """

    thought: str
    calls: tuple[Call, ...]
    doubts: tuple[str, ...] = ()
    stops: str = ""


class Tools(NamedTuple):
    """The tools of a row: what a template is given, their parameters by name, and what is wrong with them."""

    given: tuple[Mapping[str, Any], ...]
    """In OpenAI's form: {"type": "function", "function": {...}}."""
    parameters: Mapping[str, Any]
    faults: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


_NO_TOOLS = Tools((), {})


@lru_cache(maxsize=1024)
def parse_call(text: str) -> Calls:
    """Reads a function_call turn: a JSON object, or a list of them for parallel calls, after a <think> block or not.

    The same text gives the same object, since three rules read it: nobody may change it.

    Raises:
        ValueError: it is none; the text says why, for a person.
    """
    thought, body, stops = _split_thought(text)
    doubts = []
    if "<tool_call>" in thought:
        doubts.append("several <tool_call> blocks, of which LLaMA-Factory reads the first only: write a JSON list")
    value = _loads(body, "the call")
    items = value if isinstance(value, list) else [value]
    if not items:
        raise ValueError("the list of calls is empty")
    calls = []
    for item in items:
        call, doubt = _call(item)
        calls.append(call)
        if doubt and doubt not in doubts:
            doubts.append(doubt)
    return Calls(thought, tuple(calls), tuple(doubts), stops)


def _split_thought(text: str) -> tuple[str, str, str]:
    """The text without the call, the JSON of the call, and why LLaMA-Factory does not find the one or the other."""
    if (found := _between(text, _CALL)) is not None:
        begin, end = found
        return (text[:begin] + text[end:]).strip(), text[begin + len(_CALL[0]) : end - len(_CALL[1])], ""
    stops, found = "", _between(text, _THINK)
    if found is None and text.lstrip()[:1] == "<" and (found := _between(text, _LOOSE_THINK)) is not None:
        stops = "the reasoning does not stand between '<think>\\n' and '\\n</think>\\n\\n'"
    if found is not None:
        begin, end = found
        return text[begin:end].strip(), text[:begin] + text[end:], stops
    return "", text, ""


def _between(text: str, tags: tuple[str, str]) -> tuple[int, int] | None:
    """Where the first pair of tags begins and ends."""
    begin = text.find(tags[0])
    end = text.find(tags[1], begin) if begin >= 0 else -1
    return (begin, end + len(tags[1])) if end >= 0 else None


def _loads(text: str, what: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = f"{error.msg} at character {error.pos}" if isinstance(error, json.JSONDecodeError) else "it is too big"
        raise ValueError(f"{what} is no JSON ({reason})") from None


def _call(item: Any) -> tuple[Call, str | None]:
    if not isinstance(item, Mapping):
        raise ValueError("a call is no object with name and arguments")
    if "name" not in item and isinstance(item.get("function"), Mapping):
        raise ValueError("the call is in OpenAI's wrapping; write what is under `function`")
    name = item.get("name")
    if not isinstance(name, str) or not name.strip():
        raise ValueError("the call has no name")
    if "arguments" not in item:
        instead = next((key for key in ("parameters", "args", "argument", "input") if key in item), None)
        raise ValueError(f"the call has no arguments{f', but {instead!r}' if instead else ''}")
    arguments = item["arguments"]
    if isinstance(arguments, Mapping):
        return Call(name, arguments), None
    if not isinstance(arguments, str):
        raise ValueError("the arguments are no object")
    if not arguments.strip():
        return Call(name, {}), "the arguments are an empty text, expected {}"
    parsed = _loads(arguments, "the text of the arguments")
    if not isinstance(parsed, Mapping):
        raise ValueError("the arguments are no object")
    return Call(name, parsed), "the arguments are JSON in a text, which LLaMA-Factory trains as a text: write an object"


def parse_tools(value: Any) -> Tools:
    """The tools of a row: JSON text or a list; null, empty text and an empty list are none. Read once per text."""
    if value is MISSING or value is None or value == "" or value == []:
        return _NO_TOOLS
    if isinstance(value, str):
        return _parse_tools_text(value)
    if not isinstance(value, list):
        return _NO_TOOLS._replace(faults=("`tools` is neither a list nor the JSON text of one",))
    return _tools(value)


@lru_cache(maxsize=2048)
def _parse_tools_text(text: str) -> Tools:
    try:
        value = _loads(text, "`tools`")
    except ValueError as error:
        return _NO_TOOLS._replace(faults=(str(error),))
    if value == {}:
        return _NO_TOOLS
    if not isinstance(value, list):
        return _NO_TOOLS._replace(faults=("`tools` is no list: put the tool into one",))
    return _tools(value)


def _tools(items: list[Any]) -> Tools:
    given, parameters, faults, doubts = [], {}, [], []
    for number, item in enumerate(items):
        function = item.get("function") if isinstance(item, Mapping) and item.get("type") == "function" else item
        if isinstance(item, Mapping) and isinstance(item.get("function"), Mapping):
            function = item["function"]
        if not isinstance(function, Mapping):
            faults.append(f"tool {number} is no object")
            continue
        name = function.get("name")
        if not isinstance(name, str) or not name.strip():
            faults.append(f"tool {number} has no name")
            continue
        if name in parameters:
            doubts.append(f"tool {name[:40]!r} is declared twice")
        parameters[name] = function.get("parameters")
        if problem := schema_fault(parameters[name]):
            doubts.append(f"the parameters of tool {name[:40]!r} are no valid JSON schema: {problem}")
        given.append(item if item is not function else {"type": "function", "function": item})
    return Tools(tuple(given), parameters, tuple(faults), tuple(doubts))


def tool_hits(conversation: Conversation) -> Iterator[Hit]:
    """What is wrong with calls, their results and their tools."""
    tools = parse_tools(conversation.tools)
    for fault in tools.faults:
        yield Hit("B14", fault)
    for doubt in tools.doubts:
        yield Hit("B14", doubt, severity="warning")
    turns = conversation.turns or ()
    called = False
    for place, turn in enumerate(turns):
        if turn.role == "function_call":
            called = True
            yield from _call_hits(place, turn, tools, is_converted=conversation.converted is not None)
            yield from _unanswered(place, turns)
        elif turn.role == "observation":
            yield from _uncalled(place, turns)
    if called and not tools.parameters and not tools.faults:
        if not _TOOLS_IN_TEXT.search(conversation.system_text()):
            message = "calls, but no `tools`: the model learns to call what it was not told of"
            yield Hit("B14", message, severity="warning")


def _call_hits(place: int, turn: Turn, tools: Tools, *, is_converted: bool) -> Iterator[Hit]:
    if not isinstance(turn.value, str) or not turn.value.strip():
        return  # B3, B5 or C1 says it
    try:
        calls = parse_call(turn.value)
    except ValueError as error:
        yield Hit("B13", f"{error}; LLaMA-Factory stops on it", turn=place)
        return
    if calls.stops:
        yield Hit("B13", f"{calls.stops}; LLaMA-Factory stops on it", turn=place, fix="write it so, newlines included",
                  severity="warning" if is_converted else None)  # fmt: skip
    for doubt in calls.doubts:
        yield Hit("B13", doubt, turn=place, severity="warning")
    for call in calls.calls:
        if not tools.parameters:
            continue
        if call.name not in tools.parameters:
            yield Hit("B13", f"calls {call.name[:40]!r}, which `tools` does not declare", turn=place)
            continue
        # A warning: every trainer renders such a call as it stands, and sets that were written with care have some.
        for fault in argument_faults(tools.parameters[call.name], call.arguments):
            yield Hit("B13", f"call of {call.name[:40]!r}: {fault}", turn=place, severity="warning")


def _unanswered(place: int, turns: tuple[Turn, ...]) -> Iterator[Hit]:
    """A call whose result does not follow. Last in a conversation it may be meant: only calling is to be learnt."""
    after = turns[place + 1] if place + 1 < len(turns) else None
    if after is None:
        yield Hit("B12", "the conversation ends with a call: nobody learns what to do with the result", turn=place,
                  fix="add observation and gpt, if more than calling is to be learnt", severity="warning")  # fmt: skip
    elif after.role == "human":
        yield Hit("B12", "no observation follows the call: its result is missing", turn=place)


def _uncalled(place: int, turns: tuple[Turn, ...]) -> Iterator[Hit]:
    """A result that no call asked for. A turn of the wrong side before it is B8 or B10."""
    before = turns[place - 1] if place else None
    if before is not None and before.role == "gpt" and not _CALL_IN_TEXT.search(before.text):
        yield Hit("B12", "no function_call comes before the observation: it is the result of nothing", turn=place)
