"""One workspace through its life: a first run, the same again, an edited note, a forced step and a refused golden file.

Everything is real but the models. Each run is a fixture, so that the order of the tests does not matter.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from components.services import Server, prefect_server
from tests.processes import clean_environment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

STEPS = (
    "sncp.collect", "index.chunk", "index.build", "persona.compile", "evaluate.retrieval", "evaluate.answers",
    "evaluate.candidate", "evaluate.control", "evaluate.agreement", "evaluate.judge", "evaluate.score",
    "registry.gate", "registry.release", "registry.report", "registry.register",
)  # fmt: skip


@dataclass(frozen=True)
class Later:
    """A later run, and what the plan said before it."""

    plan: Any
    run: Any


def artefact(finished: Any, run: Any, step: str) -> Path:
    """Folder of the artefact that a step of a run made or found."""
    name = next(found["artefact"] for found in run.json["steps"] if found["name"] == step)
    folder: Path = finished.workspace.path / "store" / name
    return folder


@pytest.fixture(scope="module")
def second(program: Any, here: Any, finished: Any) -> Later:
    """The very same command again."""
    options = finished.workspace.options
    return Later(here("plan", "mvp", *options, "--json"), program("run", "mvp", *options, "--json"))


@dataclass(frozen=True)
class Watched:
    """A run in which nothing changed: its result, what it imported, what it asked of Prefect's server."""

    run: Any
    modules: frozenset[str]
    requests: list[str]


@pytest.fixture(scope="module")
def watched(finished: Any, second: Later, root: Path, tmp_path_factory: pytest.TempPathFactory) -> Watched:
    """The very same command a third time, watched."""
    told = tmp_path_factory.mktemp("watched") / "told.json"
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "tests.flows.watched_run", told, "run", "mvp", *finished.workspace.options, "--json"],
        cwd=root, capture_output=True, text=True, check=False, timeout=300,
        env=clean_environment(),
    )  # fmt: skip
    assert done.returncode == second.run.code, done.stderr
    seen = json.loads(told.read_text(encoding="utf-8"))
    return Watched(json.loads(done.stdout), frozenset(seen["modules"]), seen["requests"])


@pytest.fixture(scope="module")
def server(finished: Any, watched: Watched) -> Iterator[Server]:
    """One Prefect server for all that comes after."""
    assert finished.workspace.is_quiet()  # the servers of the runs before, each of which had one of its own, are gone
    with prefect_server(workspace=finished.workspace.path) as serving:
        yield serving
    assert finished.workspace.is_quiet()


@pytest.fixture(scope="module")
def edited(program: Any, here: Any, finished: Any, server: Server) -> Later:
    """One note has grown a section."""
    note = finished.workspace.notes / "NORD.md"
    addition = "\n## Il pozzo nuovo\n\nSi scava a settembre, dietro il fienile, a ventidue metri.\n"
    note.write_text(note.read_text(encoding="utf-8") + addition, encoding="utf-8")
    options = finished.workspace.options
    return Later(here("plan", "mvp", *options, "--json"), program("run", "mvp", *options, "--json"))


@pytest.fixture(scope="module")
def refused(program: Any, here: Any, finished: Any, edited: Later) -> Later:
    """A step forced, the artefact of another one damaged, and golden questions about a note that does not exist."""
    prompt = artefact(finished, edited.run, "persona.compile") / "prompt.md"
    prompt.write_bytes(prompt.read_bytes()[:50])
    golden = finished.workspace.path.parent / "unknown.jsonl"
    question = {"id": "a", "question": "Dove?", "lang": "it", "kind": "fact", "gold": ["NORDD.md"], "evidence": "x"}
    golden.write_text(f"\n{json.dumps(question | {'answer': 'Qui.'})}\n", encoding="utf-8")
    options = (*finished.workspace.options, "-o", f"evaluate.golden={golden}", "--force", "index.chunk")
    return Later(here("plan", "mvp", *options, "--json"), program("run", "mvp", *options))


@dataclass(frozen=True)
class History:
    """What Prefect's API tells."""

    url: str
    client: httpx.Client

    def ask(self, what: str, **filters: Any) -> Any:
        return self.client.post(f"{self.url}/{what}/filter", json=filters).raise_for_status().json()


@pytest.fixture(scope="module")
def history(server: Server, refused: Later) -> Iterator[History]:
    with httpx.Client(trust_env=False) as client:
        token = client.get(f"{server.api_url}/csrf-token", params={"client": "tests"}).raise_for_status().json()
        client.headers.update({"Prefect-Csrf-Token": token["token"], "Prefect-Csrf-Client": "tests"})
        yield History(server.api_url, client)


def mlflow_client(finished: Any) -> Any:
    from mlflow.tracking import MlflowClient

    uri = f"sqlite:///{finished.workspace.path / 'mlflow' / 'mlflow.db'}"
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def test_a_first_run_does_every_step_in_order(finished: Any) -> None:
    assert finished.run.steps == dict.fromkeys(STEPS, "done")
    assert list(finished.run.steps) == list(STEPS)
    for step in finished.run.json["steps"]:
        assert 0 <= step["seconds"] <= finished.seconds
        assert step["name"] == "registry.register" or step["artefact"].startswith(f"{step['name']}/")


def test_a_run_in_which_nothing_changed_imports_nothing_heavy(watched: Watched) -> None:
    assert {step["status"] for step in watched.run["steps"]} == {"skipped"}
    heavy = {"fastapi", "mlflow", "lancedb", "pandas", "torch", "litellm", "great_expectations", "transformers"}
    others = {"flows.optimize", "flows.scale", "flows.dataset", "components.train.tasks", "components.scale.tasks"}
    assert not watched.modules & (heavy | others)


def test_a_run_in_which_nothing_changed_asks_little_of_the_server(watched: Watched) -> None:
    """Task runs and their states go as events over one connection; what is asked for is the flow run and artifacts."""
    waiting = ("POST /api/flow_runs/filter", "POST /api/task_runs/filter", "POST /api/events/filter")
    asked = [one for one in watched.requests if one not in waiting and one != "GET /api/flow_runs/ID"]
    assert asked.count("POST /api/artifacts/") <= 12
    assert len(asked) <= 36, asked
    assert not [one for one in asked if one.startswith("POST /api/task_runs")]


def test_the_result_is_one_json_object_and_the_exit_code_is_the_gate(finished: Any) -> None:
    told = finished.run.json
    assert (told["recipe"], told["phase"], told["status"]) == ("mvp", "mvp", "done")
    assert told["scorecard"]["metrics"]["recall_at_5"]["n"] == 21
    assert told["scorecard"]["answers"]["expected"] == told["scorecard"]["answers"]["scored"] == 8
    assert told["gate"]["verdict"] == "NO-GO"
    assert finished.run.code == 1
    assert [line.split()[1] for line in finished.run.err.splitlines() if line.startswith("✓")] == list(STEPS)


def test_run_json_and_the_frozen_recipe_are_in_the_run_s_folder(finished: Any) -> None:
    folder = finished.workspace.path / "runs" / finished.run.json["run"]
    kept = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert {key: kept[key] for key in ("run", "status", "steps")} == {
        key: finished.run.json[key] for key in ("run", "status", "steps")
    }
    assert "fake/embedding" in (folder / "recipe.yaml").read_text(encoding="utf-8")


def test_the_plan_of_a_first_run_knows_each_step_and_what_it_takes(finished: Any) -> None:
    assert finished.plan.code == 0
    assert finished.plan.steps == dict.fromkeys(STEPS, "run")
    planned = {step["name"]: step for step in finished.plan.json["steps"]}
    for step in finished.run.json["steps"]:
        if planned[step["name"]]["fingerprint"]:
            assert step["artefact"] == f"{step['name']}/{planned[step['name']]['fingerprint']}"
    assert planned["index.build"]["facts"]["chunks"] == finished.run.facts("index.build")["chunks"]
    totals = finished.plan.json["totals"]
    assert (totals["run"], totals["usd_at_most"]) == (len(STEPS), 0)
    assert totals["texts"] == finished.run.facts("index.build")["embedded"] + 24 + 1  # a prompt of personality
    card = finished.run.json["scorecard"]
    said = card["answers"]["expected"] + 2  # the prompt, asked of the candidate and of the bare model
    assert totals["calls_at_most"] == said + card["judge"]["expected"]


def test_the_same_again_does_nothing_as_the_plan_said(finished: Any, second: Later) -> None:
    assert second.plan.steps == dict.fromkeys(STEPS, "skip")
    assert second.plan.json["totals"]["texts"] == second.plan.json["totals"]["calls_at_most"] == 0
    assert second.run.steps == dict.fromkeys(STEPS, "skipped")
    assert second.run.code == finished.run.code
    for key in ("scorecard", "gate", "mlflow"):  # no new run and no new version either
        assert second.run.json[key] == finished.run.json[key]


def test_an_edited_note_costs_what_changed(finished: Any, edited: Later) -> None:
    collect = edited.plan.json["steps"][0]
    assert (collect["name"], collect["action"]) == ("sncp.collect", "run")
    assert {key: collect["facts"][key] for key in ("changed", "added", "gone")} == {"changed": 1, "added": 0, "gone": 0}
    assert edited.plan.json["notes"]["changed"] == ["NORD.md"]
    same = ("persona.compile", "evaluate.control", "evaluate.agreement", "registry.release")
    assert edited.plan.steps == dict.fromkeys(STEPS, "run") | dict.fromkeys(same, "skip")
    assert edited.plan.json["totals"]["texts"] == edited.run.facts("index.build")["embedded"]

    def texts(run: Any) -> set[str]:
        lines = (artefact(finished, run, "index.chunk") / "chunks.jsonl").read_text(encoding="utf-8").splitlines()
        return {json.loads(line)["embed_text"] for line in lines}

    fresh = texts(edited.run) - texts(finished.run)
    assert 1 <= len(fresh) <= 3
    assert edited.run.facts("index.build")["embedded"] == len(fresh)
    assert edited.run.steps["persona.compile"] == "skipped"
    assert edited.run.steps["evaluate.answers"] == "done"


def test_a_forced_step_and_a_damaged_artefact_are_made_again_and_nothing_else(finished: Any, refused: Later) -> None:
    planned = {step["name"]: step["reason"] for step in refused.plan.json["steps"] if step["action"] == "run"}
    assert planned["index.chunk"] == "forced"
    assert planned["persona.compile"] == "its output prompt.md was changed"
    state = list(finished.workspace.runs().values())[-1]
    assert {step["name"]: step["status"] for step in state["steps"]} == {
        "sncp.collect": "skipped", "index.chunk": "done", "index.build": "skipped", "persona.compile": "done",
        "evaluate.retrieval": "failed",  # the golden questions of the next test
    }  # fmt: skip


def test_golden_questions_about_a_note_that_is_not_there_are_named_with_their_line(
    finished: Any, refused: Later
) -> None:
    assert refused.run.code == 2
    assert "unknown.jsonl:2" in refused.run.err and "NORDD.md" in refused.run.err and "'NORD.md'" in refused.run.err
    assert list(finished.workspace.runs().values())[-1]["status"] == "failed"


def test_mlflow_holds_a_run_for_each_score_and_one_release(finished: Any, edited: Later) -> None:
    client = mlflow_client(finished)
    runs = client.search_runs([client.get_experiment_by_name("cervella").experiment_id])
    assert {run.info.run_id for run in runs} == {
        done.json["mlflow"]["run"] for done in (finished.run, edited.run)
    }  # the second run scored nothing new
    assert {run.info.status for run in runs} == {"FINISHED"}
    first = client.get_run(finished.run.json["mlflow"]["run"])
    assert first.data.metrics["recall_at_5"] == finished.run.json["scorecard"]["metrics"]["recall_at_5"]["value"]
    assert first.data.tags["cervella.run"] == finished.run.json["run"]
    assert first.data.tags["cervella.gate"] == "NO-GO"
    [version] = client.search_model_versions("name = 'cervella'")
    assert client.get_model_version_by_alias("cervella", "candidate").version == version.version
    assert len(client.search_prompt_versions("cervella-persona")) == 1


def test_mlflow_holds_the_questions_and_the_recipe(finished: Any, tmp_path: Path) -> None:
    client, run = mlflow_client(finished), finished.run.json["mlflow"]["run"]
    files = [item.path for item in client.list_artifacts(run)]
    inside = files + [item.path for folder in files for item in client.list_artifacts(run, folder)]
    recipe = next(path for path in inside if path.endswith("recipe.yaml"))
    kept = Path(client.download_artifacts(run, recipe, str(tmp_path)))
    frozen = finished.workspace.path / "runs" / finished.run.json["run"] / "recipe.yaml"
    assert kept.read_bytes() == frozen.read_bytes()
    table = next(path for path in inside if path.endswith("questions.json"))
    questions = json.loads(Path(client.download_artifacts(run, table, str(tmp_path))).read_text(encoding="utf-8"))
    assert len(questions["data"]) == 24 and "question" in questions["columns"]


def test_prefect_shows_each_run_with_its_tasks(finished: Any, history: History) -> None:
    runs = history.ask("flow_runs", sort="START_TIME_ASC")
    assert [(run["name"], run["state_type"]) for run in runs] == [
        (name, "FAILED" if state["status"] == "failed" else "COMPLETED")
        for name, state in finished.workspace.runs().items()
    ]
    for run in runs[:-1]:
        tasks = history.ask("task_runs", flow_runs={"id": {"any_": [run["id"]]}})
        assert len(tasks) == len(STEPS) + 2  # the champion is looked for, and the roadmap shown
        assert {task["state_type"] for task in tasks} == {"COMPLETED"}


def test_prefect_shows_what_people_want_to_see(finished: Any, history: History) -> None:
    first = history.ask("flow_runs", sort="START_TIME_ASC")[0]
    found = history.ask("artifacts", artifacts={"flow_run_id": {"any_": [first["id"]]}})
    assert all(artifact["key"].startswith("mvp-") for artifact in found)  # so that two recipes have histories of theirs
    shown = {artifact["key"].removeprefix("mvp-"): artifact for artifact in found}
    assert {key for key in shown if not key.endswith("-progress")} == {
        "notes", "index", "system-prompt", "verdicts", "scorecard", "questions", "gate", "report", "roadmap", "mlflow",
        "page",
    }  # fmt: skip
    assert "NO-GO" in shown["report"]["data"] and "report.html" in shown["report"]["data"]
    assert "NO-GO" in shown["gate"]["data"]
    assert "recall_at_5" in shown["scorecard"]["data"]
    assert len(json.loads(shown["questions"]["data"])) == 24
    assert finished.run.json["mlflow"]["run"] in shown["mlflow"]["data"]
    logs = history.ask("logs", logs={"flow_run_id": {"any_": [first["id"]]}})
    assert any("index.build done" in line["message"] for line in logs)
