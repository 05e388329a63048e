"""Registering in a real MLflow: everything is there, nothing twice, whatever is killed when."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.errors import InputError, TerminalError
from components.registry import Registered, register, sqlite_uri

Arguments = Callable[[Path], dict[str, Any]]

POINTS = (
    "run created",
    "details logged",
    "artifacts logged",
    "prompt created",
    "prompt registered",
    "model created",
    "version created",
    "alias set",
    "run linked",
)


def open_client(folder: Path) -> Any:
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=sqlite_uri(folder), registry_uri=sqlite_uri(folder))


def everything(folder: Path) -> tuple[list[Any], list[Any], list[Any]]:
    """Runs, model versions and prompt versions."""
    client = open_client(folder)
    runs = client.search_runs([client.get_experiment_by_name("cervella").experiment_id])
    versions = client.search_model_versions("name = 'cervella'")
    return runs, versions, client.search_prompt_versions("cervella-persona")


def assert_complete(folder: Path, result: Registered, expected: dict[str, Any]) -> None:
    client = open_client(folder)
    runs, versions, prompts = everything(folder)
    assert [len(runs), len(versions), len(prompts)] == [1, 1, 1]
    run, version = runs[0], versions[0]
    assert run.info.run_id == result.run_id == version.run_id
    assert run.info.status == "FINISHED"
    assert run.data.params == {"index.chunk.max_tokens": "200", "sncp.include": '["**/*.md"]'}
    assert run.data.metrics["recall_at_5"] == 1.0
    assert len(client.get_metric_history(run.info.run_id, "recall_at_5")) == 1
    assert run.data.tags["cervella.gate"] == "GO"
    assert run.data.tags["mlflow.note.content"].startswith("## Gate of phase mvp: GO")
    assert json.loads(run.data.tags["mlflow.linkedPrompts"]) == [{"name": "cervella-persona", "version": "1"}]
    assert client.get_model_version_by_alias("cervella", "candidate").version == version.version
    assert version.tags["cervella.release"] == result.release
    assert prompts[0].template == expected["prompt"]
    assert prompts[0].tags["tokens"] == "17"
    folders = sorted(path.name for path in (folder / "artifacts").iterdir() if path.is_dir())
    assert folders == [run.info.run_id]
    stored = folder / "artifacts" / run.info.run_id / "artifacts"
    assert {path.relative_to(stored).as_posix() for path in stored.rglob("*") if path.is_file()} == {
        "gate.json",
        "questions.json",
        "release/prompt.md",
        "release/recipe.yaml",
        "release/release.json",
        "report.md",
        "scorecard.json",
    }
    assert json.loads((stored / "scorecard.json").read_text()) == expected["scorecard"]
    assert (stored / "release" / "prompt.md").read_text() == expected["prompt"]
    table = json.loads((stored / "questions.json").read_text())
    assert table["columns"] == ["id", "rank", "found"]
    assert len(table["data"]) == 40


def test_everything_is_recorded_and_a_repeat_adds_nothing(house: Path, arguments: Arguments) -> None:
    given = arguments(house)
    points: list[str] = []
    first = register(**given, at=points.append)
    assert first.created
    assert tuple(points) == POINTS
    assert_complete(house, first, given)
    before = everything(house)[0][0].to_dictionary()
    second = register(**given)
    assert second == replace(first, created=False)
    assert_complete(house, second, given)
    assert everything(house)[0][0].to_dictionary() == before


def register_and_die(given: dict[str, Any], point: str) -> None:
    def die(reached: str) -> None:
        if reached == point:
            os.kill(os.getpid(), signal.SIGKILL)

    register(**given, at=die)


@pytest.fixture(scope="module")
def children() -> Any:
    """Starts children from a process of one thread that has imported MLflow already: each is up in a moment."""
    context = multiprocessing.get_context("forkserver")
    stores = ["mlflow.store.tracking.sqlalchemy_store", "mlflow.store.model_registry.sqlalchemy_store"]
    context.set_forkserver_preload(["mlflow.tracking", *stores])
    return context


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS)
def test_killed_at_any_point_then_registered_again(
    house: Path, arguments: Arguments, point: str, children: Any
) -> None:
    given = arguments(house)
    child = children.Process(target=register_and_die, args=(given, point))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    assert [run.info.status for run in everything_of_runs(house)] == ["RUNNING"]
    result = register(**given)
    assert result.created
    assert_complete(house, result, given)


def everything_of_runs(folder: Path) -> list[Any]:
    client = open_client(folder)
    return list(client.search_runs([client.get_experiment_by_name("cervella").experiment_id]))


def test_the_released_files_come_back_by_alias(house: Path, arguments: Arguments, tmp_path: Path) -> None:
    import mlflow

    given = arguments(house)
    register(**given)
    version = open_client(house).get_model_version_by_alias("cervella", "candidate")
    back = Path(mlflow.artifacts.download_artifacts(artifact_uri=version.source, dst_path=str(tmp_path)))
    assert (back / "recipe.yaml").read_text() == "name: mvp\n"
    assert json.loads((back / "release.json").read_text()) == given["release"]


def test_a_release_scored_again_is_a_new_run_of_the_same_version(house: Path, arguments: Arguments) -> None:
    given = arguments(house)
    register(**given)
    given["scorecard"]["evidence"] = {"index_version": 2}
    again = register(**given)
    runs, versions, prompts = everything(house)
    assert (again.created, len(runs), len(versions), len(prompts)) == (True, 2, 1, 1)
    assert versions[0].tags["cervella.run_id"] == again.run_id


def test_another_prompt_is_another_release_and_the_first_text_is_found_again(house: Path, arguments: Arguments) -> None:
    first = arguments(house)
    register(**first)
    release = {**first["release"], "persona": {"prompt": "Altro.", "session": None}}
    other = register(**{**first, "prompt": "Altro.", "release": release})
    assert (other.model_version, other.prompt_version) == (2, 2)
    assert int(open_client(house).get_model_version_by_alias("cervella", "candidate").version) == 2
    back = register(**first)
    assert (back.model_version, back.prompt_version, back.created) == (1, 1, False)
    assert [len(found) for found in everything(house)] == [2, 2, 2]


def test_a_second_experiment_shares_prompt_and_version(house: Path, arguments: Arguments) -> None:
    given = arguments(house)
    one = register(**given)
    two = register(**{**given, "experiment": "altro"})
    assert (two.model_version, two.prompt_version) == (1, 1)
    tag = open_client(house).get_prompt("cervella-persona").tags["_mlflow_experiment_ids"]
    assert tag == f",{one.experiment_id},{two.experiment_id},"


def test_nan_is_refused_before_anything_is_written(tmp_path: Path, arguments: Arguments) -> None:
    given = arguments(tmp_path / "new")
    given["scorecard"]["metrics"]["mrr"]["value"] = float("nan")
    with pytest.raises(TerminalError, match="mrr has the value nan"):
        register(**given)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_name": "a/b"}, "registry.model_name"),
        ({"model_name": "l'amica"}, "registry.model_name"),
        ({"prompt": " "}, "a prompt of 1 characters"),
        ({"prompt": "x" * 100_001}, "a prompt of 100001 characters"),
        ({"artifact_root": None}, "needs a folder for artifacts"),
    ],
    ids=["slash", "quote", "empty prompt", "huge prompt", "no folder"],
)
def test_what_mlflow_cannot_take_is_named(house: Path, arguments: Arguments, change: Any, message: str) -> None:
    with pytest.raises(InputError, match=f"(?i){message}"):
        register(**{**arguments(house), **change})


def test_a_file_that_is_no_database_is_named_at_once(house: Path, arguments: Arguments) -> None:
    (house / "mlflow.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(TerminalError, match="mlflow.db: not a database"):
        register(**arguments(house))
    assert (house / "mlflow.db").read_bytes() == b"no database at all" * 100


def test_a_deleted_experiment_is_named_with_the_way_back(house: Path, arguments: Arguments) -> None:
    client = open_client(house)
    client.delete_experiment(client.create_experiment("cervella"))
    with pytest.raises(InputError, match="mlflow experiments restore -x 1"):
        register(**arguments(house))


def test_many_long_and_odd_parameters(house: Path, arguments: Arguments) -> None:
    params = {f"sezione è {n}: «{n}»": "x" * 7000 for n in range(250)}
    result = register(**{**arguments(house), "params": params, "tags": {"note": "y" * 9000}})
    run = open_client(house).get_run(result.run_id)
    assert len(run.data.params) == 250
    assert len(run.data.tags["note"]) == 8000


def test_importing_the_room_is_light() -> None:
    import subprocess
    import sys

    code = "import sys, components.registry; print([m for m in ('mlflow', 'numpy', 'pandas') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
