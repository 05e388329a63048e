"""What the other tables of the page hold: tasks, groups, times and costs, training, checks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from components.dataset.reports.visible import masked
from components.page import marked
from components.registry.report.personality import BY
from components.registry.report.reading import Measured, count, listed, mapping, measures, part, text, whole
from components.registry.report.words import interval, label, value

__all__ = ["checks", "copied", "groups", "losses", "missed", "scores", "suite", "tasks", "tiers"]

_TRAINING = (
    "train_loss", "held_out_perplexity", "base_perplexity", "perplexity_against_base", "loss_gap", "copied_answers",
)  # fmt: skip
_GROUP_COLUMNS = (
    "recall_at_1", "recall_at_5", "recall_at_10", "mrr", "ndcg_at_10", "persona_checks", "sounds_like_her",
)  # fmt: skip
_MISSED = 20
_FAILURES = 8
_COPIED = 20
_WHY = 300  # characters


def tiers(scorecard: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """Tasks passed in each tier."""
    for name, one in part(scorecard, "tasks", "tiers").items():
        tier = mapping(one)
        yield {
            "name": str(name), "passed": _span(tier.get("passed")), "of": count(tier.get("of")),
            **{key: count(tier[key]) if key in tier else "" for key in ("needed", "passing")},
        }  # fmt: skip


def _span(given: Any) -> str:
    """A whole number, or from what is certain to what may be."""
    if isinstance(given, list | tuple) and len(given) == 2:
        low, high = count(given[0]), count(given[1])
        return low if low == high else f"{low} to {high}"
    return count(given)


def tasks(scorecard: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A row for each task, in the order of the tiers."""
    order = list(part(scorecard, "tasks", "tiers"))
    place = {name: number for number, name in enumerate(order)}
    found = listed(part(scorecard, "tasks").get("tasks"))
    for one in sorted(found, key=lambda one: place.get(text(one.get("tier")), len(order))):
        verdict = "no answer" if one.get("failed") is True else _outcome(one.get("passed"))
        yield {
            "id": text(one.get("id")), "name": text(one.get("name")), "tier": text(one.get("tier")),
            "points": _span(one.get("points")), "passed": verdict,
            "mood": {"passed": "good", "undecided": "warning"}.get(verdict, "error"),
            "rules": [_task_rule(rule) for rule in listed(one.get("rules"))],
        }  # fmt: skip


def _outcome(passed: Any) -> str:
    return "passed" if passed is True else "failed" if passed is False else "undecided"


def _task_rule(rule: Mapping[str, Any]) -> dict[str, str]:
    kept = {"yes": "earned", "no": "not earned"}.get(text(rule.get("verdict")), "undecided")
    by, points = text(rule.get("by")), count(rule.get("points"))
    return {
        "what": text(rule.get("what")), "points": f"{points} point{'' if points == '1' else 's'}", "kept": kept,
        "by": BY.get(by, by), "why": masked(text(rule.get("why")), longest=_WHY)[0],
    }  # fmt: skip


def suite(scorecard: Mapping[str, Any]) -> dict[str, str]:
    """What all tasks together amount to."""
    found = part(scorecard, "tasks")
    verdict = text(found.get("verdict"))
    asks = [f"{count(found[key])} make it {word}" for key, word in (("go", "GO"), ("conditional", "CONDITIONAL"))
            if key in found]  # fmt: skip
    return {
        "passed": _span(found.get("passed")), "of": count(found.get("of")), "verdict": verdict or "unknown",
        "mood": {"GO": "good", "NO-GO": "error"}.get(verdict, "warning"),
        "asks": f"; {', '.join(asks)}" if asks else "",
    }  # fmt: skip


def copied(scorecard: Mapping[str, Any]) -> dict[str, Any]:
    """Answers that repeat a training answer, and the words that they repeat."""
    found = listed(scorecard.get("copied"))
    rows = [(text(one.get("key")), marked(masked(text(one.get("run")), longest=_WHY)[0])) for one in found[:_COPIED]]
    return {"rows": rows, "more": max(0, len(found) - _COPIED)}


def groups(scorecard: Mapping[str, Any]) -> dict[str, Any]:
    """Scores of all and of each group: `columns` that any of them has, `rows`."""
    found = {"all": measures(scorecard.get("metrics"))}
    found |= {str(name): measures(one) for name, one in sorted(mapping(scorecard.get("groups")).items(), key=_text_key)}
    columns = [name for name in _GROUP_COLUMNS if any(name in one for one in found.values())]
    rows = [
        {"name": name, "cells": [(label(column), *_counted(column, one.get(column))) for column in columns]}
        for name, one in found.items()
    ]
    return {"columns": [label(name) for name in columns], "rows": rows if columns else []}


def _text_key(one: tuple[Any, Any]) -> str:
    return str(one[0])


def _counted(name: str, found: Measured | None) -> tuple[str, str]:
    return (value(name, found), f"of {found.n:,}") if found else ("", "")


def scores(scorecard: Mapping[str, Any], names: Sequence[str]) -> Iterator[dict[str, str]]:
    """Rows of some scores, those that are there."""
    found = measures(scorecard.get("metrics"))
    for name in names:
        if name in found:
            yield {
                "label": label(name), "value": value(name, found[name]), "interval": interval(name, found[name]),
                "n": f"{found[name].n:,}",
            }  # fmt: skip


def losses(scorecard: Mapping[str, Any]) -> list[dict[str, str]]:
    """Rows of the scores of a training."""
    return list(scores(scorecard, _TRAINING))


def missed(questions: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Golden questions whose note was not among the first 5."""
    found = [one for one in questions if "rank" in one and one.get("first") is not None and not _near(one.get("rank"))]
    return {
        "rows": [
            {
                "id": text(one.get("id")), "question": text(one.get("question")), "first": text(one.get("first")),
                "rank": "not in the first 50" if one.get("rank") is None else count(one.get("rank")),
            }
            for one in found[:_MISSED]
        ],
        "more": max(0, len(found) - _MISSED),
    }  # fmt: skip


def _near(rank: Any) -> bool:
    found = whole(rank)
    return found is not None and found <= 5


def checks(scorecard: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A row for each check by code on answers to golden questions."""
    for name, one in mapping(scorecard.get("checks")).items():
        found = mapping(one)
        failures = listed(found.get("failures"))
        yield {
            "name": str(name), **{key: count(found.get(key)) for key in ("passed", "failed", "not_applicable")},
            "failures": [(text(failure.get("id")), text(failure.get("why"))) for failure in failures[:_FAILURES]],
            "more": max(0, len(failures) - _FAILURES),
        }  # fmt: skip
