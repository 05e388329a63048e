"""Numbers and tables as people read them, in a terminal and in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Table", "interval", "number"]

_WHOLE = frozenset({"tasks_passed"})


@dataclass(frozen=True)
class Table:
    """A table with a heading for its columns. `title`: a line above it; empty: none."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]

    def text(self) -> str:
        """Columns side by side."""
        lines = [self.head, *self.rows]
        widths = [max(len(row[column]) for row in lines) for column in range(len(self.head))]
        shown = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in lines
        ]
        return "\n".join([f"{self.title}:", *shown] if self.title else shown)

    def markdown(self) -> str:
        """A Markdown table."""
        lines = [self.head, ["---"] * len(self.head), *self.rows]
        cells = (" | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in row) for row in lines)
        table = "\n".join(f"| {row} |" for row in cells)
        return f"**{self.title}**\n\n{table}" if self.title else table


def number(name: str, value: float | None) -> str:
    """A value of a score in its unit; `unknown` where there is none."""
    if value is None:
        return "unknown"
    if name in _WHOLE:
        return f"{value:.0f}"
    if name.endswith("_usd"):
        return f"${value:.4f}"
    if name.endswith("_seconds"):
        return f"{value:.2f} s"
    if name.endswith("_ms"):
        return f"{value:.0f} ms"
    return f"{value:.3f}"


def interval(name: str, measure: Mapping[str, Any]) -> str:
    """`low to high`, `?` for a bound that is not known; empty where neither is."""
    low, high = measure["low"], measure["high"]
    if low is None and high is None:
        return ""
    return f"{'?' if low is None else number(name, low)} to {'?' if high is None else number(name, high)}"
