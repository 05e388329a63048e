"""Rules of structure: the row, its turns, whose turn it is, media marks and training flags (B1-B11, B15, B16)."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from components.dataset.checks.train_flags import FLAGS, flag_hits
from components.dataset.conversation import ASSISTANT_ROLES, MISSING, ROLES, USER_ROLES, Conversation, Turn
from components.dataset.findings import Hit

__all__ = ["structure_hits"]

_KNOWN = frozenset({
    "conversations", "system", "tools", "id", "images", "videos", "audios", "chosen", "rejected", "kto_tag",
    "stage", "provenance", "review", "rating", "source", "lang",
})  # fmt: skip
_MARKS = {"images": "<image>", "videos": "<video>", "audios": "<audio>"}
_KNOWN_ROLES = frozenset(ROLES)
_MOST_KEYS = 6
"""Of a row without turns that are told."""
_DROPS = "LLaMA-Factory drops the row"


def structure_hits(conversation: Conversation) -> Iterator[Hit]:
    """What is wrong with the shape of a conversation; one fault is told once.

    Turns that cannot be read (B2, B3, B6) are taken to be what their place asks for, so that they raise nothing else.
    """
    yield from _row_hits(conversation)
    turns = conversation.turns
    if not turns:
        yield Hit("B1", _no_turns(conversation))
        return
    unknown: dict[str, list[int]] = {}
    for place, turn in enumerate(turns):
        if type(turn.role) is str and turn.role in _KNOWN_ROLES and type(turn.value) is str and not turn.extra:
            continue
        yield from _turn_hits(place, turn, unknown)
    for key, places in unknown.items():
        more = f", and in {len(places) - 1} more turns" if len(places) > 1 else ""
        yield Hit("B4", f"a turn has the key {_shown(key)}, which no trainer reads{more}", turn=places[0])
    yield from _order_hits(conversation, turns)
    yield from _media_hits(conversation, turns)
    if any(turn.extra for turn in turns):
        yield from flag_hits(turns)


def _row_hits(conversation: Conversation) -> Iterator[Hit]:
    for key in conversation.extra:
        near = None if key in _KNOWN else _near(key, _KNOWN)
        if near is not None and not _has(conversation, near):
            yield Hit("B4", f"no trainer reads the key {_shown(key)}; is it {near!r}?", fix=f"rename it to {near}")
    if not isinstance(conversation.system, str) and conversation.system not in (MISSING, None):
        yield Hit("B5", f"`system` is {_kind(conversation.system)}, expected text", fix="write it as one string")


def _no_turns(conversation: Conversation) -> str:
    if conversation.turns is not None:
        return "the list `conversations` is empty; Axolotl stops on it"
    raw = conversation.raw
    value = raw.get("conversations", MISSING) if isinstance(raw, Mapping) else MISSING
    if value is MISSING:
        return f"the row has no `conversations`{_instead(raw)}"
    return f"`conversations` is {_kind(value)}, expected a list of turns"


def _instead(raw: Any) -> str:
    """What a row has that has no turns: its keys, and what they say it is."""
    if not isinstance(raw, Mapping):
        return ""
    if not raw:
        return "; it is empty"
    keys = [_shown(str(key)) for key in list(raw)[:_MOST_KEYS]]
    more = f" and {len(raw) - _MOST_KEYS} more" if len(raw) > _MOST_KEYS else ""
    seen = f"; its key{'s are' if len(raw) > 1 else ' is'} {', '.join(keys)}{more}"
    if "chosen" in raw and "rejected" in raw:
        return f"{seen}: a pair of preferences (for DPO), not a conversation"
    for key in raw:
        rows = raw[key]
        if len(raw) <= _MOST_KEYS and isinstance(rows, list) and rows and all(isinstance(row, Mapping) for row in rows):
            return f"{seen}: the rows seem to lie under {_shown(str(key))}; write that list alone"
    return seen


def _turn_hits(place: int, turn: Turn, unknown: dict[str, list[int]]) -> Iterator[Hit]:
    """Of one turn that is not plainly good; keys that nobody knows are added to `unknown`."""
    if turn.role is MISSING and turn.value is MISSING and not isinstance(turn.raw, Mapping):
        yield Hit("B2", f"the turn is {_kind(turn.raw)}, expected an object with `from` and `value`", turn=place)
        return
    missing = [key for key, value in (("from", turn.role), ("value", turn.value)) if value is MISSING]
    instead: dict[str, str] = {}
    for key in turn.extra:
        if key in FLAGS:
            continue
        near = {"role": "from", "content": "value", "text": "value"}.get(key) or _near(key, frozenset(missing))
        if near in missing:
            instead[near] = key
        else:
            unknown.setdefault(key, []).append(place)
    for key in missing:
        found = instead.get(key)
        seen = f", but {_shown(found)}" if found else ""
        yield Hit("B3", f"the turn has no `{key}`{seen}", turn=place, fix=f"rename it to {key}" if found else None)
    if turn.value is not MISSING and not isinstance(turn.value, str):
        yield Hit("B5", f"`value` is {_kind(turn.value)}, expected text", turn=place, fix=_value_fix(turn))
    if turn.role is not MISSING and not _is_known(turn.role):
        yield _role_hit(place, turn.role)


def _value_fix(turn: Turn) -> str | None:
    if isinstance(turn.value, list) and all(isinstance(part, Mapping) and "type" in part for part in turn.value):
        return "join the texts of the parts into one string"
    if isinstance(turn.value, Mapping | list) and turn.role in ("function_call", "observation"):
        return "write it as JSON text in a string"
    return None


def _role_hit(place: int, role: Any) -> Hit:
    if not isinstance(role, str):
        return Hit("B6", f"`from` is {_kind(role)}, expected one of: {', '.join(ROLES)}", turn=place)
    meant = _MEANT.get(role.strip().lower()) or _near(role, _KNOWN_ROLES)
    hint = f", is it {meant}?" if meant else ":"
    message = f"unknown role {_shown(role)}{hint} Axolotl's template leaves the turn out, LLaMA-Factory drops the row"
    return Hit("B6", message, turn=place, fix=f"rename it to {meant}" if meant else None)


_MEANT = {
    "user": "human", "prompter": "human", "assistant": "gpt", "bot": "gpt", "chatgpt": "gpt", "bing": "gpt",
    "bard": "gpt", "model": "gpt", "ai": "gpt", "chatbot": "gpt", "human": "human", "gpt": "gpt", "system": "system",
    "tool": "observation", "function": "observation", "function_response": "observation", "ipython": "observation",
    "tool_response": "observation", "tool_call": "function_call", "tool_calls": "function_call",
}  # fmt: skip


def _order_hits(conversation: Conversation, turns: tuple[Turn, ...]) -> Iterator[Hit]:
    """B7-B11. Together: what LLaMA-Factory's converter keeps, and that there is a question and an answer.

    Its rule: after a system turn that may come first, human or observation at odd places, gpt or function_call at
    even ones, and as many of the one as of the other.
    """
    yield from _system_hits(conversation, turns)
    spoken = [(place, turn.role if _is_known(turn.role) else None) for place, turn in enumerate(turns)]
    spoken = [(place, role) for place, role in spoken if role != "system"]
    roles = {role for _, role in spoken}
    pair = " (a pair of `chosen` and `rejected` is not for supervised training)" if _is_pair(conversation) else ""
    if None not in roles:
        if not roles & ASSISTANT_ROLES:
            yield Hit("B11", f"no gpt turn: nothing is trained, and {_DROPS}{pair}")
            return
        if "human" not in roles:
            yield Hit("B11", f"no human turn: {'an answer' if 'gpt' in roles else 'a call'} to no question")
            return
    first_place, first = spoken[0] if spoken else (0, None)
    last_place, last = spoken[-1] if spoken else (0, None)
    if first is not None and first != "human":
        dropped = "the result of no call" if first == "observation" else f"{_DROPS}, Axolotl trains it"
        yield Hit("B8", f"begins with {first}, expected human: {dropped}", turn=first_place)
    for (_, before), (place, role) in zip(spoken, spoken[1:], strict=False):
        if before is not None and role is not None and (before in USER_ROLES) == (role in USER_ROLES):
            yield Hit("B10", _same_side(before, role), turn=place, fix=_same_side_fix(before, role))
    if last in USER_ROLES:
        what = "the answer to it is missing" if last == "human" else "what the partner says to the result is missing"
        yield Hit("B9", f"ends with {last}: {what}; {_DROPS}, Axolotl trains the rest{pair}", turn=last_place)


def _system_hits(conversation: Conversation, turns: tuple[Turn, ...]) -> Iterator[Hit]:
    places = [place for place, turn in enumerate(turns) if turn.role == "system"]
    if not places:
        return
    if places[0] == 0 and isinstance(conversation.system, str) and conversation.system.strip():
        same = "the same text twice" if conversation.system == turns[0].text else "two texts"
        yield Hit("B7", f"a system prompt in the turn and in the column ({same}); LLaMA-Factory ignores the column", 0)
    for place in places:
        if place > 0:
            yield Hit("B7", f"a system turn at place {place}, expected only at 0; {_DROPS}, Axolotl keeps it", place)


def _same_side(before: str, role: str) -> str:
    after = f"{role} after {before}" if role != before else f"two {role} turns in a row"
    does = "trains both" if role in ASSISTANT_ROLES else "makes two questions of it"
    return f"{after}: {_DROPS}, Axolotl {does}"


def _same_side_fix(before: str, role: str) -> str | None:
    if before == role == "function_call":
        return "write parallel calls as one turn with a JSON list of calls"
    if before == role == "observation":
        return "write the results of parallel calls as one turn"
    return "join them, or add the turn that is missing between them" if before == role else None


def _media_hits(conversation: Conversation, turns: tuple[Turn, ...]) -> Iterator[Hit]:
    for column, mark in _MARKS.items():
        files = conversation.extra.get(column)
        count = len(files) if isinstance(files, list) else int(files not in (None, "", MISSING))
        if not count and column != "images":
            continue  # <video> and <audio> are tags of HTML too: without a file they are text
        marks = sum(turn.text.count(mark) for turn in turns)
        if count and marks != count:
            yield Hit("B15", f"{_many(marks, mark)} in the text, {count} in `{column}`; LLaMA-Factory stops on it")
        elif marks and not count:
            message = f"{_many(marks, mark)} in the text, but no `{column}`: a text model learns the mark as text"
            yield Hit("B15", message, severity="warning")


def _many(count: int, mark: str) -> str:
    return f"{count} mark{'' if count == 1 else 's'} {mark}"


def _is_known(role: Any) -> bool:
    return isinstance(role, str) and role in _KNOWN_ROLES


def _is_pair(conversation: Conversation) -> bool:
    return "chosen" in conversation.extra and "rejected" in conversation.extra


def _has(conversation: Conversation, key: str) -> bool:
    own = {"conversations": conversation.turns is not None, "system": conversation.system is not MISSING,
           "tools": conversation.tools is not MISSING, "id": conversation.id is not MISSING}  # fmt: skip
    return own.get(key, key in conversation.extra)


@lru_cache(maxsize=4096)
def _near(name: str, known: frozenset[str]) -> str | None:
    """The known name that `name` is a slip of; None: another word."""
    if len(name) > 40:
        return None
    found = difflib.get_close_matches(name.strip().lower(), sorted(known), n=1, cutoff=0.75)
    return found[0] if found else None


def _shown(name: str) -> str:
    return repr(name if len(name) <= 40 else name[:39] + "…")


def _kind(value: Any) -> str:
    """What a JSON value is, for a person."""
    if value is None or value is MISSING:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "text"
    return "a list" if isinstance(value, list | tuple) else "an object"
