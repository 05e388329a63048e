"""`plan --out FILE` and `run --plan FILE`, from the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def ready(spoiled: Any, tmp_path: Path, here: Any, served: Any) -> Any:
    """A workspace and a plan file: its notes are its own."""
    shutil.copytree(spoiled.notes, tmp_path / "notes")
    served(spoiled.path)
    options = (*spoiled.options, "-o", f"sncp.root={tmp_path / 'notes'}")
    planned = here("plan", "mvp", *options, "--out", tmp_path / "plan.json")
    assert planned.code == 0 and f"cervella run --plan {tmp_path / 'plan.json'}" in planned.out
    return tmp_path, options


def test_a_plan_is_run(program: Any, ready: Any) -> None:
    folder, _ = ready
    [plan] = json.loads((folder / "plan.json").read_text(encoding="utf-8"))["plans"].values()
    done = program("run", "--plan", folder / "plan.json", "--json")
    assert done.code == 1 and done.json["gate"]["verdict"] == "NO-GO"
    planned = {step["name"]: {"run": "done", "skip": "skipped"}[step["action"]] for step in plan["steps"]}
    assert done.steps == planned
    assert planned["sncp.collect"] == "skipped" and planned["registry.register"] == "done"  # MLflow was not copied


def test_drift_is_refused_with_exit_3_and_no_server_is_started(here: Any, ready: Any) -> None:
    folder, _ = ready
    note = folder / "notes" / "NORD.md"
    note.write_text(note.read_text(encoding="utf-8") + "\nUna riga in più.\n", encoding="utf-8")
    runs = sorted((folder / "spoiled" / "runs").iterdir())
    done = here("run", "--plan", folder / "plan.json")
    assert done.code == 3
    assert "1 note was changed: NORD.md" in done.err and "nothing was done" in done.err
    assert sorted((folder / "spoiled" / "runs").iterdir()) == runs


def test_arguments_that_contradict_the_plan_are_refused(here: Any, ready: Any) -> None:
    folder, options = ready
    plan = ("run", "mvp", "--plan", folder / "plan.json", *options)
    told = here(*plan, "-o", "index.search.k=3")
    assert told.code == 2 and "contradicts the plan: index.search.k: 8 → 3" in told.err
    assert here("run", "--plan", folder / "plan.json", "-o", "index.search.k=3").code == 2
    told = here(*plan, "--force", "index.chunk")
    assert told.code == 2 and "contradicts the plan" in told.err


def test_what_cannot_be_forced_or_read_is_told(here: Any, ready: Any, tmp_path: Path) -> None:
    _, options = ready
    told = here("run", "mvp", *options, "--force", "registry.register")
    assert told.code == 2 and "there is nothing to force" in told.err
    assert here("run").code == 2
    assert here("run", "--plan", tmp_path / "none.json").code == 2


def test_a_plan_that_cannot_be_followed_to_its_end_says_so(here: Any, ready: Any) -> None:
    folder, options = ready
    (folder / "golden.jsonl").write_text('{"id": "a"}\n', encoding="utf-8")
    told = here("plan", "mvp", *options, "-o", f"evaluate.golden={folder / 'golden.jsonl'}")
    assert told.code == 1
    assert "stops" in told.out and "golden.jsonl:1" in told.out
    told = here("plan", "mvp", *options, "-o", "llm.chat={model: gpt-4o, api_key_env: CERVELLA_NO_KEY}")
    assert told.code == 1
    assert "CERVELLA_NO_KEY is not set" in told.out and "at most $" in told.out
