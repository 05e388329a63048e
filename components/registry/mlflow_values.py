"""Values in the form that MLflow takes: names without odd signs, no NaN, lengths within its limits."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from components.errors import InputError, TerminalError
from components.store.mlflow_params import plain_name

__all__ = ["checked_model_name", "clip_lines", "metric_values", "table_json"]


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
        values |= _flat(f"{plain_name(group.replace(':', '.'))}/", metrics)
    answers = scorecard["answers"]
    return values | {f"answers.{name}": float(answers[name]) for name in ("expected", "scored", "failed")}


def table_json(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as the JSON that MLflow's UI shows as a table (pandas orient "split").

    Written here because `log_table` appends to a table that is there: a repeated run would double its rows.
    """
    columns = list(dict.fromkeys(name for row in rows for name in row))
    data = [[row.get(name) for name in columns] for row in rows]
    return json.dumps({"columns": columns, "data": data}, ensure_ascii=False, allow_nan=False)


def clip_lines(text: str, limit: int, *, where: str = "the whole report is in report.md") -> str:
    """`text`, or its first whole lines within `limit` characters and a word on where the rest is."""
    if len(text) <= limit:
        return text
    note = f"\n\n... {where}"
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
            values[f"{prefix}{plain_name(name)}" + ("" if part == "value" else f".{part}")] = float(number)
    return values
