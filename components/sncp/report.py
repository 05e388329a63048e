"""The report of a collecting, for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["report_markdown"]

_SHOWN = 100


def report_markdown(report: Mapping[str, Any]) -> str:
    """Markdown of `Collection.report()`: counts first, then what needs a look. Never holds a secret."""
    parts = [f"# {report['notes']} notes\n"]
    for name, counts in report["by"].items():
        shown = ", ".join(f"{value} {count}" for value, count in counts.items())
        parts.append(f"- {name.replace('_', ' ')}: {shown or 'none'}")
    parts += _table("Secrets masked", ("note", "line", "rule", "masked"), [
        (item["path"], item["line"], item["rule"], item["masked"]) for item in report["findings"]
    ])  # fmt: skip
    parts += _table("Left out", ("file", "why"), [(item["path"], item["reason"]) for item in report["skipped"]])
    parts += _table("Mended", ("note", "line", "what"), [
        (item["path"], item["line"], item["message"]) for item in report["notices"]
    ])  # fmt: skip
    parts += _table("The same text", ("file", "read as"), [
        (item["path"], item["of"]) for item in report["duplicates"]
    ])  # fmt: skip
    return "\n".join(parts) + "\n"


def _table(title: str, heads: tuple[str, ...], rows: list[tuple[Any, ...]]) -> list[str]:
    if not rows:
        return []
    lines = [f"\n## {title} ({len(rows)})\n", f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}"]
    for row in rows[:_SHOWN]:
        cells = (str(cell).replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ") for cell in row)
        lines.append(f"| {' | '.join(cells)} |")
    if len(rows) > _SHOWN:
        lines.append(f"\nand {len(rows) - _SHOWN} more, in report.json")
    return lines
