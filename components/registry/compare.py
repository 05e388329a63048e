"""Candidates side by side: which one is best, by a criterion that is stated, and whether the difference can be told.

The best has the better verdict of the gate (GO, then INCONCLUSIVE, then NO-GO); of equals the higher mean reciprocal
rank, then recall in the first 5, then share of answers that pass every check, then the lower 95th percentile of
seconds; of equals in all of these the first. A candidate that failed is never best.

Not covered: many candidates on few questions; the best of 60 is the luckiest of 60. `is_clear` says when the interval
of its rank does not even leave out that of the next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = [
    "CRITERION",
    "Candidate",
    "best_of",
    "comparison_markdown",
    "comparison_rows",
    "is_clear",
    "render_comparison",
]

CRITERION = "verdict, then mrr, recall_at_5, persona_checks, then the lower latency_p95_seconds"

_VERDICTS = {"GO": 0, "INCONCLUSIVE": 1, "NO-GO": 2}
_SCORES = ("mrr", "recall_at_5", "persona_checks")
_SHOWN = (*_SCORES, "latency_p95_seconds", "cost_per_query_usd")
_HEAD = ("", "combination", "verdict", *_SHOWN)


@dataclass(frozen=True)
class Candidate:
    """What was scored: a name, the scorecard's metrics and the gate's verdict, or why there are none."""

    name: str
    verdict: str | None = None
    metrics: Mapping[str, Mapping[str, Any]] | None = None
    error: str | None = None

    def value(self, metric: str) -> float | None:
        """The value of a score; None: unknown, or there is none."""
        found = (self.metrics or {}).get(metric) or {}
        value = found.get("value")
        return float(value) if isinstance(value, int | float) else None


def best_of(candidates: Sequence[Candidate]) -> int | None:
    """Place of the best; None when none was scored."""
    scored = [number for number, candidate in enumerate(candidates) if candidate.verdict is not None]
    return min(scored, key=lambda number: _order(candidates[number]), default=None)


def _order(candidate: Candidate) -> tuple[float, ...]:
    scores = [-(value if (value := candidate.value(name)) is not None else -1.0) for name in _SCORES]
    slow = candidate.value("latency_p95_seconds")
    return (_VERDICTS.get(str(candidate.verdict), 3), *scores, float("inf") if slow is None else slow)


def is_clear(candidates: Sequence[Candidate]) -> bool:
    """Whether the interval of the best's mean reciprocal rank lies above the value of every other of its verdict."""
    best = best_of(candidates)
    if best is None:
        return False
    low = ((candidates[best].metrics or {}).get("mrr") or {}).get("low")
    rivals = [one for one in candidates if one is not candidates[best] and one.verdict == candidates[best].verdict]
    values = [value for one in rivals if (value := one.value("mrr")) is not None]
    return not rivals or (isinstance(low, int | float) and all(value < low for value in values))


def comparison_rows(candidates: Sequence[Candidate]) -> list[dict[str, str]]:
    """A row a candidate, for tables of Prefect and MLflow."""
    best = best_of(candidates)
    return [
        dict(zip(("best", *_HEAD[1:]), _row(one, is_best=number == best), strict=True))
        for number, one in enumerate(candidates)
    ]


def render_comparison(candidates: Sequence[Candidate]) -> str:
    """Plain text: a line a candidate, the best marked, and what decided."""
    rows = [_HEAD, *(_row(one, is_best=number == best_of(candidates)) for number, one in enumerate(candidates))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([*lines, "", _said(candidates)])


def comparison_markdown(candidates: Sequence[Candidate]) -> str:
    """The same as a Markdown table."""
    best = best_of(candidates)
    rows: list[Sequence[str]] = [_HEAD, ["---"] * len(_HEAD)]
    rows += [_row(one, is_best=number == best) for number, one in enumerate(candidates)]
    table = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)
    return f"{table}\n\n{_said(candidates)}\n"


def _said(candidates: Sequence[Candidate]) -> str:
    best = best_of(candidates)
    if best is None:
        return "none of them was scored"
    text = f"best: {candidates[best].name} (by {CRITERION})"
    if len(candidates) > 1 and not is_clear(candidates):
        text += (
            "\nNot by much: the interval of its mrr holds that of another one. More questions would tell them apart."
        )
    return text


def _row(candidate: Candidate, *, is_best: bool) -> tuple[str, ...]:
    if candidate.verdict is None:
        return ("", candidate.name, "failed", *([""] * (len(_SHOWN) - 1)), (candidate.error or "")[:80])
    cells = [_cell(name, candidate.value(name)) for name in _SHOWN]
    return ("*" if is_best else "", candidate.name, candidate.verdict, *cells)


def _cell(name: str, value: float | None) -> str:
    if value is None:
        return "unknown"
    return (
        f"${value:.4f}" if name.endswith("_usd") else f"{value:.2f} s" if name.endswith("_seconds") else f"{value:.3f}"
    )
