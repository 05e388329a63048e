"""Parameters in the form that MLflow takes: flat, names without odd signs, texts within its limit."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

__all__ = ["flat", "param_values", "plain_name"]

_NAME_LIMIT = 250
_PARAM_LIMIT = 6000
_ODD = re.compile(r"[^\w.\- /]")


def flat(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Nested values by their dotted keys, as a recipe's overrides name them: `index.chunk.max_tokens` -> 200."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= flat(value, f"{before}{key}.") if isinstance(value, Mapping) and value else {f"{before}{key}": value}
    return found


def param_values(params: Mapping[str, Any]) -> dict[str, str]:
    """Parameters as MLflow takes them: name -> text (JSON for anything that is no text), cut at 6000 characters.

    Two names that become one are told apart by a number.
    """
    values: dict[str, str] = {}
    for name, value in params.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
        if len(text) > _PARAM_LIMIT:
            note = f" ... ({len(text)} characters; whole in recipe.yaml)"
            text = text[: _PARAM_LIMIT - len(note)] + note
        plain, number = plain_name(name), 2
        unique = plain
        while unique in values:
            unique, number = f"{plain[: _NAME_LIMIT - 4]}_{number}", number + 1
        values[unique] = text
    return values


def plain_name(name: str) -> str:
    """Letters, digits, `_ - . /` and spaces; no part that a file system would read as a way up."""
    parts = [part for part in _ODD.sub("_", name).split("/") if part.strip(". ")]
    return "/".join(parts)[:_NAME_LIMIT].rstrip("/") or "_"
