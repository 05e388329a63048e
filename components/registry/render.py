"""The gate's report for people: plain text for the terminal, Markdown for the Prefect and MLflow pages."""

from __future__ import annotations

from collections.abc import Sequence

from components.registry.gate import CRITERIA, Criterion, GateReport

__all__ = ["gate_markdown", "render_gate"]

_BELOW = {rule.name for rules in CRITERIA.values() for rule in rules if rule.below}
_HEAD = ("criterion", "verdict", "value", "95 % interval", "threshold", "n", "why")


def render_gate(report: GateReport) -> str:
    """Plain text: the verdict, then one line per criterion."""
    rows = [_HEAD, *(_row(criterion) for criterion in report.criteria)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([f"gate of phase {report.phase}: {report.verdict}", *lines])


def gate_markdown(report: GateReport) -> str:
    """The same as a heading and a Markdown table."""
    rows: list[Sequence[str]] = [_HEAD, ["---"] * len(_HEAD), *(_row(criterion) for criterion in report.criteria)]
    table = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)
    return f"## Gate of phase {report.phase}: {report.verdict}\n\n{table}\n"


def _row(criterion: Criterion) -> tuple[str, ...]:
    low, high = _number(criterion.low, "?"), _number(criterion.high, "?")
    interval = "" if criterion.low is None and criterion.high is None else f"{low} to {high}"
    sign = ">=" if criterion.at_least else "<" if criterion.name in _BELOW else "<="
    bound = f"{sign} {criterion.threshold:g}"
    value = _number(criterion.value, "unknown")
    return (criterion.name, criterion.verdict, value, interval, bound, str(criterion.n), criterion.reason)


def _number(value: float | None, unknown: str) -> str:
    return unknown if value is None else f"{value:.3f}"
