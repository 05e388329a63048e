"""A run of phase scale for people: one table, whatever of it there is, and what became of the candidate."""

from __future__ import annotations

from typing import Any

from components.scale.answers import Answered, numbers_of
from components.scale.render import comparison_rows, scale_markdown, scale_text
from flows.outcome import outcome_markdown

CANDIDATE = {"release": "a" * 64, "version": 2, "run": "r1", "recipe": "mvp"}


def numbers(side: Any, *, price: float | None = 0.001) -> dict[str, Any]:
    rows = [
        Answered(f"q{n}", side, "asked", seconds=n / 10, cost_usd=price, found=True, cited=1, model="m")
        for n in range(1, 5)
    ]
    return numbers_of([*rows, Answered("q9", side, "asked", error="TransientError")]).to_dict()


def test_the_numbers_of_a_side() -> None:
    found = numbers("candidate")
    assert (found["asked"], found["errors"], found["with_sources"], found["model"]) == (5, 1, 4, "m")
    assert found["p50_seconds"] == 0.25 and found["first_token_seconds"] is None and found["usd_per_query"] == 0.001
    assert numbers("candidate", price=None)["usd_per_query"] is None
    nobody = numbers_of([]).to_dict()
    assert (nobody["asked"], nobody["p95_seconds"], nobody["usd_per_query"]) == (0, None, None)


def test_a_column_for_each_that_was_asked() -> None:
    told = {"candidate": numbers("candidate"), "champion": None, "probation": None}
    assert comparison_rows(told)[0] == ["", "candidate"]
    told = {"candidate": numbers("candidate"), "champion": numbers("champion", price=None)}
    rows = {row[0]: row[1:] for row in comparison_rows(told)}
    assert rows[""] == ["candidate", "in service"] and rows["$ a query"] == ["$0.0010", "unknown"]
    assert rows["first token, p50"] == ["not measured", "not measured"] and rows["answer, p95"] == ["0.39 s", "0.39 s"]


def test_what_was_not_compared_is_told_without_a_table() -> None:
    told = {"candidate": CANDIDATE, "before": None, "said": "it is in service already: there is nothing to compare"}
    assert scale_text(told).splitlines() == [
        "candidate: release aaaaaaaaaaaa, version 2 of run r1; nothing was in service",
        "it is in service already: there is nothing to compare",
    ]


def test_the_outcome_of_a_run_has_the_table_and_no_foreign_markup() -> None:
    told = {
        "candidate": CANDIDATE, "before": {"release": "b" * 64, "version": 1}, "recorded": 3,
        "said": "taken <b>back</b>",
        "numbers": {"candidate": {**numbers("candidate"), "model": "a|b<i>"}},
    }  # fmt: skip
    markdown = scale_markdown(told)
    assert "a\\|b\\<i\\>" in markdown and "<b>" not in markdown and "of these, 3 recorded by an endpoint" in markdown
    state = {"run": "r2", "recipe": "into", "phase": "scale", "status": "done", "steps": [], "scale": told}
    assert markdown.strip() in outcome_markdown(state, folder="/w/runs/r2")
