"""The scorecard for people: a table for the terminal, Markdown for the Prefect and MLflow pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["render_scorecard", "scorecard_markdown"]

_LABELS = {
    "recall_at_1": "gold note first",
    "recall_at_5": "gold note in the first 5",
    "recall_at_10": "gold note in the first 10",
    "all_gold_recall_at_10": "of all gold notes, in the first 10",
    "mrr": "mean reciprocal rank",
    "ndcg_at_10": "nDCG in the first 10",
    "persona_checks": "answers passing every check",
    "refused_unanswerable": "says so when no note answers",
    "wrongly_refused": "says so although a note answers",
    "latency_p50_seconds": "answer, median",
    "latency_p95_seconds": "answer, 95th percentile",
    "search_p50_ms": "search, median",
    "search_p95_ms": "search, 95th percentile",
    "cost_per_query_usd": "cost of an answer, mean",
    "cost_max_usd": "cost of an answer, highest",
    "train_loss": "loss on the training examples, last epoch",
    "held_out_perplexity": "perplexity on the held-out examples",
    "base_perplexity": "the same, of the base without adapter",
    "perplexity_against_base": "the first over the second; below 1: training helped",
}
_HEAD = ("score", "what", "value", "95 % interval", "n")
_GROUP_HEAD = ("group", "n", "recall_at_1", "recall_at_5", "recall_at_10", "mrr", "ndcg_at_10")


def render_scorecard(scorecard: Mapping[str, Any]) -> str:
    """Plain text for a terminal: scores with their intervals, groups, checks that failed, errors."""
    parts = [_table(_HEAD, _metric_rows(scorecard)), _table(_GROUP_HEAD, _group_rows(scorecard))]
    return "\n\n".join([part for part in parts if part] + ["\n".join(_notes(scorecard))])


def scorecard_markdown(scorecard: Mapping[str, Any]) -> str:
    """The same as Markdown tables."""
    parts = [_markdown(_HEAD, _metric_rows(scorecard)), _markdown(_GROUP_HEAD, _group_rows(scorecard))]
    return "\n\n".join([part for part in parts if part] + ["\n".join(f"- {note}" for note in _notes(scorecard))])


def _metric_rows(scorecard: Mapping[str, Any]) -> list[tuple[str, ...]]:
    return [
        (name, _LABELS.get(name, ""), _number(name, metric["value"]), _interval(name, metric), str(metric["n"]))
        for name, metric in scorecard["metrics"].items()
    ]


def _group_rows(scorecard: Mapping[str, Any]) -> list[tuple[str, ...]]:
    return [
        (group, str(metrics["mrr"]["n"]), *(_number(name, metrics[name]["value"]) for name in _GROUP_HEAD[2:]))
        for group, metrics in scorecard["groups"].items()
    ]


def _notes(scorecard: Mapping[str, Any]) -> list[str]:
    answers = scorecard["answers"]
    notes = [
        f"answers: {answers['expected']} expected, {answers['scored']} scored, {answers['failed']} failed"
        + (f", {answers['cached']} from the cache" if answers["cached"] else "")
        + (f"; by {', '.join(answers['models'])}" if answers["models"] else "")
        + (" (local)" if answers["local"] else "")
    ]
    notes += [f"error in {error['id']}: {error['error']}" for error in answers["errors"]]
    for name, counts in scorecard["checks"].items():
        notes += [f"check {name} failed in {failure['id']}: {failure['why']}" for failure in counts["failures"]]
    unanswerable = scorecard["unanswerable"]
    if unanswerable["n"]:
        notes.append(f"{unanswerable['n']} questions that no note answers are in no retrieval score")
    return notes


def _number(name: str, value: float | None) -> str:
    if value is None:
        return "unknown"
    if name.endswith("_usd"):
        return f"${value:.4f}"
    if name.endswith("_seconds"):
        return f"{value:.2f} s"
    if name.endswith("_ms"):
        return f"{value:.0f} ms"
    return f"{value:.3f}"


def _interval(name: str, metric: Mapping[str, Any]) -> str:
    low, high = metric["low"], metric["high"]
    if low is None and high is None:
        return ""
    return f"{'?' if low is None else _number(name, low)} to {'?' if high is None else _number(name, high)}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in [head, *rows]
    )


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in lines)
