"""The report in a few lines of Markdown, for Prefect's artifact: verdict, what next, gate, what is open."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.page import markdown_cell, one_line
from components.registry.gate import GateReport
from components.registry.render import gate_markdown
from components.registry.report.headline import headline, undecided

__all__ = ["report_markdown"]


def report_markdown(*, gate: Mapping[str, Any], scorecard: Mapping[str, Any], page: Path) -> str:
    """Short Markdown.

    Args:
        gate: gate.json.
        scorecard: scorecard.json.
        page: where the page lies.
    """
    head = headline(gate, scorecard)
    steps = [f"- {markdown_cell(one)}" for one in head.next]
    open_ = [f"- {markdown_cell(name)}: {markdown_cell(why)}" for name, why in undecided(scorecard)]
    parts = [
        f"# {head.title}",
        markdown_cell(head.says),
        "\n".join(steps),
        gate_markdown(GateReport.from_dict(gate)).strip(),
    ]
    if open_:
        parts.append("Undecided:\n\n" + "\n".join(open_))
    parts.append(f"The whole report, one file for any browser: `{one_line(str(page), longest=500).replace('`', '')}`")
    return "\n\n".join(part for part in parts if part) + "\n"
