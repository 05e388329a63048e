"""Deploying into a real server: what the file says is there, once; what it lacks is gone; what is not ours stays."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from components.errors import InputError
from components.services import Server, prefect_environment, prefect_server
from components.services.deployments import Change, apply_plan, deploy_all, plan_deploy
from components.services.deployments.automation import AUTOMATION
from components.services.deployments.server import Remote, connected

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

FLOW = """
from pathlib import Path
from typing import Literal
from prefect import flow

RECIPES = tuple(sorted(path.stem for path in (Path(__file__).parent / "recipes").glob("*.yaml")))

@flow(name="run-recipe")
def run_recipe(recipe: Literal[RECIPES], overrides: list[str] = [], dry_run: bool = False):
    with Path("ran.txt").open("a") as file:
        file.write(recipe + "\\n")
"""
CLEAN = """
from pathlib import Path
from typing import Literal
from prefect import flow

RECIPES = tuple(sorted(path.stem for path in (Path(__file__).parent / "recipes").glob("*.yaml")))

@flow(name="clean")
def clean(recipe: Literal[RECIPES], keep: int = 10, dry_run: bool = False): ...
"""
SOMEBODY = """
from prefect import flow

@flow(name="somebody")
def somebody(): ...
"""


class Api:
    """The server's API, and the `prefect` command talking to it."""

    def __init__(self, *, server: Server, workspace: Path, remote: Remote) -> None:
        self.url = server.api_url
        self.remote = remote
        clean = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        self.environment = clean | prefect_environment(workspace) | {"PREFECT_API_URL": server.api_url}

    def prefect(self, *arguments: str, folder: Path) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "prefect", "--no-prompt", *arguments],
            cwd=folder, env=self.environment, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def deployment(self, name: str) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self.remote.ask("GET", f"/deployments/name/{name}", missing_is_none=True)
        return found

    def there(self, name: str) -> dict[str, Any]:
        found = self.deployment(name)
        assert found, f"{name} is not on the server"
        return found

    def start(self, name: str, **parameters: Any) -> None:
        self.remote.ask("POST", f"/deployments/{self.there(name)['id']}/create_flow_run", {"parameters": parameters})

    def runs(self, deployment: dict[str, Any], *states: str) -> list[dict[str, Any]]:
        chosen = {"flow_runs": {"state": {"type": {"any_": list(states)}}}} if states else {}
        return self.remote.all("/flow_runs/filter", {"deployments": {"id": {"any_": [deployment["id"]]}}, **chosen})

    def scheduled(self, deployment: dict[str, Any]) -> list[dict[str, Any]]:
        """The runs that the scheduler made; it looks every 60 s."""
        deadline = time.monotonic() + 90
        while not (runs := self.runs(deployment, "SCHEDULED")) and time.monotonic() < deadline:
            time.sleep(0.5)
        return runs


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, served: Callable[[Path], Path]) -> Iterator[Api]:
    """A server of its own."""
    workspace = served(tmp_path_factory.mktemp("deployments"))
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PREFECT_API_URL", raising=False)
        patch.delenv("CERVELLA_RECIPES", raising=False)
        with prefect_server(workspace=workspace) as server, connected(server.api_url) as remote:
            yield Api(server=server, workspace=workspace, remote=remote)


@pytest.fixture(scope="module")
def project(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's own prefect.yaml, with a flow that only notes that it ran. All tests go on with the same one."""
    folder = tmp_path_factory.mktemp("small") / "a project"
    (folder / "flows" / "recipes").mkdir(parents=True)
    for name in ("mvp", "reindex"):
        (folder / "flows" / "recipes" / f"{name}.yaml").write_text("")
    (folder / "flows" / "run.py").write_text(FLOW)
    (folder / "flows" / "clean.py").write_text(CLEAN)
    (folder / "prefect.yaml").write_text((root / "prefect.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    return folder


def deploy(api: Api, project: Path) -> list[Change]:
    told: list[str] = []
    done = deploy_all(api_url=api.url, prefect_file=project / "prefect.yaml", say=told.append)
    assert told == [str(change) for change in done.changes]
    assert not done.left
    return list(done.changes)


def named(changes: list[Change]) -> list[tuple[str, str, str]]:
    return [(change.what, change.kind, change.name) for change in changes]


def replace(project: Path, old: str, new: str) -> None:
    file = project / "prefect.yaml"
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def check_deployments(api: Api, *, folder: Path, recipes: list[str]) -> None:
    """What prefect.yaml promises, as the server understood it."""
    pools = {
        "run-recipe/run-recipe": "cervella", "run-recipe/train-recipe": "training",
        "run-recipe/reindex-nightly": "cervella", "run-recipe/evaluate-weekly": "cervella",
        "clean/clean-weekly": "cervella",
    }  # fmt: skip
    for name, pool in pools.items():
        deployment = api.there(name)
        assert deployment["work_pool_name"] == pool
        # Found at deployment, never written in the project.
        assert deployment["pull_steps"] == [
            {"prefect.deployments.steps.set_working_directory": {"directory": str(folder)}}
        ]
        assert deployment["tags"] == ["cervella"]
        parameters = deployment["parameter_openapi_schema"]["properties"]
        assert parameters["recipe"]["enum"] == recipes
        assert parameters["dry_run"]["type"] == "boolean"
    for name, slug, cron, recipe in (
        ("run-recipe/reindex-nightly", "nightly", "0 3 * * *", "reindex"),
        ("run-recipe/evaluate-weekly", "weekly", "0 4 * * 0", "mvp"),
        ("clean/clean-weekly", "weekly", "0 23 * * 0", "reindex"),
    ):
        deployment = api.there(name)
        assert deployment["global_concurrency_limit"]["limit"] == 1
        assert deployment["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"
        [schedule] = deployment["schedules"]
        assert (schedule["slug"], schedule["active"]) == (slug, True)
        assert (schedule["schedule"]["cron"], schedule["schedule"]["timezone"]) == (cron, "Europe/Rome")
        assert schedule["parameters"] == {"recipe": recipe}
    assert api.there("run-recipe/run-recipe")["schedules"] == []


def test_a_first_deploy_makes_everything(api: Api, project: Path) -> None:
    changes = deploy(api, project)
    assert named(changes) == [
        ("new", "work pool", "cervella"),
        ("new", "work pool", "training"),
        ("new", "deployment", "run-recipe/run-recipe"),
        ("new", "deployment", "run-recipe/train-recipe"),
        ("new", "deployment", "run-recipe/reindex-nightly"),
        ("new", "schedule", "run-recipe/reindex-nightly nightly"),
        ("new", "deployment", "run-recipe/evaluate-weekly"),
        ("new", "schedule", "run-recipe/evaluate-weekly weekly"),
        ("new", "deployment", "clean/clean-weekly"),
        ("new", "schedule", "clean/clean-weekly weekly"),
        ("new", "automation", AUTOMATION),
    ]
    check_deployments(api, folder=project, recipes=["mvp", "reindex"])
    pools = {pool["name"]: pool for pool in api.remote.all("/work_pools/filter", {})}
    assert {name: (pool["type"], pool["concurrency_limit"]) for name, pool in pools.items()} == {
        "cervella": ("process", None), "training": ("process", 1),
    }  # fmt: skip
    assert "env" in pools["cervella"]["base_job_template"]["variables"]["properties"]


def test_the_scheduler_makes_runs_with_the_schedules_parameters(api: Api, project: Path) -> None:
    runs = api.scheduled(api.there("run-recipe/reindex-nightly"))
    assert runs
    assert all(run["auto_scheduled"] and run["parameters"]["recipe"] == "reindex" for run in runs)
    assert all(run["tags"] and "cervella" in run["tags"] for run in runs)
    assert api.runs(api.there("run-recipe/run-recipe"), "SCHEDULED") == []


def test_a_second_deploy_changes_nothing_and_sends_nothing(api: Api, project: Path) -> None:
    before = [api.there(f"run-recipe/{name}") for name in ("run-recipe", "reindex-nightly")]
    assert deploy(api, project) == []
    assert [api.there(f"run-recipe/{name}") for name in ("run-recipe", "reindex-nightly")] == before
    automations = api.remote.all("/automations/filter", {})
    assert [(one["name"], one["enabled"]) for one in automations] == [(AUTOMATION, True)]


def test_a_worker_runs_a_deployment_wherever_it_was_started(api: Api, project: Path) -> None:
    api.start("run-recipe/run-recipe", recipe="mvp")
    api.prefect("worker", "start", "--pool", "cervella", "--run-once", folder=project.parent)
    [run] = api.runs(api.there("run-recipe/run-recipe"))
    assert run["state"]["type"] == "COMPLETED", run["state"]
    assert (project / "ran.txt").read_text() == "mvp\n"


def test_of_two_trainings_a_worker_takes_one(api: Api, project: Path) -> None:
    for _ in range(2):
        api.start("run-recipe/train-recipe", recipe="mvp")
    api.prefect("worker", "start", "--pool", "training", "--run-once", folder=project.parent)
    states = sorted(run["state"]["type"] for run in api.runs(api.there("run-recipe/train-recipe")))
    assert states == ["COMPLETED", "SCHEDULED"]


def test_a_new_recipe_appears_in_the_form_and_the_change_is_told(api: Api, project: Path) -> None:
    (project / "flows" / "recipes" / "another.yaml").write_text("")
    plan = plan_deploy(api_url=api.url, prefect_file=project / "prefect.yaml")
    assert api.there("run-recipe/run-recipe")["parameter_openapi_schema"]["properties"]["recipe"]["enum"] == [
        "mvp", "reindex",
    ]  # fmt: skip
    changes = deploy(api, project)
    assert changes == list(plan.changes)
    assert str(changes[0]) == ("~ deployment run-recipe/run-recipe (changed)\n    form.recipe.enum: + another")
    check_deployments(api, folder=project, recipes=["another", "mvp", "reindex"])


def test_what_was_changed_by_hand_is_set_back_but_a_pause_stays(api: Api, project: Path) -> None:
    nightly = api.there("run-recipe/reindex-nightly")
    [schedule] = nightly["schedules"]
    api.remote.ask("PATCH", f"/deployments/{nightly['id']}/schedules/{schedule['id']}", {"active": False})
    by_hand = {"active": True, "schedule": {"cron": "30 12 * * *", "timezone": "UTC"}, "parameters": {"recipe": "mvp"}}
    api.remote.ask("POST", f"/deployments/{nightly['id']}/schedules", [by_hand])
    api.remote.ask("PATCH", "/work_pools/training", {"concurrency_limit": 5})
    pool, paused = deploy(api, project)
    assert (pool.name, pool.keys) == ("training", {"concurrency_limit": (5, 1)})
    # Whoever pauses a schedule makes Prefect 3.8 forget the schedule's parameters.
    assert (paused.kind, paused.keys) == ("schedule", {"parameters.recipe": (None, "reindex")})
    replace(project, "every night.", "each night.")
    assert named(deploy(api, project)) == [("changed", "deployment", "run-recipe/reindex-nightly")]
    schedules = {one["slug"]: one for one in api.there("run-recipe/reindex-nightly")["schedules"]}
    assert set(schedules) == {"nightly", None}
    assert schedules["nightly"]["active"] is False
    assert schedules[None]["schedule"]["cron"] == "30 12 * * *"
    assert schedules[None]["parameters"] == {"recipe": "mvp"}
    assert api.remote.ask("GET", "/work_pools/training")["concurrency_limit"] == 1
    # Unless the file says what it is to be.
    replace(project, "timezone: Europe/Rome, parameters: {recipe: reindex}",
            "timezone: Europe/Rome, active: true, parameters: {recipe: reindex}")  # fmt: skip
    [change] = deploy(api, project)
    assert (change.kind, change.keys) == ("schedule", {"active": (False, True)})


def test_what_is_gone_from_the_file_is_removed_and_what_is_somebodys_stays(
    api: Api, project: Path, tmp_path: Path
) -> None:
    (tmp_path / "somebody.py").write_text(SOMEBODY)
    api.prefect("deploy", "somebody.py:somebody", "-n", "theirs", "-p", "cervella", "-t", "cervella", folder=tmp_path)
    text = (project / "prefect.yaml").read_text(encoding="utf-8")
    cut = text[: text.index("  - name: evaluate-weekly")]
    lines = [line for line in cut.splitlines() if "schedules:" not in line and "slug: nightly" not in line]
    (project / "prefect.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    weekly = api.there("run-recipe/evaluate-weekly")
    plan = plan_deploy(api_url=api.url, prefect_file=project / "prefect.yaml")
    assert named(list(plan.removals)) == [
        ("gone", "schedule", "run-recipe/reindex-nightly nightly"),
        ("gone", "deployment", "clean/clean-weekly"),
        ("gone", "deployment", "run-recipe/evaluate-weekly"),
    ]
    left = apply_plan(plan, remove=False)  # nobody said yes
    assert (left.left, left.changes) == (plan.removals, ())
    assert str(left) == "Deployed: nothing changed; 3 not removed"
    assert api.deployment("run-recipe/evaluate-weekly") == weekly
    assert {one["slug"] for one in api.there("run-recipe/reindex-nightly")["schedules"]} == {"nightly", None}

    assert deploy(api, project) == list(plan.removals)
    assert api.deployment("run-recipe/evaluate-weekly") is None
    assert {one["slug"] for one in api.there("run-recipe/reindex-nightly")["schedules"]} == {None}
    assert api.there("somebody/theirs")["tags"] == ["cervella"]
    assert deploy(api, project) == []


def test_faults_of_the_file_send_nothing(api: Api, project: Path) -> None:
    good = (project / "prefect.yaml").read_text(encoding="utf-8")
    before = api.there("run-recipe/run-recipe")
    try:
        replace(project, "Run any recipe but a training.", "Changed.")
        replace(project, "concurrency_limit: *one_at_a_time", "concurency_limit: *one_at_a_time")
        with pytest.raises(InputError, match="did you mean 'concurrency_limit'"):
            deploy(api, project)
    finally:
        (project / "prefect.yaml").write_text(good, encoding="utf-8")
    assert api.there("run-recipe/run-recipe") == before


def test_an_automation_that_was_changed_is_mended_and_one_that_was_switched_off_stays_off(
    api: Api, project: Path
) -> None:
    [ours] = api.remote.all("/automations/filter", {})
    changed = {key: ours[key] for key in ("name", "description", "trigger", "actions")}
    changed["trigger"] = {**changed["trigger"], "within": 60}
    api.remote.ask("PUT", f"/automations/{ours['id']}", {**changed, "enabled": False})
    [change] = deploy(api, project)
    assert (change.kind, change.keys) == ("automation", {"trigger.within": (60, 600)})
    [mended] = api.remote.all("/automations/filter", {})
    assert (mended["id"], mended["enabled"], float(mended["trigger"]["within"])) == (ours["id"], False, 600)
    api.remote.ask("POST", "/automations/", {**changed, "enabled": True})  # of another deploy at the same moment
    assert named(deploy(api, project)) == [("gone", "automation", f"{AUTOMATION}, number 2")]
    assert [one["id"] for one in api.remote.all("/automations/filter", {})] == [ours["id"]]


def test_prefect_yaml_names_no_machine(root: Path) -> None:
    text = (root / "prefect.yaml").read_text(encoding="utf-8")
    assert str(root) not in text and "\npull:" not in text


def test_the_projects_own_deployments(api: Api, root: Path, tmp_path: Path) -> None:
    for found in api.remote.all("/deployments/filter", {}):
        api.remote.ask("DELETE", f"/deployments/{found['id']}")
    recipes = sorted(path.stem for path in (root / "recipes").glob("[!_]*.yaml"))
    assert "reindex" in recipes
    deploy(api, root)
    check_deployments(api, folder=root, recipes=recipes)
    # Prefect reads the file as well, and understands the same by it: only what makes a deployment ours is not there.
    api.prefect("deploy", "--all", folder=root)
    rest = plan_deploy(api_url=api.url, prefect_file=root / "prefect.yaml").changes
    assert {(change.what, key) for change in rest for key in change.keys} == {("changed", "tags")}

    def command(*options: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "flows.cli", "deploy", "--api-url", api.url, *options],
            cwd=root, env=api.environment, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, done.stdout

    home = ("-w", str(tmp_path / "new"))
    code, out = command("--dry-run", "--json", *home)
    told = json.loads(out)
    assert (code, told["applied"], len(told["changes"])) == (1, False, 5)
    assert told["changes"][0]["keys"] == {"tags": {"old": [], "new": ["cervella"]}}
    code, out = command(*home)
    assert (code, out.splitlines()[-1]) == (0, "Deployed: 5 deployments changed")
    assert command("--dry-run", *home) == (0, f"{api.url} is as prefect.yaml says\n")
