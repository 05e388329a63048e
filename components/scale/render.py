"""A run of phase scale for people: the table of the comparison, and what became of the candidate."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from components.page import markdown_cell
from components.scale.answers import Numbers

__all__ = ["comparison_rows", "scale_markdown", "scale_text"]

_ROWS: tuple[tuple[str, Callable[[Numbers], str]], ...] = (
    ("model", lambda one: one.model or "unknown"),
    ("questions", lambda one: str(one.asked)),
    ("errors", lambda one: str(one.errors)),
    ("answer, p50", lambda one: _seconds(one.p50_seconds)),
    ("answer, p95", lambda one: _seconds(one.p95_seconds)),
    ("first token, p50", lambda one: _seconds(one.first_token_seconds)),
    ("$ a query", lambda one: "unknown" if one.usd_per_query is None else f"${one.usd_per_query:.4f}"),
    ("with sources", lambda one: str(one.with_sources)),
)
_COLUMNS = {"candidate": "candidate", "champion": "in service", "probation": "candidate at the endpoint"}


def comparison_rows(numbers: Mapping[str, Any]) -> list[list[str]]:
    """The table, its head first. `numbers`: of `scale` of a run: who -> `Numbers.to_dict`; None: nobody."""
    found = {who: Numbers(**told) for who, told in numbers.items() if told is not None}
    shown = [who for who in _COLUMNS if who in found]
    return [["", *(_COLUMNS[who] for who in shown)], *([what, *(said(found[who]) for who in shown)]
            for what, said in _ROWS)]  # fmt: skip


def scale_text(told: Mapping[str, Any]) -> str:
    """Plain text for a terminal. `told`: `scale` of a run."""
    rows = comparison_rows(told["numbers"]) if told.get("numbers") else []
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))] if rows else []
    table = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([_head(told), *table, *_said(told)])


def scale_markdown(told: Mapping[str, Any]) -> str:
    """The same as a heading and a Markdown table."""
    rows = comparison_rows(told["numbers"]) if told.get("numbers") else []
    parts = [f"## {markdown_cell(_head(told))}"]
    if rows:
        lines = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
        parts.append("\n".join("| " + " | ".join(map(markdown_cell, row)) + " |" for row in lines))
    parts += [markdown_cell(line, longest=2000) for line in _said(told)]
    return "\n\n".join(parts) + "\n"


def _head(told: Mapping[str, Any]) -> str:
    candidate, before = told["candidate"], told.get("before")
    beside = f"beside release {before['release'][:12]}, in service" if before else "nothing was in service"
    return (
        f"candidate: release {candidate['release'][:12]}, version {candidate['version']} of run {candidate['run']}; "
        f"{beside}"
    )


def _said(told: Mapping[str, Any]) -> Sequence[str]:
    recorded = told.get("recorded")
    lines = [f"of these, {recorded} recorded by an endpoint (serve.compare)"] if recorded else []
    return [*lines, *([told["alone"]] if told.get("alone") else []), *([told["said"]] if told.get("said") else [])]


def _seconds(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.2f} s"
