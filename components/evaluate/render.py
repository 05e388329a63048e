"""The scorecard for people: a table for the terminal, Markdown for the Prefect and MLflow pages."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from components.evaluate.render_said import said_notes, said_tables
from components.evaluate.shown import Table, interval, number

__all__ = ["render_scorecard", "scorecard_markdown"]

_LABELS = {
    "recall_at_1": "gold note first",
    "recall_at_5": "gold note in the first 5",
    "recall_at_10": "gold note in the first 10",
    "all_gold_recall_at_10": "of all gold notes, in the first 10",
    "mrr": "mean reciprocal rank",
    "ndcg_at_10": "nDCG in the first 10",
    "persona_checks": "answers passing every check",
    "sounds_like_her": "answers that sound like her",
    "constitution": "answers that keep the worst rule",
    "tasks_passed": "tasks passed, for certain and at most",
    "refused_unanswerable": "says so when no note answers",
    "wrongly_refused": "says so although a note answers",
    "latency_p50_seconds": "answer, median",
    "latency_p95_seconds": "answer, 95th percentile",
    "search_p50_ms": "search, median",
    "search_p95_ms": "search, 95th percentile",
    "cost_per_query_usd": "cost of an answer, mean",
    "cost_max_usd": "cost of an answer, highest",
    "train_loss": "loss on training examples, last epoch",
    "held_out_perplexity": "perplexity on the held-out examples",
    "base_perplexity": "the same, of the base without adapter",
    "perplexity_against_base": "of these two; below 1: training helped",
    "loss_gap": "held-out loss less training loss",
    "copied_answers": "answers that repeat a training answer",
}
_GROUPS = ("recall_at_1", "recall_at_5", "mrr", "persona_checks", "sounds_like_her")
_WIDTH = 100  # columns of a terminal
_SHOWN = 20  # errors and failed checks in full; the rest is counted


def render_scorecard(scorecard: Mapping[str, Any]) -> str:
    """Plain text for a terminal of 100 columns: scores with their intervals, what is undecided, groups, errors."""
    tables = [table.text() for table in _tables(scorecard) if table.rows]
    notes = [
        line
        for note in _notes(scorecard)
        for line in textwrap.wrap(note, _WIDTH, subsequent_indent="  ", break_on_hyphens=False)
    ]
    return "\n\n".join([*tables, "\n".join(notes)])


def scorecard_markdown(scorecard: Mapping[str, Any]) -> str:
    """The same as Markdown tables, the rules in their own words."""
    tables = [table.markdown() for table in _tables(scorecard, in_words=True) if table.rows]
    return "\n\n".join([*tables, "\n".join(f"- {' '.join(note.split())}" for note in _notes(scorecard))])


def _tables(scorecard: Mapping[str, Any], *, in_words: bool = False) -> list[Table]:
    scores = [
        (name, _LABELS.get(name, ""), number(name, metric["value"]), interval(name, metric), str(metric["n"]))
        for name, metric in scorecard["metrics"].items()
    ]
    groups = [
        (
            group, str(_size(metrics)),
            *(number(name, metrics[name]["value"]) if name in metrics else "" for name in _GROUPS),
        )
        for group, metrics in scorecard["groups"].items()
    ]  # fmt: skip
    return [
        Table("", ("score", "what", "value", "95 % interval", "n"), scores),
        *said_tables(scorecard, in_words=in_words),
        Table("groups", ("group", "n", *_GROUPS), groups),
    ]


def _size(metrics: Mapping[str, Any]) -> int:
    """How many questions or prompts a group has: the largest part of it that has a score."""
    return max((int(metric["n"]) for metric in metrics.values()), default=0)


def _notes(scorecard: Mapping[str, Any]) -> list[str]:
    answers = scorecard["answers"]
    notes = [f"undecided: {name}: {why}" for name, why in scorecard.get("undecided", {}).items()]
    notes += said_notes(scorecard)
    notes.append(
        f"answers: {answers['expected']} expected, {answers['scored']} scored, {answers['failed']} failed"
        + (f", {answers['cached']} from the cache" if answers["cached"] else "")
        + (f"; by {', '.join(answers['models'])}" if answers["models"] else "")
        + (" (local)" if answers["local"] else "")
    )
    errors = [*answers["errors"]]
    for counts in scorecard.get("asked", {}).values():
        errors += counts["errors"]
    notes += _first([f"error in {error['id']}: {error['error']}" for error in errors], "errors")
    failures = [
        f"check {name} failed in {failure['id']}: {failure['why']}"
        for name, counts in scorecard["checks"].items() for failure in counts["failures"]
    ]  # fmt: skip
    notes += _first(failures, "failed checks")
    unanswerable = scorecard["unanswerable"]
    if unanswerable["n"]:
        notes.append(f"{unanswerable['n']} questions that no note answers are in no retrieval score")
    return notes


def _first(notes: Sequence[str], what: str) -> list[str]:
    more = [f"and {len(notes) - _SHOWN} more {what}"] if len(notes) > _SHOWN else []
    return [*notes[:_SHOWN], *more]
