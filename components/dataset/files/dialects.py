"""Other formats of chats in the terms of ShareGPT: OpenAI messages, Alpaca, pairs, and ShareGPT with other names.

Each function takes a row and gives its turns, the columns `system` and `tools`, the keys that it used up, and hits for
the parts that could not be carried over. A value that is no text stays as it is, for the rules to tell.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from components.dataset.conversation import MISSING, Turn
from components.dataset.findings import Hit

__all__ = ["PAIRS", "ROLE_NAMES", "TOOL_ROLE_NAMES", "TURN_KEYS", "Parts", "calls_in_text", "convert", "json_text"]

TURN_KEYS = ("conversations", "messages", "conversation")
"""Columns that hold a list of turns."""
TOOL_ROLE_NAMES = {
    "tool": "observation", "function": "observation", "tool_response": "observation",
    "function_response": "observation", "tool_call": "function_call",
    "function-call": "function_call", "function-response": "observation", "tool-call": "function_call",
    "tool-response": "observation",
}  # fmt: skip
"""What Hermes, Swift and OpenAI call the roles of tools."""
ROLE_NAMES = {"user": "human", "assistant": "gpt", "developer": "system", **TOOL_ROLE_NAMES}
"""What other dialects call the roles. A role that is in none of them stays as it is."""

PAIRS = (
    ("query", "response"), ("prompt", "response"), ("prompt", "completion"), ("question", "answer"),
    ("input", "output"),
)  # fmt: skip
"""Columns that hold a question and its answer."""
_MEDIA = {"image": "image", "image_url": "image", "input_image": "image", "video": "video", "video_url": "video",
          "audio": "audio", "audio_url": "audio"}  # fmt: skip
_CALL = ("<tool_call>", "</tool_call>")
_RESULT = ("<tool_response>", "</tool_response>")
_CARRIED = frozenset({"role", "content", "tool_calls", "function_call", "reasoning_content"})
_LOST = frozenset({"tool_call_id", "name", "refusal", "annotations", "audio", "from", "value"})  # no place for them


@dataclass
class Parts:
    """What a row was taken apart into."""

    turns: list[Turn] = field(default_factory=list)
    system: Any = MISSING
    tools: Any = MISSING
    used: set[str] = field(default_factory=set)
    """Keys of the row that are in the turns now."""
    media: dict[str, list[Any]] = field(default_factory=dict)
    """images, videos, audios that stood within the messages."""
    hits: list[Hit] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    """Names of what ShareGPT has no place for."""

    def add(self, role: Any, value: Any, raw: Any = None, extra: Mapping[str, Any] | None = None) -> None:
        """One more turn."""
        self.turns.append(Turn(role, value, extra or {}, raw))


def json_text(value: Any) -> str:
    """JSON on one line, letters as they are."""
    return json.dumps(value, ensure_ascii=False)


def convert(row: Mapping[str, Any], format_: str) -> Parts:
    """A row of this format (as `formats.row_format` names it) taken apart."""
    parts = Parts(system=row.get("system", MISSING), tools=row.get("tools", MISSING), used={"system", "tools"})
    if format_ == "openai":
        _messages(row, parts)
    elif format_ == "sharegpt-variant":
        _variant(row, parts)
    elif format_ == "alpaca":
        _alpaca(row, parts)
    elif format_ == "pairs":
        _human_assistant(row, parts)
    else:
        _prompt_response(row, parts)
    if isinstance(parts.tools, list | dict):
        parts.tools = json_text(parts.tools)
    if row.get("conversations") is not None and "conversations" not in parts.used:
        parts.lost.append("conversations")
    return parts


# OpenAI


def _messages(row: Mapping[str, Any], parts: Parts) -> None:
    messages: list[Any] = []
    for key in ("messages", "conversations", "conversation", "prompt", "completion"):
        if isinstance(row.get(key), list):
            messages += row[key]
            parts.used.add(key)
            if key not in ("prompt", "completion"):
                break
    if parts.tools in (MISSING, None) and isinstance(row.get("functions"), list):
        parts.tools = row["functions"]
        parts.used.add("functions")
    results: list[Any] = []
    for message in messages:
        role = message.get("role") if isinstance(message, dict) else None
        is_result = isinstance(role, str) and ROLE_NAMES.get(role) == "observation"
        if is_result and results and isinstance(message.get("content"), str | list):
            # Several results of parallel calls: one turn, else two questions would follow each other.
            results.append(_content(message["content"], parts))
            parts.turns[-1] = Turn("observation", json_text([_parsed(each) for each in results]), {}, message)
            _note_lost(message, parts)
            continue
        _message(message, parts)
        results = [parts.turns[-1].value] if is_result and parts.turns[-1].text else []


def _message(message: Any, parts: Parts) -> None:
    if not isinstance(message, dict) or not ("role" in message or "content" in message):
        is_turn = isinstance(message, dict)
        role = message.get("from", MISSING) if is_turn else MISSING
        value = message.get("value", MISSING) if is_turn else MISSING
        extra = {key: each for key, each in message.items() if key not in ("from", "value")} if is_turn else {}
        parts.add(_role(role), value, message, extra)
        return
    _note_lost(message, parts)
    extra = {
        key: each for key, each in message.items() if key not in _CARRIED and key not in _LOST and each is not None
    }
    role = _role(message.get("role", MISSING))
    value = _content(message.get("content", MISSING), parts)
    thought = message.get("reasoning_content")
    thought = f"<think>\n{thought.strip()}\n</think>\n\n" if isinstance(thought, str) and thought.strip() else ""
    called = message.get("tool_calls") or message.get("function_call")
    if not called:
        parts.add(role, thought + value if thought and isinstance(value, str) else value, message, extra)
        return
    calls = [_call(call, parts) for call in called] if isinstance(called, list) else [_call(called, parts)]
    if isinstance(value, str) and value.strip():
        # ShareGPT's function_call holds no text beside the calls, so they are written into the text, as Hermes does.
        blocks = "\n".join(f"{_CALL[0]}\n{json_text(call)}\n{_CALL[1]}" for call in calls)
        parts.add("gpt", f"{thought}{value.strip()}\n{blocks}", message, extra)
    else:
        parts.add("function_call", thought + json_text(calls[0] if len(calls) == 1 else calls), message, extra)


def _call(call: Any, parts: Parts) -> Any:
    """One call of OpenAI's as {"name", "arguments"}; what is none stays as it is."""
    if not isinstance(call, dict):
        return call
    if call.get("id") is not None:
        parts.lost.append("tool_calls.id")
    inner = call.get("function", call)
    if not isinstance(inner, dict) or "name" not in inner:
        return call
    arguments = inner.get("arguments", MISSING)
    if isinstance(arguments, str):
        parsed = _parsed(arguments)
        arguments = parsed if isinstance(parsed, dict) else arguments
    return {"name": inner["name"]} if arguments is MISSING else {"name": inner["name"], "arguments": arguments}


def _content(content: Any, parts: Parts) -> Any:
    """The text of a message: a text, or a list of parts; another value stays as it is."""
    if not isinstance(content, list) or not all(isinstance(part, dict | str) for part in content):
        return content
    texts = []
    for part in content:
        kind = "text" if isinstance(part, str) else part.get("type", "text" if "text" in part else None)
        if isinstance(part, str):
            texts.append(part)
        elif kind in ("text", "input_text", "output_text") and isinstance(part.get("text"), str):
            texts.append(part["text"])
            parts.lost += [key for key in ("train", "weight", "train_detail") if part.get(key) is not None]
        elif isinstance(kind, str) and kind in _MEDIA:
            texts.append(f"<{_MEDIA[kind]}>")
            _medium(part, kind, parts)
        else:
            name = str(kind)[:30]
            message = f"a part of type {name!r} cannot be written as text, so the message stays as it is"
            parts.hits.append(Hit("A6", message, turn=len(parts.turns)))
            return content
    return "".join(texts)


def _medium(part: Mapping[str, Any], kind: str, parts: Parts) -> None:
    """Keeps the address of a picture in the row's list; one that stands there already has none here."""
    value = next((part[key] for key in (kind, _MEDIA[kind], "url", "path") if part.get(key) is not None), None)
    value = value.get("url") if isinstance(value, dict) else value
    if isinstance(value, str):
        parts.media.setdefault(f"{_MEDIA[kind]}s", []).append(value)


def _note_lost(message: Mapping[str, Any], parts: Parts) -> None:
    parts.lost += [key for key in _LOST if message.get(key) is not None]


def _role(role: Any) -> Any:
    return ROLE_NAMES.get(role, role) if isinstance(role, str) else role


def _parsed(text: Any) -> Any:
    """What a text holds where it is JSON, else the text."""
    if not isinstance(text, str):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


# ShareGPT with other names


def _variant(row: Mapping[str, Any], parts: Parts) -> None:
    key = next(key for key in TURN_KEYS if isinstance(row.get(key), list))
    parts.used.add(key)
    results: list[str] = []  # of parallel calls, which follow each other: one turn, as of OpenAI's messages
    for turn in row[key]:
        if not isinstance(turn, dict):
            parts.add(MISSING, MISSING, turn)
            continue
        extra = {each: turn[each] for each in turn if each not in ("from", "value")}
        role, value = _role(turn.get("from", MISSING)), turn.get("value", MISSING)
        if role == "gpt" and isinstance(value, str) and (calls := calls_in_text(value)):
            role, value = "function_call", calls
        elif role == "observation" and isinstance(value, str):
            value = _results_in_text(value)
        if role == "observation" and results and isinstance(value, str) and turn.get("from") != role:
            results.append(value)
            parts.turns[-1] = Turn(role, json_text([_parsed(each) for each in results]), extra, turn)
            continue
        parts.add(role, value, turn, extra)
        results = [value] if role == "observation" and isinstance(value, str) else []


def calls_in_text(text: str) -> str | None:
    """The calls of an answer that is nothing but `<tool_call>` blocks, reasoning before them allowed; else None."""
    start = text.find(_CALL[0])
    if start < 0:
        return None
    thought = text[:start].strip()
    if thought and not (thought.startswith("<think>") and thought.endswith("</think>")):
        return None
    calls = []
    for inner in _blocks(text[start:], _CALL):
        call = _parsed(inner)
        if not isinstance(call, dict) or "name" not in call:
            return None
        calls.append(call)
    if not calls:
        return None
    return (f"{thought}\n\n" if thought else "") + json_text(calls[0] if len(calls) == 1 else calls)


def _results_in_text(text: str) -> str:
    """The results of a turn that is nothing but `<tool_response>` blocks; else the text as it is."""
    blocks = list(_blocks(text, _RESULT)) if text.lstrip().startswith(_RESULT[0]) else []
    if not blocks:
        return text
    return blocks[0] if len(blocks) == 1 else json_text([_parsed(block) for block in blocks])


def _blocks(text: str, tags: tuple[str, str]) -> Iterator[str]:
    """What is between the tags, in a text that is nothing but such blocks; nothing where it is more."""
    found: list[str] = []
    at = 0
    while (rest := text[at:].lstrip()) and len(found) < 100:
        end = rest.find(tags[1])
        if not rest.startswith(tags[0]) or end < 0:
            return
        found.append(rest[len(tags[0]) : end].strip())
        at = len(text) - len(rest) + end + len(tags[1])
    yield from found


# Questions and answers


def _alpaca(row: Mapping[str, Any], parts: Parts) -> None:
    _history(row, parts)
    instruction, given = row.get("instruction", MISSING), row.get("input")
    if isinstance(instruction, str | None) and isinstance(given, str) and given:
        instruction = f"{instruction}\n{given}" if instruction else given
    elif given not in (None, ""):
        parts.hits.append(Hit("A6", f"`input` is no text but {type(given).__name__}, so it is left out"))
    parts.add("human", instruction)
    answer = next((key for key in ("output", "response") if key in row), None)
    if answer:
        parts.add("gpt", row[answer])
    parts.used |= {"instruction", "input", *((answer,) if answer else ())}


def _prompt_response(row: Mapping[str, Any], parts: Parts) -> None:
    _history(row, parts)
    question, answer = next(pair for pair in PAIRS if pair[0] in row and pair[1] in row)
    parts.add("human", row[question])
    parts.add("gpt", row[answer])
    parts.used |= {question, answer}


def _history(row: Mapping[str, Any], parts: Parts) -> None:
    history = row.get("history")
    if not isinstance(history, list):
        return
    parts.used.add("history")
    for number, pair in enumerate(history, start=1):
        if isinstance(pair, list) and len(pair) == 2:
            parts.add("human", pair[0], pair)
            parts.add("gpt", pair[1], pair)
        else:
            parts.hits.append(Hit("A6", f"entry {number} of `history` is no pair of texts, so it is left out"))


def _human_assistant(row: Mapping[str, Any], parts: Parts) -> None:
    key = next(key for key in TURN_KEYS if isinstance(row.get(key), list))
    parts.used.add(key)
    for pair in row[key]:
        if not isinstance(pair, dict):
            parts.add(MISSING, MISSING, pair)
            continue
        for name, value in pair.items():
            role = {"human": "human", "assistant": "gpt", "system": "system"}.get(name)
            if role:
                parts.add(role, value, pair)
            else:
                parts.lost.append(str(name)[:30])
