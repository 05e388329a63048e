"""Values in the form that MLflow takes: names without odd signs, no NaN, lengths within its limits."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from components.errors import InputError, TerminalError

__all__ = ["checked_model_name", "clip_lines", "metric_values", "param_values", "table_json"]

_NAME_LIMIT = 250
_PARAM_LIMIT = 6000
_ODD = re.compile(r"[^\w.\- /]")


def checked_model_name(name: str) -> str:
    """`name`, when MLflow can hold and find it; else raises InputError."""
    if not name.strip() or re.search(r"[/:'\"`\\]", name):
        raise InputError(f"registry.model_name is {name!r}; expected a name without / : quotes and backslashes.")
    return name


def metric_values(scorecard: Mapping[str, Any]) -> dict[str, float]:
    """Metrics of a scorecard, flat: `mrr`, `mrr.low`, `mrr.high`, `mrr.n`; groups as `lang.it/mrr`.

    What is unknown (None) is left out: MLflow has no word for it. Raises TerminalError for NaN and infinity, which
    MLflow would store without a word.
    """
    values = _flat("", scorecard["metrics"])
    for group, metrics in scorecard["groups"].items():
        values |= _flat(f"{_name(group.replace(':', '.'))}/", metrics)
    answers = scorecard["answers"]
    return values | {f"answers.{name}": float(answers[name]) for name in ("expected", "scored", "failed")}


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
        plain, number = _name(name), 2
        unique = plain
        while unique in values:
            unique, number = f"{plain[: _NAME_LIMIT - 4]}_{number}", number + 1
        values[unique] = text
    return values


def table_json(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as the JSON that MLflow's UI shows as a table (pandas orient "split").

    Written here because `log_table` appends to a table that is there: a repeated run would double its rows.
    """
    columns = list(dict.fromkeys(name for row in rows for name in row))
    data = [[row.get(name) for name in columns] for row in rows]
    return json.dumps({"columns": columns, "data": data}, ensure_ascii=False, allow_nan=False)


def clip_lines(text: str, limit: int) -> str:
    """`text`, or its first whole lines within `limit` characters and a word on where the rest is."""
    if len(text) <= limit:
        return text
    note = "\n\n... the whole report is in report.md"
    return text[: limit - len(note)].rsplit("\n", 1)[0] + note


def _flat(prefix: str, metrics: Mapping[str, Any]) -> dict[str, float]:
    values = {}
    for name, metric in metrics.items():
        for part in ("value", "low", "high", "n"):
            number = metric[part]
            if number is None:
                continue
            if not math.isfinite(number):
                raise TerminalError(f"The score {prefix}{name} has the {part} {number}: expected a number, or none.")
            values[f"{prefix}{_name(name)}" + ("" if part == "value" else f".{part}")] = float(number)
    return values


def _name(name: str) -> str:
    """Letters, digits, `_ - . /` and spaces; no part that a file system would read as a way up."""
    parts = [part for part in _ODD.sub("_", name).split("/") if part.strip(". ")]
    return "/".join(parts)[:_NAME_LIMIT].rstrip("/") or "_"
