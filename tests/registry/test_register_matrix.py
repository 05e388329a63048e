"""A matrix in a real MLflow: a parent, nested runs, one release; nothing twice, whatever is killed when."""

from __future__ import annotations

import copy
import json
import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.registry import register, sqlite_uri
from components.registry.compare import Candidate
from components.registry.mlflow_matrix import Child, RegisteredMatrix, register_matrix

Arguments = Callable[[Path], dict[str, Any]]


def client_of(folder: Path) -> Any:
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=sqlite_uri(folder), registry_uri=sqlite_uri(folder))


def runs_of(folder: Path) -> list[Any]:
    client = client_of(folder)
    return list(client.search_runs([client.get_experiment_by_name("cervella").experiment_id]))


def children_of(given: dict[str, Any]) -> list[Child]:
    """Two combinations: k=5, and k=8, which finds less."""
    found = []
    for k, mrr in ((5, 1.0), (8, 0.5)):
        card = copy.deepcopy(given["scorecard"])
        card["metrics"]["mrr"]["value"] = mrr
        found.append(
            Child(
                name=f"k={k}", values={"index.search.k": k}, release={**given["release"], "answer": {"k": k}},
                recipe_yaml=f"k: {k}\n", params={"index.search.k": k}, scorecard=card, gate=given["gate"],
                questions=given["questions"], prompt=given["prompt"], prompt_tokens=17, tags={"cervella.run": f"r{k}"},
            )
        )  # fmt: skip
    return found


def matrix_of(given: dict[str, Any], children: list[Child] | None = None) -> dict[str, Any]:
    children = children or children_of(given)
    candidates = [Candidate(child.name, "GO", child.scorecard["metrics"]) for child in children]
    return {
        **{key: given[key] for key in ("tracking_uri", "artifact_root", "experiment", "model_name", "alias")},
        "run_name": "matrix-1", "recipe_yaml": "matrix: {}\n", "axes": {"index.search.k": [5, 8]},
        "children": children, "candidates": [*candidates, Candidate("k=9", error="it failed")],
        "tags": {"cervella.run": "matrix-1"},
    }  # fmt: skip


def assert_complete(folder: Path, done: RegisteredMatrix) -> None:
    client = client_of(folder)
    runs = {run.info.run_id: run for run in runs_of(folder)}
    assert len(runs) == 3
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    nested = {key for key, run in runs.items() if run.data.tags.get("mlflow.parentRunId") == done.run_id}
    assert nested == set(done.children)
    parent = runs[done.run_id]
    assert parent.data.tags["cervella.best"] == "k=5"
    assert json.loads(parent.data.params["matrix.index.search.k"]) in ([5, 8], "[5, 8]")
    assert parent.data.metrics["mrr"] == 1.0
    assert [runs[key].data.metrics["mrr"] for key in done.children] == [1.0, 0.5]
    assert [runs[key].info.run_name for key in done.children] == ["k=5", "k=8"]
    [version] = client.search_model_versions("name = 'cervella'")  # the best alone is a release
    assert version.run_id == done.children[0]
    assert client.get_model_version_by_alias("cervella", "candidate").version == version.version
    stored = folder / "artifacts" / done.run_id / "artifacts"
    assert {path.name for path in stored.iterdir()} == {"recipe.yaml", "report.md", "combinations.json"}
    assert "it failed" in (stored / "report.md").read_text()
    assert len(json.loads((stored / "combinations.json").read_text())["data"]) == 3
    recipes = {(folder / "artifacts" / key / "artifacts/release/recipe.yaml").read_text() for key in done.children}
    assert recipes == {"k: 5\n", "k: 8\n"}


def test_a_parent_nested_runs_and_one_release_and_a_repeat_adds_nothing(house: Path, arguments: Arguments) -> None:
    given = matrix_of(arguments(house))
    first = register_matrix(**given)
    assert first.created
    assert_complete(house, first)
    assert register_matrix(**given) == replace(first, created=False)
    assert_complete(house, first)


def test_other_scores_are_another_matrix(house: Path, arguments: Arguments) -> None:
    given = arguments(house)
    first = register_matrix(**matrix_of(given))
    children = children_of(given)
    children[1].scorecard["metrics"]["mrr"]["value"] = 0.75  # type: ignore[index]
    second = register_matrix(**matrix_of(given, children))
    assert second.created and second.run_id != first.run_id
    assert not set(second.children) & set(first.children)
    assert len(runs_of(house)) == 6
    assert second.model_version == first.model_version  # the same release


def test_a_combination_is_a_release_that_a_plain_run_finds_again(house: Path, arguments: Arguments) -> None:
    given = arguments(house)
    done = register_matrix(**matrix_of(given))
    child = children_of(given)[0]
    plain = register(**{**given, "release": child.release, "scorecard": child.scorecard})
    assert plain.model_version == done.model_version
    assert plain.run_id not in done.children


def register_and_die(given: dict[str, Any], count: int) -> None:
    left = count

    def die(reached: str) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    register_matrix(**given, at=die)


@pytest.mark.slow
def test_killed_at_any_point_then_recorded_again(house: Path, arguments: Arguments, tmp_path: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["mlflow.tracking", "mlflow.store.tracking.sqlalchemy_store"])
    points: list[str] = []
    for count in range(0, 100, 3):
        folder = tmp_path / str(count)  # another database each time: MLflow keeps connections to the one it knows
        shutil.copytree(house, folder)
        given = matrix_of(arguments(folder))
        if count == 0:
            register_matrix(**given, at=points.append)
            continue
        if count > len(points):
            break
        child = context.Process(target=register_and_die, args=(given, count))
        child.start()
        child.join()
        assert child.exitcode == -signal.SIGKILL, points[count - 1]
        assert_complete(folder, register_matrix(**given))
    assert len(points) > 10
