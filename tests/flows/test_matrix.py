"""A matrix from end to end: four combinations, two of which cannot be run, beside an index that is in service."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from components.services import prefect_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

NAMES = [f"max_tokens={size}, golden={golden}" for size in (100, 200) for golden in ("{good}", "{faulty}")]


@dataclass(frozen=True)
class Tried:
    """A workspace with a published index and a server, in which a matrix was run: the whole of it, then half of it."""

    workspace: Any
    api_url: str
    before: dict[str, bytes]
    plan: Any
    first: Any
    half: Any
    good: Path
    faulty: Path

    @property
    def names(self) -> list[str]:
        return [name.format(good=self.good, faulty=self.faulty) for name in NAMES]

    @property
    def half_told(self) -> dict[str, Any]:
        """The run.json of the second matrix."""
        return [state for state in self.workspace.runs().values() if state["phase"] == "matrix"][1]

    def mlflow(self) -> Any:
        from mlflow.tracking import MlflowClient

        uri = f"sqlite:///{self.workspace.path / 'mlflow' / 'mlflow.db'}"
        return MlflowClient(tracking_uri=uri, registry_uri=uri)


def index_files(path: Path) -> dict[str, bytes]:
    files = [file for file in sorted((path / "index").rglob("*")) if file.is_file()]
    return {str(file.relative_to(path)): file.read_bytes() for file in files}


@pytest.fixture(scope="module")
def tried(
    program: Any, here: Any, published: Any, new_workspace: Callable[..., Any], examples: Path
) -> Iterator[Tried]:
    workspace = new_workspace(first=False)
    shutil.copytree(published.path, workspace.path, dirs_exist_ok=True)
    lines = (examples / "golden.jsonl").read_text(encoding="utf-8").splitlines()
    good, faulty = workspace.path.parent / "good.jsonl", workspace.path.parent / "faulty.jsonl"
    good.write_text("\n".join(lines[:6]) + "\n", encoding="utf-8")
    faulty.write_text(lines[0].replace('"gold": ["', '"gold": ["NON_CE_') + "\n", encoding="utf-8")
    matrix = {"index.chunk.max_tokens": [100, 200], "evaluate.golden": [str(good), str(faulty)]}
    options = (*workspace.options, "-o", f"matrix={json.dumps(matrix)}", "-o", "evaluate.answers=2")
    before = index_files(workspace.path)
    plan = here("plan", "mvp", *options, "--json")
    with prefect_server(workspace=workspace.path) as server:
        first = program("run", "mvp", *options, "--json")
        half = program("run", "mvp", *options, "-o", f"evaluate.golden={good}")
        yield Tried(workspace, server.api_url, before, plan, first, half, good, faulty)
    assert workspace.is_quiet()


def test_the_plan_knows_which_combinations_cannot_be_run(tried: Tried) -> None:
    assert tried.plan.code == 1
    told = tried.plan.json
    assert [one["name"] for one in told["combinations"]] == tried.names
    assert len(told["problems"]) == 2 and all("NON_CE_" in problem for problem in told["problems"])


def test_one_that_fails_does_not_keep_the_others_from_running(tried: Tried) -> None:
    told = tried.first.json
    assert tried.first.code == 3
    assert (told["phase"], told["status"]) == ("matrix", "done")
    assert [(one["name"], one["status"]) for one in told["combinations"]] == list(
        zip(tried.names, ["done", "failed", "done", "failed"], strict=True)
    )
    assert told["best"] in (tried.names[0], tried.names[2])
    assert told["criterion"].startswith("verdict, then mrr")
    assert "NON_CE_" in told["combinations"][1]["error"]


def test_the_index_in_service_is_as_it_was(tried: Tried) -> None:
    assert index_files(tried.workspace.path) == tried.before
    assert len(list((tried.workspace.path / "matrix").iterdir())) == 2


def test_shared_work_is_done_once(tried: Tried) -> None:
    runs = tried.workspace.runs()

    def steps(number: int, told: Any) -> dict[str, str]:
        return {step["name"]: step["status"] for step in runs[told["combinations"][number]["run"]]["steps"]}

    assert steps(0, tried.first.json)["sncp.collect"] == "skipped"  # by the run that published the index
    assert steps(2, tried.first.json)["persona.compile"] == "skipped"
    assert steps(0, tried.half_told) == dict.fromkeys(
        ["sncp.collect", "index.chunk", "index.build", "persona.compile", "evaluate.retrieval", "evaluate.answers",
         "evaluate.candidate", "evaluate.control", "evaluate.agreement", "evaluate.judge", "evaluate.score",
         "registry.gate", "registry.release", "registry.report"], "skipped",
    )  # fmt: skip


def test_an_override_pins_a_key_and_the_exit_code_is_the_gate_of_the_best(tried: Tried) -> None:
    told = tried.half_told["combinations"]
    assert [one["name"] for one in told] == ["max_tokens=100", "max_tokens=200"]
    assert {one["verdict"] for one in told} <= {"NO-GO", "INCONCLUSIVE"}
    assert tried.half.code == 1


def test_the_terminal_compares_them_and_says_how_to_take_the_best_into_service(tried: Tried) -> None:
    assert "*  max_tokens=" in tried.half.out and "mrr" in tried.half.out
    assert "take it into service: cervella run" in tried.half.out and "-o matrix=null" in tried.half.out


def test_mlflow_has_a_parent_with_nested_runs_and_one_release(tried: Tried) -> None:
    client = tried.mlflow()
    runs = client.search_runs([client.get_experiment_by_name("cervella").experiment_id])
    nested = {told["mlflow"]["run"]: told["mlflow"]["nested"] for told in (tried.first.json, tried.half_told)}
    assert len(runs) == 2 + 2 + 2
    for parent, children in nested.items():
        found = {run.info.run_id for run in runs if run.data.tags.get("mlflow.parentRunId") == parent}
        assert found == set(children) and len(found) == 2
    assert {run.info.status for run in runs} == {"FINISHED"}
    versions = client.search_model_versions("name = 'cervella'")
    alias = client.get_model_version_by_alias("cervella", "candidate")
    assert alias.version in {version.version for version in versions} and len(versions) <= 2


def test_runs_and_show_know_what_a_matrix_is(here: Any, tried: Tried) -> None:
    listed = here("runs", "-w", tried.workspace.path)
    assert listed.out.count("  matrix  ") == 2
    assert "max_tokens=100" in listed.out
    shown = here("show", tried.first.json["run"], "-w", tried.workspace.path)
    assert "best: max_tokens=" in shown.out and "failed" in shown.out


def test_two_combinations_are_compared_by_diff(here: Any, tried: Tried) -> None:
    one, two = (told["run"] for told in tried.half_told["combinations"])
    done = here("diff", one, two, "-w", tried.workspace.path, "--json")
    assert done.code == 0
    assert done.json["values"]["index.chunk.max_tokens"] == [100, 200]
    assert done.json["steps"]["sncp.collect"] == "same" and done.json["steps"]["index.chunk"] == "other"
    same = here("diff", one, one, "-w", tried.workspace.path)
    assert "nothing differs" in same.out or "the same" in same.out
    recipe = here("diff", one, "mvp", "-w", tried.workspace.path)
    assert "index.embedding.model: fake/embedding → local/multilingual-e5-small" in recipe.out
    unknown = here("diff", one, "nichts", "-w", tried.workspace.path)
    assert unknown.code == 2 and "neither a run" in unknown.err


@pytest.fixture(scope="module")
def prefect(tried: Tried) -> Iterator[Callable[..., Any]]:
    with httpx.Client(trust_env=False) as client:
        token = client.get(f"{tried.api_url}/csrf-token", params={"client": "tests"}).raise_for_status().json()
        client.headers.update({"Prefect-Csrf-Token": token["token"], "Prefect-Csrf-Client": "tests"})
        yield lambda what, **filters: client.post(f"{tried.api_url}/{what}/filter", json=filters).json()


def test_prefect_shows_a_flow_with_flows_under_it(tried: Tried, prefect: Callable[..., Any]) -> None:
    runs = prefect("flow_runs", sort="START_TIME_ASC")
    parent = next(run for run in runs if run["name"] == tried.first.json["run"])
    under = [one["run"] for one in tried.first.json["combinations"]]
    states = {run["name"]: run["state_type"] for run in runs}
    assert [states[name] for name in under] == ["COMPLETED", "FAILED", "COMPLETED", "FAILED"]
    assert parent["state_type"] == "COMPLETED"
    artifacts = prefect("artifacts", artifacts={"flow_run_id": {"any_": [parent["id"]]}})
    tables = {artifact["key"]: artifact["data"] for artifact in artifacts}
    assert len(json.loads(tables["mvp-comparison"])) == 4
    assert tried.first.json["best"] in tables["mvp-best"]


def test_fail_fast_begins_no_other(program: Any, tried: Tried) -> None:
    matrix = {"evaluate.golden": [str(tried.faulty), str(tried.good)]}
    options = (*tried.workspace.options, "-o", f"matrix={json.dumps(matrix)}", "--fail-fast", "--json")
    done = program("run", "mvp", *options)
    assert done.code == 3
    assert [one.get("status") for one in done.json["combinations"]] == ["failed", None]
    assert done.json["best"] is None
    assert index_files(tried.workspace.path) == tried.before


def test_nothing_is_begun_when_a_combination_is_faulty(here: Any, tried: Tried) -> None:
    runs = len(tried.workspace.runs())
    done = here("run", "mvp", *tried.workspace.options, "-o", "matrix={index.search.k: [5, many]}")
    assert done.code == 2 and "index.search.k" in done.err
    assert len(tried.workspace.runs()) == runs
