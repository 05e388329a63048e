"""Deployments, into a real server: the scheduler makes the nightly runs, the form has its dropdown, a worker runs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from components.services import Server, prefect_environment, prefect_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

FLOW = """
from pathlib import Path
from typing import Literal
from prefect import flow

RECIPES = tuple(sorted(path.stem for path in (Path(__file__).parent / "recipes").glob("*.yaml")))

@flow(name="run-recipe")
def run_recipe(recipe: Literal[RECIPES], overrides: list[str] = [], dry_run: bool = False):
    Path("ran.txt").write_text(recipe)
"""


class Api:
    """The server's API, and the `prefect` command talking to it."""

    def __init__(self, *, server: Server, workspace: Path) -> None:
        self.url = server.api_url
        self.environment = os.environ | prefect_environment(workspace) | {"PREFECT_API_URL": server.api_url}

    def prefect(self, *arguments: str, folder: Path) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "prefect", "--no-prompt", *arguments],
            cwd=folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def deployment(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = httpx.get(f"{self.url}/deployments/name/{name}").raise_for_status().json()
        return found

    def runs(self, deployment: dict[str, Any], *states: str) -> list[dict[str, Any]]:
        client = str(uuid.uuid4())
        token = httpx.get(f"{self.url}/csrf-token", params={"client": client}).raise_for_status().json()["token"]
        found: list[dict[str, Any]] = (
            httpx.post(
                f"{self.url}/flow_runs/filter",
                headers={"Prefect-Csrf-Token": token, "Prefect-Csrf-Client": client},
                json={
                    "deployments": {"id": {"any_": [deployment["id"]]}},
                    "flow_runs": {"state": {"type": {"any_": list(states)}}},
                },
            )
            .raise_for_status()
            .json()
        )
        return found

    def scheduled(self, deployment: dict[str, Any]) -> list[dict[str, Any]]:
        """The runs that the scheduler made; it looks every 60 s."""
        deadline = time.monotonic() + 90
        while not (runs := self.runs(deployment, "SCHEDULED")) and time.monotonic() < deadline:
            time.sleep(0.5)
        return runs


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A server of its own, with the work pool `cervella`."""
    workspace = tmp_path_factory.mktemp("deployments")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PREFECT_API_URL", raising=False)
        with prefect_server(workspace=workspace) as server:
            api = Api(server=server, workspace=workspace)
            api.prefect("work-pool", "create", "cervella", "--type", "process", folder=workspace)
            yield api


def check_deployments(api: Api, *, folder: Path, recipes: list[str]) -> None:
    """What prefect.yaml promises, as the server understood it."""
    by_hand = api.deployment("run-recipe/run-recipe")
    nightly = api.deployment("run-recipe/reindex-nightly")
    for deployment in (by_hand, nightly):
        assert deployment["work_pool_name"] == "cervella"
        # Found at deployment, never written in the project.
        assert deployment["pull_steps"] == [
            {"prefect.deployments.steps.set_working_directory": {"directory": str(folder)}}
        ]
        parameters = deployment["parameter_openapi_schema"]["properties"]
        assert parameters["recipe"]["enum"] == recipes
        assert parameters["overrides"].get("type", "array") == "array"
        assert parameters["dry_run"]["type"] == "boolean"
    assert by_hand["schedules"] == []
    assert nightly["parameters"] == {"recipe": "reindex"}
    assert nightly["global_concurrency_limit"]["limit"] == 1
    assert nightly["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"
    [schedule] = nightly["schedules"]
    assert (schedule["slug"], schedule["active"]) == ("nightly", True)
    assert (schedule["schedule"]["cron"], schedule["schedule"]["timezone"]) == ("0 3 * * *", "Europe/Rome")
    runs = api.scheduled(nightly)
    assert runs
    assert all(run["auto_scheduled"] and run["parameters"]["recipe"] == "reindex" for run in runs)
    assert api.runs(by_hand, "SCHEDULED") == []


@pytest.fixture(scope="module")
def small_project(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's own prefect.yaml with a flow that only says that it ran."""
    folder = tmp_path_factory.mktemp("small") / "a project"
    (folder / "flows" / "recipes").mkdir(parents=True)
    for name in ("mvp", "reindex"):
        (folder / "flows" / "recipes" / f"{name}.yaml").write_text("")
    (folder / "flows" / "run.py").write_text(FLOW)
    (folder / "prefect.yaml").write_text((root / "prefect.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    return folder


def test_a_deployed_flow_is_scheduled_and_a_worker_runs_it(api: Api, small_project: Path) -> None:
    api.prefect("deploy", "--all", folder=small_project)
    check_deployments(api, folder=small_project, recipes=["mvp", "reindex"])
    # The worker is started elsewhere: the folder of the project is in the deployment.
    api.prefect("deployment", "run", "run-recipe/run-recipe", "--param", "recipe=mvp", folder=small_project.parent)
    api.prefect("worker", "start", "--pool", "cervella", "--run-once", folder=small_project.parent)
    [run] = api.runs(api.deployment("run-recipe/run-recipe"), "COMPLETED", "FAILED", "CRASHED")
    assert run["state"]["type"] == "COMPLETED", run["state"]
    assert (small_project / "ran.txt").read_text() == "mvp"


def test_deploying_again_learns_the_new_recipe_and_keeps_one_schedule(api: Api, small_project: Path) -> None:
    (small_project / "flows" / "recipes" / "another.yaml").write_text("")
    for _ in range(2):
        api.prefect("deploy", "--all", folder=small_project)
    check_deployments(api, folder=small_project, recipes=["another", "mvp", "reindex"])


def test_prefect_yaml_names_no_machine(root: Path) -> None:
    text = (root / "prefect.yaml").read_text(encoding="utf-8")
    assert str(root) not in text and "\npull:" not in text


def test_the_projects_own_deployments(api: Api, root: Path) -> None:
    recipes = sorted(path.stem for path in (root / "recipes").glob("[!_]*.yaml"))
    assert "reindex" in recipes
    # `deploy` says nothing about a flow that cannot be imported, and leaves out of the form what it cannot know then.
    imported = subprocess.run([sys.executable, "-c", "import flows.run"], cwd=root, capture_output=True, text=True)
    assert imported.returncode == 0, imported.stderr
    api.prefect("deploy", "--all", folder=root)
    check_deployments(api, folder=root, recipes=recipes)
