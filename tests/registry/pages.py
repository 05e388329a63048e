"""The parts of a run's page, and two runs that are not good enough."""

from __future__ import annotations

from typing import Any

from components.registry.report.facts import RunReport
from tests.pages import Outline
from tests.registry.reports import gate_of, scorecard

PARTS = (
    "gate", "personality", "tasks", "retrieval", "cost", "training", "changes", "worst", "errors", "unshown",
)  # fmt: skip


def head(text: str) -> str:
    return Outline(text.partition("</header>")[0]).text


def open_card() -> dict[str, Any]:
    return scorecard(trusted=False, trained=False)


def bare() -> RunReport:
    """Of a run that scored nothing."""
    card = {"metrics": {}}
    return RunReport("mvp", card, gate_of(card, phase="mvp"))
