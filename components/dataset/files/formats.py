"""A row of any known format -> a conversation in the terms of ShareGPT, and back to a row; never without a word.

A file has one format, told once (A6). Rows are converted each by its own shape; one that is not like the rest of its
file is told by itself, since a trainer reads all rows in one way.

**Not caught**: a format that nobody here has met. Its rows have no turns, which B1 tells.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from components.dataset.conversation import MISSING, ROLES, Conversation, Turn
from components.dataset.files.dialects import (
    PAIRS,
    ROLE_NAMES,
    TOOL_ROLE_NAMES,
    TURN_KEYS,
    Parts,
    calls_in_text,
    convert,
    json_text,
)
from components.dataset.findings import Hit

__all__ = ["FORMATS", "Conversions", "detect_format", "row_format", "to_conversation", "to_sharegpt"]

FORMATS = {
    "sharegpt": "ShareGPT",
    "sharegpt-variant": "ShareGPT with other names",
    "openai": "OpenAI messages",
    "alpaca": "Alpaca",
    "prompt-response": "pairs of a prompt and a response",
    "pairs": "turns of human and assistant",
}
"""Formats that are read, as they are called."""

_VARIANT_SHARE = 0.05  # of the rows that speak another dialect of ShareGPT: the file speaks it
_NOTHING: dict[str, Any] = {}
_COLUMNS = frozenset({"conversations", "system", "tools", "id"})
_ROLES = frozenset(ROLES)


def detect_format(values: Iterable[Any]) -> str:
    """The format of a file, a key of FORMATS, from the values of some hundred rows; `sharegpt` where it is none."""
    found = Counter(name for value in values if (name := row_format(value)))
    if not found:
        return "sharegpt"
    most = found.most_common(1)[0][0]
    both = found["sharegpt"] + found["sharegpt-variant"]
    if most == "sharegpt" and found["sharegpt-variant"] > _VARIANT_SHARE * both:
        return "sharegpt-variant"
    return most


def row_format(value: Any) -> str | None:
    """The format of one row; None: no row of any."""
    if type(value) is not dict:
        return None
    for key in TURN_KEYS:
        turns = value.get(key)
        if isinstance(turns, list):
            return _turns_format(turns, key)
    if isinstance(value.get("prompt"), list) and isinstance(value.get("completion"), list):
        return "openai" if _turns_format(value["prompt"], "messages") == "openai" else None
    if "instruction" in value and ("output" in value or "response" in value):
        return "alpaca"
    if any(question in value and answer in value for question, answer in PAIRS):
        return "prompt-response"
    return None


def _turns_format(turns: list[Any], key: str) -> str:
    objects = [turn for turn in turns if isinstance(turn, dict)]
    if any("from" in turn for turn in objects):
        if key == "conversations" and not any(_is_variant(turn) for turn in objects):
            return "sharegpt"
        return "sharegpt-variant"
    if any("role" in turn and ("content" in turn or "tool_calls" in turn) for turn in objects):
        return "openai"
    if any("human" in turn and "assistant" in turn for turn in objects):
        return "pairs"
    if key == "messages":
        return "openai"
    return "sharegpt" if key == "conversations" else "sharegpt-variant"


def _is_variant(turn: dict[str, Any]) -> bool:
    role, value = turn.get("from"), turn.get("value")
    if not isinstance(role, str):
        return False
    return role in ROLE_NAMES or (role == "gpt" and isinstance(value, str) and calls_in_text(value) is not None)


def to_conversation(
    value: Any,
    *,
    index: int,
    line: int,
    format: str,  # noqa: A002  # the word of the field
) -> tuple[Conversation, list[Hit]]:
    """A row as a conversation, whatever it is.

    Args:
        value: the row, any JSON.
        index: its position in the file.
        line: where it begins in the file.
        format: of the file, as `detect_format` says.

    Returns:
        The conversation, and hits where this row is not like the rest of its file or a part cannot be converted.
    """
    if type(value) is not dict:
        return Conversation(index, line, None, raw=value), []
    turns = value.get("conversations")
    if type(turns) is list and format in ("sharegpt", "sharegpt-variant"):
        built = []
        for turn in turns:
            if type(turn) is not dict or len(turn) != 2 or "from" not in turn or "value" not in turn:
                break
            role, text = turn["from"], turn["value"]
            if type(role) is not str or role not in _ROLES or (type(text) is str and "<tool_call>" in text):
                break
            built.append(Turn(role, text, _NOTHING, turn))
        else:
            return _as_it_is(value, tuple(built), index, line), []
    return _converted(value, index, line, format)


def _as_it_is(value: dict[str, Any], turns: tuple[Turn, ...] | None, index: int, line: int) -> Conversation:
    get = value.get
    extra = _NOTHING
    if not value.keys() <= _COLUMNS:
        extra = {key: each for key, each in value.items() if key not in _COLUMNS}
    return Conversation(
        index, line, turns, get("system", MISSING), get("tools", MISSING), get("id", MISSING), extra, value
    )


def _converted(value: dict[str, Any], index: int, line: int, format_: str) -> tuple[Conversation, list[Hit]]:
    """The slow way, for rows that are not plain ShareGPT."""
    found = row_format(value)
    hits: list[Hit] = []
    if found is None or found == "sharegpt" or (found == "sharegpt-variant" and not _is_converted(value, format_)):
        if found is not None and format_ not in ("sharegpt", "sharegpt-variant"):
            hits = _unlike("sharegpt", format_)
        turns = value.get("conversations")
        built = tuple(_turn(turn) for turn in turns) if isinstance(turns, list) else None
        return _as_it_is(value, built, index, line), hits
    parts = convert(value, found)
    if found != format_:
        # The rest of a file of another dialect of ShareGPT may well be plain, and the other way round.
        near = "conversations" in value and {found, format_} <= {"sharegpt", "sharegpt-variant"}
        hits += [Hit("A6", "names of another dialect than the rest of the file; read as ShareGPT")] if near else []
        hits += [] if near else _unlike(found, format_)
    hits += parts.hits
    extra = {key: each for key, each in value.items() if key not in parts.used and key not in ("id", "conversations")}
    extra |= {key: each for key, each in parts.media.items() if not extra.get(key)}
    return (
        Conversation(
            index, line, tuple(parts.turns), parts.system, parts.tools, value.get("id", MISSING), extra, value, found
        ),
        hits,
    )


def _is_converted(value: dict[str, Any], format_: str) -> bool:
    """Whether a row with other names is converted.

    In a file of plain ShareGPT a turn of `user` is a fault, which LLaMA-Factory drops the row for and B6 tells; only
    roles of tools, which plain files mix in, are read there.
    """
    if format_ != "sharegpt" or not isinstance(value.get("conversations"), list):
        return True
    roles = {turn["from"] for turn in value["conversations"] if isinstance(turn, dict) and _has_name(turn)}
    return not any(role in ROLE_NAMES and role not in TOOL_ROLE_NAMES for role in roles)


def _has_name(turn: dict[str, Any]) -> bool:
    return isinstance(turn.get("from"), str)


def _unlike(found: str, format_: str) -> list[Hit]:
    what = f"the row is {FORMATS[found]}, the rest of the file {FORMATS.get(format_, format_)}"
    return [
        Hit("A6", f"{what}; it was converted to be looked at"),
        Hit("B1", f"{what}: a trainer that reads the one finds no turns in the other"),
    ]


def _turn(turn: Any) -> Turn:
    if not isinstance(turn, dict):
        return Turn(MISSING, MISSING, _NOTHING, turn)
    extra = {key: each for key, each in turn.items() if key not in ("from", "value")} if len(turn) > 2 else _NOTHING
    if len(turn) == 2 and not ("from" in turn and "value" in turn):
        extra = {key: each for key, each in turn.items() if key not in ("from", "value")}
    return Turn(turn.get("from", MISSING), turn.get("value", MISSING), extra, turn)


def to_sharegpt(conversation: Conversation) -> dict[str, Any]:
    """The row as ShareGPT is written: tools as JSON text, system where it was, id and other keys kept.

    What is wrong in it stays wrong: an element of `conversations` that is no object is written as it was.
    """
    raw = conversation.raw if isinstance(conversation.raw, dict) else {}
    row: dict[str, Any] = {}
    for key, value in (("id", conversation.id), ("system", conversation.system)):
        if value is not MISSING:
            row[key] = value
    if conversation.turns is not None:
        row["conversations"] = [_written(turn) for turn in conversation.turns]
    elif "conversations" in raw:
        row["conversations"] = raw["conversations"]
    tools = conversation.tools
    if tools is not MISSING:
        row["tools"] = json_text(tools) if isinstance(tools, list | dict) else tools
    row |= {key: value for key, value in conversation.extra.items() if key not in row}
    if conversation.converted is None:  # in the order in which it stood there
        row = {key: row[key] for key in (*raw, *row) if key in row}
    return row


def _written(turn: Turn) -> Any:
    if turn.role is MISSING and turn.value is MISSING and not isinstance(turn.raw, dict):
        return turn.raw
    written = {} if turn.role is MISSING else {"from": turn.role}
    if turn.value is not MISSING:
        written["value"] = turn.value
    written |= turn.extra
    if isinstance(turn.raw, dict) and "from" in turn.raw:
        written = {key: written[key] for key in (*turn.raw, *written) if key in written}
    return written


class Conversions:
    """What was converted in a file, and what ShareGPT has no place for: one hit for all."""

    def __init__(self) -> None:
        self._formats: Counter[str] = Counter()
        self._lost: Counter[str] = Counter()

    def add(self, conversation: Conversation) -> None:
        """Counts a conversation, converted or not."""
        if conversation.converted is not None:
            self._formats[conversation.converted] += 1
            self._lost.update(_parts(conversation).lost)

    def finish(self) -> list[Hit]:
        """A6, once; nothing where no row was converted."""
        if not self._formats:
            return []
        name = self._formats.most_common(1)[0][0]
        rows = sum(self._formats.values())
        others = "" if len(self._formats) == 1 else " (" + ", ".join(self._counted(self._formats, FORMATS)) + ")"
        lost = f"; ShareGPT has no place for {', '.join(self._counted(self._lost, {}))}" if self._lost else ""
        one = "1 row was" if rows == 1 else f"{rows:,} rows were"
        return [Hit("A6", f"{FORMATS[name]}, not ShareGPT: {one} converted{others} and checked as such{lost}")]

    @staticmethod
    def _counted(counts: Counter[str], names: dict[str, str]) -> list[str]:
        return [f"{names.get(name, name)}: {count:,}" for name, count in counts.most_common(10)]


def _parts(conversation: Conversation) -> Parts:
    """What the conversation was taken apart into; again, as only few rows lose anything by it."""
    return convert(conversation.raw, str(conversation.converted))
