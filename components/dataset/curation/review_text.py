"""An example as a text that people edit, and back: turns begin with a line `=== role ===`, all else is theirs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from components.dataset.conversation import ROLES
from components.errors import InputError

__all__ = ["editable_text", "edited_content"]

_HELP = """\
# Change the words below, save and close the editor. A line such as "=== human ===" begins a turn; roles are
# {roles}. What stands above the first such line is not read.
""".format(roles=", ".join(ROLES))
_HEAD = re.compile(r"=== (\w+) ===\s*\Z")
_LIKE_A_HEAD = re.compile(r"(\\*)(?==== \w+ ===)")


def editable_text(row: Mapping[str, Any]) -> str:
    """The text of a ShareGPT row. Raises InputError where a turn is not a role and a text."""
    parts = [_HELP]
    if isinstance(row.get("system"), str):
        parts.append(_section("system", row["system"]))
    for number, turn in enumerate(row["conversations"]):
        if not (isinstance(turn, dict) and isinstance(turn.get("from"), str) and isinstance(turn.get("value"), str)):
            raise InputError(f"turn {number} is not a role and a text: it can only be mended in the file")
        parts.append(_section(turn["from"], turn["value"]))
    return "\n".join(parts)


def edited_content(text: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """What an edited text makes of `row`: `conversations`, and `system` and `tools` where there are any.

    Blank lines at the ends of a turn are not kept. Other keys of a turn stay where it is at its place with its role.
    Raises InputError, with the line, for a role that is none and a text without turns.
    """
    sections: list[tuple[str, list[str]]] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if head := _HEAD.match(line):
            if head[1] not in ROLES:
                raise InputError(f"line {number}: {head[1]!r} is no role; expected one of {', '.join(ROLES)}")
            sections.append((head[1], []))
        elif sections:
            sections[-1][1].append(_LIKE_A_HEAD.sub(lambda found: found[1][1:], line, count=1))
    turns = [(role, "\n".join(lines).strip("\n")) for role, lines in sections]
    before = row["conversations"]
    content: dict[str, Any] = {}
    in_column = isinstance(row.get("system"), str) or not any(_role(turn) == "system" for turn in before)
    if in_column and turns and turns[0][0] == "system":
        content["system"] = turns.pop(0)[1]
    if not turns:
        raise InputError('no turn is left: expected lines such as "=== human ===" with text below them')
    content["conversations"] = [
        {
            **(before[place] if place < len(before) and _role(before[place]) == role else {}),
            "from": role,
            "value": value,
        }
        for place, (role, value) in enumerate(turns)
    ]
    if row.get("tools") is not None:
        content["tools"] = row["tools"]
    return content


def _section(role: str, value: str) -> str:
    lines = (_LIKE_A_HEAD.sub(r"\\\1", line, count=1) if _LIKE_A_HEAD.match(line) else line
             for line in value.split("\n"))  # fmt: skip
    return f"=== {role} ===\n" + "\n".join(lines) + "\n"


def _role(turn: Any) -> Any:
    return turn.get("from") if isinstance(turn, dict) else None
