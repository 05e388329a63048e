"""The commands that read: on what a finished run left, and where there is nothing yet."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HEAVY = {"prefect", "mlflow", "litellm", "lancedb", "great_expectations", "torch", "pandas", "pyarrow"}
INSPECT = """
import json, sys
from flows.cli import main
try:
    main()
except SystemExit as ended:
    print(json.dumps({"code": ended.code, "modules": sorted({name.partition(".")[0] for name in sys.modules})}))
"""
ASK = "Quanto si paga di caparra?"


def modules(root: Path, *arguments: object) -> set[str]:
    """What is imported by a command that ends well."""
    done = subprocess.run(
        [sys.executable, "-c", INSPECT, *map(str, arguments)], cwd=root, capture_output=True, text=True, check=True
    )
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["code"] == 0, done.stderr
    return set(told["modules"])


@pytest.mark.parametrize(
    "arguments", [("--help",), ("validate", "mvp"), ("recipes",), ("explain", "mvp")], ids=" ".join
)
def test_light_commands_import_nothing_heavy(root: Path, arguments: tuple[str, ...]) -> None:
    assert modules(root, *arguments) & HEAVY == set()


def test_a_plan_imports_nothing_heavy_where_nothing_has_run(root: Path, new_workspace: Any) -> None:
    workspace = new_workspace()
    assert modules(root, "plan", "mvp", *workspace.options) & HEAVY == set()
    assert not workspace.path.exists()


@pytest.mark.slow
def test_a_plan_imports_nothing_heavy_after_a_run(root: Path, published: Any) -> None:
    assert modules(root, "plan", "mvp", *published.options) & HEAVY == set()


@pytest.mark.parametrize("command", [("search", ASK), ("ask", ASK), ("score", None), ("index status", None)], ids=str)
def test_before_anything_is_published_the_first_command_is_named(
    here: Any, new_workspace: Any, command: tuple[str, str | None]
) -> None:
    workspace = new_workspace()
    name, question = command
    done = here(*name.split(), "mvp", *workspace.options, *([question] if question else []))
    assert (done.code, done.out) == (3, "")
    assert "nothing is published yet; first: cervella reindex" in done.err


@pytest.mark.slow
def test_search_tells_where_and_what(here: Any, published: Any) -> None:
    done = here("search", "mvp", *published.options, ASK, "-k", 5, "--json")
    assert done.code == 0
    assert len(done.json) == 5
    for hit in done.json:
        assert {"path", "heading", "lines", "score", "kind", "date", "status", "text"} <= set(hit)
        first, last = hit["lines"]
        assert 1 <= first <= last
    assert [hit["score"] for hit in done.json] == sorted((hit["score"] for hit in done.json), reverse=True)
    assert any("CAPARRA" in hit["path"] for hit in done.json)
    plain = here("search", "mvp", *published.options, ASK, "-k", 1)
    assert f"{done.json[0]['path']}:{done.json[0]['lines'][0]}-{done.json[0]['lines'][1]}" in plain.out


@pytest.mark.slow
def test_search_filters_and_finds_nothing_with_exit_1(here: Any, published: Any) -> None:
    decisions = here("search", "mvp", *published.options, ASK, "--kind", "decision", "--since", "2026-04-01", "--json")
    assert decisions.json and {hit["kind"] for hit in decisions.json} == {"decision"}
    assert min(hit["date"] for hit in decisions.json) >= "2026-04-01"
    nothing = here("search", "mvp", *published.options, ASK, "--until", "1999-01-01", "--json")
    assert (nothing.code, nothing.json) == (1, [])


@pytest.mark.slow
def test_an_answer_names_its_sources(here: Any, published: Any) -> None:
    done = here("ask", "mvp", *published.options, ASK, "--json")
    assert done.code == (0 if done.json["found"] else 1)
    assert done.json["text"] and done.json["language"] == "it"
    assert {"path", "first_line", "last_line", "heading"} <= set(done.json["sources"][0])
    assert {"seconds", "search_seconds", "cost_usd"} <= set(done.json)
    plain = here("ask", "mvp", *published.options, ASK)
    source = done.json["sources"][0]
    assert f"{source['path']}:{source['first_line']}" in plain.out


@pytest.mark.slow
def test_retrieval_alone_is_scored_question_by_question(here: Any, published: Any, finished: Any) -> None:
    done = here("score", "mvp", *published.options, "--only", "retrieval", "--json")
    assert done.code == 0
    assert {"metrics", "groups", "questions"} <= set(done.json)
    rows = done.json["questions"]
    assert {"id", "rank", "found"} <= set(rows[0])
    assert done.json["metrics"]["mrr"] == finished.run.json["scorecard"]["metrics"]["mrr"]
    ranked = [row["rank"] for row in rows]
    assert sum(1 / rank for rank in ranked if rank) / len(ranked) == pytest.approx(done.json["metrics"]["mrr"]["value"])


@pytest.mark.slow
def test_the_index_tells_what_it_holds(here: Any, published: Any, finished: Any) -> None:
    done = here("index", "status", "mvp", *published.options, "--json")
    assert done.code == 0
    assert done.json["chunks"] == finished.run.facts("index.build")["chunks"]
    assert done.json["published"]["embedder"].startswith("fake/embedding")
    assert (done.json["faults"], done.json["degraded"]) == ([], False)


@pytest.mark.slow
def test_runs_and_show_tell_of_the_past(here: Any, published: Any, finished: Any) -> None:
    run = finished.run.json["run"]
    listed = here("runs", "-w", published.path)
    assert listed.code == 0 and listed.out.split() == [run, "mvp", "done", "NO-GO"]
    assert [state["run"] for state in here("runs", "-w", published.path, "--json").json] == [run]
    shown = here("show", run[:-2], "-w", published.path)
    assert shown.code == 0
    assert all(text in shown.out for text in (run, "registry.register", "recall_at_5", "gate of phase mvp: NO-GO"))
    unknown = here("show", "1999", "-w", published.path)
    assert unknown.code == 2 and "cervella runs" in unknown.err


@pytest.mark.slow
def test_a_plan_changes_no_file(here: Any, published: Any) -> None:
    def state() -> dict[str, int]:
        return {str(path): path.stat().st_mtime_ns for path in published.path.rglob("*") if path.is_file()}

    before = state()
    assert here("plan", "mvp", *published.options).code == 0
    assert state() == before


def test_recipes_explain_and_schema(here: Any) -> None:
    listed = here("recipes", "--json")
    assert {row["name"] for row in listed.json} >= {"mvp", "mvp-claude", "reindex"}
    assert all(row["fault"] is None for row in listed.json)
    explained = here("explain", "mvp", "index.search.k")
    assert explained.code == 0 and "_base.yaml:" in explained.out
    assert here("explain", "mvp", "index.serch").code == 2
    assert here("schema", "--check").code == 0


def test_no_runs_yet_is_no_error(here: Any, tmp_path: Path) -> None:
    done = here("runs", "-w", tmp_path / "nothing")
    assert done.code == 0 and "cervella run RECIPE" in done.out
