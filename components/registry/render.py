"""The gate's report for people: plain text for the terminal, Markdown for the Prefect and MLflow pages."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from components.page import one_line
from components.registry.gate import CRITERIA, Criterion, GateReport

__all__ = ["gate_markdown", "render_gate"]

_BELOW = {rule.name for rules in CRITERIA.values() for rule in rules if rule.below}
_WHOLE = {rule.name for rules in CRITERIA.values() for rule in rules if rule.kind == "tasks"}
_HEAD = ("criterion", "verdict", "value", "95 % interval", "threshold", "n", "why")
_WIDTH = 100  # columns of a terminal


def render_gate(report: GateReport) -> str:
    """Plain text: the verdict, then a line per criterion and, where it is not GO, why."""
    head = _HEAD[:-1]
    rows = [_row(criterion) for criterion in report.criteria]
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()

    lines = [f"gate of phase {report.phase}: {report.verdict}", line(head)]
    for criterion, row in zip(report.criteria, rows, strict=True):
        lines.append(line(row[:-1]))
        if criterion.verdict != "GO":
            lines += textwrap.wrap(criterion.reason, _WIDTH, initial_indent="    ", subsequent_indent="    ")
    return "\n".join(lines)


def gate_markdown(report: GateReport) -> str:
    """The same as a heading and a Markdown table, with the reason of each verdict."""
    told = [(_cell(name), *cells, _cell(why)) for name, *cells, why in map(_row, report.criteria)]
    rows: list[Sequence[str]] = [_HEAD, ["---"] * len(_HEAD), *told]
    table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    return f"## Gate of phase {report.phase}: {report.verdict}\n\n{table}\n"


def _cell(text: str) -> str:
    """Names of groups and reasons hold what people wrote in files: no link, no HTML, no way out of the cell."""
    return "".join("\\" + char if char in "\\|<>[]" else char for char in one_line(text, longest=600))


def _row(criterion: Criterion) -> tuple[str, ...]:
    digits = 0 if criterion.name in _WHOLE else 3
    low, high = _number(criterion.low, "?", digits), _number(criterion.high, "?", digits)
    interval = "" if criterion.low is None and criterion.high is None else f"{low} to {high}"
    sign = ">=" if criterion.at_least else "<" if criterion.name in _BELOW else "<="
    bound = f"{sign} {criterion.threshold:g}"
    value = _number(criterion.value, "unknown", digits)
    reason = " ".join(criterion.reason.split())
    return (criterion.name, criterion.verdict, value, interval, bound, str(criterion.n), reason)


def _number(value: float | None, unknown: str, digits: int) -> str:
    return unknown if value is None else f"{value:.{digits}f}"
