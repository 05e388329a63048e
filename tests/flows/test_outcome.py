"""What became of a run, as the page of the flow run shows it."""

from __future__ import annotations

from typing import Any

from flows.outcome import outcome_markdown

STEPS = [
    {"name": "sncp.collect", "status": "skipped", "seconds": 0.1, "facts": {"notes": 20}},
    {"name": "index.chunk", "status": "done", "seconds": 2.0, "facts": {"chunks": 3}},
    {"name": "index.build", "status": "failed", "seconds": 1.25, "reason": "the disk <is> full"},
]


def state(**values: Any) -> dict[str, Any]:
    told = {"run": "20260101-000000-night-ab12", "recipe": "night", "phase": "reindex", "status": "failed"}
    return told | {"steps": STEPS, "error": "the disk <is> full"} | values


def test_a_failed_run_tells_its_error_once_and_its_steps() -> None:
    page = outcome_markdown(state(prefect_flow_run="f1"), folder="/w/runs/x")
    assert page.startswith("# night: failed\n\n> the disk \\<is\\> full\n")
    assert page.count("full") == 1
    assert "(../../runs/flow-run/f1)" in page and "`/w/runs/x`" in page
    assert "| sncp.collect | skipped | 0.1 |  |" in page  # what it noted is of another run
    assert "| index.chunk | done | 2.0 | 3 chunks |" in page
    assert "MLflow" not in page


def test_a_good_run_links_its_record_and_its_report() -> None:
    done = state(status="done", error=None, steps=STEPS[:2], phase="mvp", mlflow={"page": "#/experiments/1/runs/a"})
    page = outcome_markdown(done, folder="/w", mlflow="http://127.0.0.1:5000/#/experiments/1/runs/a")
    assert page.startswith("# night: done\n")
    assert "[The report](http://127.0.0.1:5000/#/experiments/1/runs/a/artifacts/report.html)" in page


def test_a_matrix_tells_its_best_and_each_combination() -> None:
    combinations = [
        {"name": "k=3", "status": "done", "verdict": "GO"}, {"name": "k=5", "status": "failed", "error": "a | b"},
        {"name": "k=8"},
    ]  # fmt: skip
    told = state(status="done", error=None, steps=[], phase="matrix", combinations=combinations, best="k=3")
    page = outcome_markdown(told, folder="/w", mlflow="http://x")
    assert page.startswith("# night: best of 3 is k=3\n")
    assert "| k=3 | done | | GO |" in page
    assert "| k=5 | failed | | a \\| b |" in page
    assert "| k=8 | not run | |  |" in page
    assert "report.html" not in page  # each combination has its own
