"""Phase dataset from end to end: planned, run, reviewed, run again; what is bad stops it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

WRITER = ("-o", "llm.chat.model=fake/chat?mode=examples")


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def artifacts(workspace: Path) -> dict[str, str]:
    """Key -> Markdown of what Prefect shows, the newest of each."""
    with closing(sqlite3.connect(f"file:{workspace}/prefect/prefect.db?mode=ro", uri=True)) as database:
        found = database.execute("select key, data from artifact where key is not null order by created").fetchall()
    return {key: str(data) for key, data in found}


@pytest.fixture(scope="module")
def examples_of_ours(examples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("examples")
    for file in (examples / "dataset").glob("*.jsonl"):
        shutil.copy(file, folder)
    return folder


def test_examples_are_written_reviewed_checked_and_split(
    program: Any, here: Any, one_server: Any, new_workspace: Callable[..., Any], examples_of_ours: Path, root: Path
) -> None:
    folder = examples_of_ours
    workspace = new_workspace(
        "-o", f"dataset.examples=['{folder}/*.jsonl']", "-o", f"dataset.reviews={folder}/.reviews.jsonl",
        "-o", "dataset.generate.per_note=1", "-o", "dataset.generate.most_notes=2", *WRITER,
        first=False,
    )  # fmt: skip
    options = workspace.options
    written = sum(len(rows_of(path)) for path in folder.glob("*.jsonl"))

    plan = here("plan", "dataset", *options, "--json").json
    steps = {step["name"]: step for step in plan["steps"]}
    assert (steps["dataset.generate"]["action"], steps["dataset.gather"]["action"]) == ("run", "run")
    assert plan["totals"]["calls_at_most"] == 2 * (1 + 4)

    one_server(workspace)
    first = program("run", "dataset", *options, "--json")
    assert first.code == 0, first.err
    told = first.json["dataset"]
    assert told["passed"] and told["reasons"] == []
    assert set(first.steps.values()) == {"done"}
    assert first.facts("dataset.generate")["examples"] == told["waiting"] == 2
    assert told["rows"]["train"] + told["rows"]["validation"] + told["left_out"] == written
    assert told["rows"]["validation"] > 0
    for side, file in told["files"].items():
        data = (Path(told["folder"]) / file["name"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == file["sha256"]
        assert file["name"] == f"{side}-{file['sha256'][:16]}.jsonl"  # trainers cache by name: it tells the content
    notes = {
        side: {(row.get("provenance") or {}).get("note") for row in rows_of(Path(told["folder"]) / file["name"])}
        for side, file in told["files"].items()
    }
    assert not (notes["train"] & notes["validation"]) - {None}
    shown = artifacts(workspace.path)
    assert "Fit for training" in shown["dataset-dataset"] and "expectations of suite" in shown["dataset-dataset"]
    assert "Fit for training" in shown["dataset-examples"]

    # A person accepts one of the two that wait, and rejects the other.
    reviewed = subprocess.run(
        [sys.executable, "-m", "flows.cli", "data", "review", "-r", "dataset", *options],
        cwd=root, input="a\nr\nnon è vero\nq\n", capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "USER": "agnese"},
    )  # fmt: skip
    assert reviewed.returncode == 0, reviewed.stderr
    second = program("run", "dataset", *options, "--json")
    assert second.code == 0, second.err
    assert second.steps["dataset.generate"] == "skipped"  # nothing is paid twice
    assert second.steps["dataset.gather"] == "done"
    now = second.json["dataset"]
    assert now["waiting"] == 0
    assert now["stages"]["expansion"] == told["stages"]["expansion"] + 1
    accepted = [
        row for file in now["files"].values() for row in rows_of(Path(now["folder"]) / file["name"])
        if (row.get("provenance") or {}).get("kind") == "generated"
    ]  # fmt: skip
    assert [row["review"]["status"] for row in accepted] in ([], ["accepted"])  # left out, should it be a duplicate
    assert len(accepted) + now["left_out"] - told["left_out"] == 1

    # Nothing changed: nothing is done, and the plan says so.
    assert set(program("run", "dataset", *options, "--json").steps.values()) == {"skipped"}
    assert {step["action"] for step in here("plan", "dataset", *options, "--json").json["steps"]} == {"skip"}


def test_what_is_bad_stops_the_dataset_and_leaks_are_left_out(
    program: Any, one_server: Any, new_workspace: Callable[..., Any], examples: Path, tmp_path: Path
) -> None:
    rows = rows_of(examples / "dataset" / "foundation.jsonl")
    golden = rows_of(examples / "golden.jsonl")[0]["question"]
    leak = {**rows[0], "id": "leak", "conversations": [{"from": "human", "value": golden}, rows[0]["conversations"][1]]}
    path = tmp_path / "mine.jsonl"
    lines = [json.dumps(row, ensure_ascii=False) for row in [*rows, leak]]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    workspace = new_workspace("-o", f"dataset.examples=['{path}']", "-o", "dataset.reviews=null", first=False)
    one_server(workspace)

    done = program("run", "dataset", *workspace.options, "--json")
    assert done.code == 0, done.err
    assert done.json["dataset"]["left_out"] == 1
    [left] = rows_of(Path(done.json["dataset"]["folder"]) / "left_out.jsonl")
    assert left["row"]["id"] == "leak" and "E4" in left["rules"]

    rows[3]["conversations"][1]["value"] = ""
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text("\n".join([*lines, '{"conversations": [}']) + "\n", encoding="utf-8")
    done = program("run", "dataset", *workspace.options, "--json")
    assert done.code == 1
    told = done.json["dataset"]
    assert not told["passed"]
    reasons = "\n".join(told["reasons"])
    assert f"C1 empty: {path}:4: " in reasons and f"{path}:41: A1" in reasons
    report = json.loads((Path(told["page"]).parent / "report.json").read_text(encoding="utf-8"))
    [empty] = [found for found in report["findings"] if found["rule"] == "C1"]
    assert (empty["file"], empty["line"]) == (str(path), 4)  # where a person can mend it
    assert "NOT fit for training" in program("show", done.json["run"], "-w", workspace.path).out
