"""The report of a collecting, for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

__all__ = ["findings_rows", "findings_text", "report_markdown"]

_SHOWN = 100
_SHOWN_IN_TERMINAL = 5
_SHOWN_IN_TABLE = 500
_FOR_SECRETS = ("quarantined", "its path holds a secret")
"""How the reasons begin of notes that are left out for what is in them."""


def report_markdown(report: Mapping[str, Any]) -> str:
    """Markdown of `Collection.report()`: counts first, then what needs a look. Never holds a secret."""
    parts = [f"# {report['notes']} notes\n"]
    for name, counts in report["by"].items():
        shown = ", ".join(f"{value} {count}" for value, count in counts.items())
        parts.append(f"- {name.replace('_', ' ')}: {shown or 'none'}")
    if rules := Counter(item["rule"] for item in report["findings"]):
        parts.append(f"- masked: {', '.join(f'{rule} {count}' for rule, count in sorted(rules.items()))}")
    parts += _table("Secrets and personal data", ("note", "line", "rule", "masked"), [
        (item["path"], item["line"], item["rule"], item["masked"]) for item in report["findings"]
    ])  # fmt: skip
    parts += _table("Left out", ("file", "why"), [(item["path"], item["reason"]) for item in report["skipped"]])
    parts += _table("Mended", ("note", "line", "what"), [
        (item["path"], item["line"], item["message"]) for item in report["notices"]
    ])  # fmt: skip
    parts += _table("The same text", ("file", "read as"), [
        (item["path"], item["of"]) for item in report["duplicates"]
    ])  # fmt: skip
    parts += _table("Nearly the same text", ("keep", "and", "in common", "why"), [
        (_place(item["keep"], item["keep_lines"]), _place(item["other"], item["other_lines"]),
         f"{item['similarity']:.0%}", item["why"])
        for item in report.get("near_duplicates", ())
    ])  # fmt: skip
    return "\n".join(parts) + "\n"


def _place(path: str, lines: list[int]) -> str:
    return f"{path}:{lines[0]}-{lines[1]}"


def findings_text(report: Mapping[str, Any], *, where: str) -> str | None:
    """Lines for the terminal: what was masked, what was left out for it, and `where` the rest is; None: nothing."""
    masked = [f"{item['path']}:{item['line']}  {item['rule']}  {item['masked']}" for item in report["findings"]]
    left_out = [
        f"{item['path']}  {item['reason']}" for item in report["skipped"] if item["reason"].startswith(_FOR_SECRETS)
    ]
    lines: list[str] = []
    for title, found in (("secrets or personal data found", masked), ("notes left out for them", left_out)):
        if found:
            lines += [f"{len(found)} {title}:", *(f"  {line}" for line in found[:_SHOWN_IN_TERMINAL])]
            if len(found) > _SHOWN_IN_TERMINAL:
                lines.append(f"  and {len(found) - _SHOWN_IN_TERMINAL} more: {where}")
    return "\n".join(lines) or None


def findings_rows(report: Mapping[str, Any]) -> list[dict[str, str]]:
    """A row for each finding (the first 500), for a table: place, rule, what may be shown of it."""
    return [
        {"place": f"{item['path']}:{item['line']}", "rule": item["rule"], "masked": item["masked"]}
        for item in report["findings"][:_SHOWN_IN_TABLE]
    ]


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
