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
    "Candidate",
    "best_of",
    "comparison_markdown",
    "comparison_rows",
    "criterion",
    "is_clear",
    "render_comparison",
]

_CRITERION = "mrr, recall_at_5, persona_checks, then the lower latency_p95_seconds"
_PERPLEXITY = "held_out_perplexity"

_VERDICTS = {"GO": 0, "INCONCLUSIVE": 1, "NO-GO": 2}
_SCORES = ("mrr", "recall_at_5", "persona_checks")
_SHOWN = (*_SCORES, "latency_p95_seconds", "cost_per_query_usd")


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


def criterion(candidates: Sequence[Candidate]) -> str:
    """What decides which is best, in words."""
    trained = _deciding(candidates) == _PERPLEXITY
    return f"verdict, then {f'the lower {_PERPLEXITY}, ' if trained else ''}{_CRITERION}"


def _order(candidate: Candidate) -> tuple[float, ...]:
    perplexity = candidate.value(_PERPLEXITY)
    scores = [-(value if (value := candidate.value(name)) is not None else -1.0) for name in _SCORES]
    slow = candidate.value("latency_p95_seconds")
    unknown = float("inf")
    return (
        _VERDICTS.get(str(candidate.verdict), 3), unknown if perplexity is None else perplexity, *scores,
        unknown if slow is None else slow,
    )  # fmt: skip


def is_clear(candidates: Sequence[Candidate]) -> bool:
    """Whether the interval of the best's deciding score lies beyond the value of every other of its verdict.

    That score is the mean reciprocal rank or, of trained models, the perplexity on what was held out.
    """
    best = best_of(candidates)
    if best is None:
        return False
    name = _deciding(candidates)
    side, sign = ("high", -1) if name == _PERPLEXITY else ("low", 1)
    end = ((candidates[best].metrics or {}).get(name) or {}).get(side)
    rivals = [one for one in candidates if one is not candidates[best] and one.verdict == candidates[best].verdict]
    values = [value for one in rivals if (value := one.value(name)) is not None]
    return not rivals or (isinstance(end, int | float) and all(sign * value < sign * end for value in values))


def _deciding(candidates: Sequence[Candidate]) -> str:
    return _PERPLEXITY if any(one.value(_PERPLEXITY) is not None for one in candidates) else "mrr"


def comparison_rows(candidates: Sequence[Candidate]) -> list[dict[str, str]]:
    """A row a candidate, for tables of Prefect and MLflow."""
    best, head = best_of(candidates), _head(candidates)
    return [
        dict(zip(("best", *head[1:]), _row(one, head, is_best=number == best), strict=True))
        for number, one in enumerate(candidates)
    ]


def render_comparison(candidates: Sequence[Candidate]) -> str:
    """Plain text: a line a candidate, the best marked, and what decided."""
    best, head = best_of(candidates), _head(candidates)
    rows = [head, *(_row(one, head, is_best=number == best) for number, one in enumerate(candidates))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([*lines, "", _said(candidates)])


def comparison_markdown(candidates: Sequence[Candidate]) -> str:
    """The same as a Markdown table."""
    best, head = best_of(candidates), _head(candidates)
    rows: list[Sequence[str]] = [head, ["---"] * len(head)]
    rows += [_row(one, head, is_best=number == best) for number, one in enumerate(candidates)]
    table = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)
    return f"{table}\n\n{_said(candidates)}\n"


def _said(candidates: Sequence[Candidate]) -> str:
    best = best_of(candidates)
    if best is None:
        return "none of them was scored"
    text = f"best: {candidates[best].name} (by {criterion(candidates)})"
    if len(candidates) > 1 and not is_clear(candidates):
        name = _deciding(candidates)
        more = "held-out examples" if name == _PERPLEXITY else "questions"
        text += f"\nNot by much: the interval of its {name} holds that of another one. "
        text += f"More {more} would tell them apart."
    return text


def _head(candidates: Sequence[Candidate]) -> tuple[str, ...]:
    trained = _deciding(candidates) == _PERPLEXITY
    return ("", "combination", "verdict", *((_PERPLEXITY,) if trained else ()), *_SHOWN)


def _row(candidate: Candidate, head: Sequence[str], *, is_best: bool) -> tuple[str, ...]:
    shown = head[3:]
    if candidate.verdict is None:
        return ("", candidate.name, "failed", *([""] * (len(shown) - 1)), (candidate.error or "")[:80])
    cells = [_cell(name, candidate.value(name)) for name in shown]
    return ("*" if is_best else "", candidate.name, candidate.verdict, *cells)


def _cell(name: str, value: float | None) -> str:
    if value is None:
        return "unknown"
    return (
        f"${value:.4f}" if name.endswith("_usd") else f"{value:.2f} s" if name.endswith("_seconds") else f"{value:.3f}"
    )
