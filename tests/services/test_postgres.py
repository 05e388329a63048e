"""Prefect on a real PostgreSQL, and a worker of a second machine: what up, run, worker and down do with them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from components.services import prefect_environment
from components.services.supervisor.prefect_api import _ask, make_pool
from components.services.supervisor.processes import end_marked, mark_of
from tests.flows.conftest import Done, Program, Workspace, new_workspace, program  # noqa: F401 (fixtures)
from tests.flows.test_up import Services
from tests.processes import processes_of
from tests.services.postgres_server import PASSWORD, Postgres, postgres_server
from tests.waiting import soon

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
NAME = "CERVELLA_TEST_DATABASE"
LINUX = sys.platform == "linux"

# Says where it was run, and waits when it is told to.
FLOW = """
import os, time
from pathlib import Path
from prefect import flow

@flow
def where(wait: int = 0) -> None:
    Path("ran.tmp").write_text(f"{os.getpid()} {os.environ['PREFECT_HOME']}")
    os.rename("ran.tmp", "ran")
    time.sleep(wait)
"""
DEPLOYMENT = """
pull:
  - prefect.deployments.steps.set_working_directory: {{directory: "{folder}"}}
deployments:
  - {{name: here, entrypoint: "flow.py:where", work_pool: {{name: training}}}}
"""


@dataclass
class Shared:
    """A workspace that is up with its history in PostgreSQL and no worker for trainings."""

    postgres: Postgres
    services: Services
    workspace: Workspace
    program: Program
    project: Path
    api_url: str = ""

    def states(self) -> list[str]:
        return [str(row[0]) for row in self.postgres.sql(
            "select state_type::text from flow_run order by created", database="prefect")]  # fmt: skip

    def ask(self, path: str, body: dict[str, Any]) -> Any:
        """The server's answer: without Prefect's own commands, each of which takes its time to begin."""
        return _ask(self.api_url, path, body, pool="tests")

    def start(self, wait: int = 0) -> None:
        """Have a run of the deployment wait for a worker, and then work for so many seconds."""
        (self.project / "ran").unlink(missing_ok=True)
        [one] = self.ask("/deployments/filter", {"deployments": {"name": {"any_": ["here"]}}})
        self.ask(
            f"/deployments/{one['id']}/create_flow_run", {"parameters": {"wait": wait}, "state": {"type": "SCHEDULED"}}
        )


@pytest.fixture(scope="module")
def shared(
    program: Program,  # noqa: F811
    new_workspace: Callable[..., Workspace],  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Shared]:
    with postgres_server() as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv(NAME, server.url())
        workspace, project = new_workspace(), tmp_path_factory.mktemp("project")
        here = Shared(server, Services(program, workspace.path), workspace, program, project)
        (project / "flow.py").write_text(FLOW)
        (project / "prefect.yaml").write_text(DEPLOYMENT.format(folder=project))
        try:
            up = here.services.up("--prefect-database-env", NAME, "--without-worker", "training")
            assert [name for name in up if name.startswith("worker")] == ["worker-cervella"]
            here.api_url = f"{up['prefect']['url']}/api"
            patch.delenv(NAME)  # from here on it is known to the keeper alone
            make_pool(here.api_url, "training", concurrency_limit=1, description="Trainings")
            done = subprocess.run(
                [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"], cwd=project, check=False,
                timeout=180, capture_output=True, text=True,
                env=os.environ | prefect_environment(project / "own") | {"PREFECT_API_URL": here.api_url},
            )  # fmt: skip
            assert not done.returncode, done.stdout + done.stderr
            yield here
        finally:
            ended = here.services.down()
            end_marked(mark_of(workspace.path), grace_seconds=0)
        assert ended.code == 0 and ended.json["ended"], ended.err
        assert soon(lambda: not here.services.left(), seconds=120), here.services.left()


def test_the_history_of_a_run_is_in_postgresql_and_nowhere_else(shared: Shared) -> None:
    run = shared.program("run", "recipes/reindex.yaml", *shared.workspace.options, "--json")
    assert run.code == 0, run.err
    assert f"Prefect is at {shared.api_url.removesuffix('/api')}\n" in run.err
    flow_run = next(iter(shared.workspace.runs().values()))["prefect_flow_run"]
    [(state, tasks)] = shared.postgres.sql(
        f"select state_type::text, (select count(*) from task_run where flow_run_id = '{flow_run}')"
        f" from flow_run where id = '{flow_run}'", database="prefect",
    )  # fmt: skip
    assert state == "COMPLETED" and int(str(tasks)) >= 2
    assert not list(shared.workspace.path.glob("prefect/prefect.db*"))


def test_the_password_is_in_no_file_no_arguments_and_no_answer(shared: Shared) -> None:
    forms = {PASSWORD.encode(), shared.postgres.url().rpartition("@")[0].rpartition(":")[2].encode()}
    files = [file for file in shared.workspace.path.rglob("*") if file.is_file()]
    assert len(files) > 20
    for file in files:
        assert not any(form in file.read_bytes() for form in forms), file
    with urllib.request.urlopen(f"{shared.api_url}/admin/settings", timeout=30) as answer:
        settings = answer.read()
    assert b"connection_url" in settings and not any(form in settings for form in forms)
    if not LINUX:
        return
    knows = set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words, around = (entry / "cmdline").read_bytes(), (entry / "environ").read_bytes()
        except OSError:  # it has just ended
            continue
        assert not any(form in words for form in forms)
        if any(form in around for form in forms):
            knows.add(int(entry.name))
    state = shared.services.state()
    expected = {state["keeper"]["pid"], state["services"]["prefect"]["pid"]}
    assert expected <= knows
    for pid in (state["services"][name]["pid"] for name in ("mlflow", "worker-cervella")):
        assert pid not in knows


def test_up_again_needs_no_address_and_another_choice_is_refused(shared: Shared) -> None:
    again = shared.services.up("--without-worker", "training")
    assert not again["begun"]
    other = shared.program("up", *shared.services.options, "--prefect-database-env", "none")
    assert other.code == 3 and "is up on another database; end it (cervella down), then choose" in other.err


def test_a_database_that_was_restarted_is_used_again(shared: Shared) -> None:
    before = shared.services.state()["services"]["prefect"]["pid"]
    shared.postgres.stop()
    shared.postgres.start()
    run = shared.program("run", "recipes/reindex.yaml", *shared.workspace.options, "--json")
    assert run.code == 0, run.err
    assert shared.services.state()["services"]["prefect"]["pid"] == before


def worker(shared: Shared, workspace: Path, *options: object) -> subprocess.Popen[str]:
    return shared.program.start(
        "worker", "--api-url", shared.api_url, "--pool", "training", "-w", workspace, *options
    )  # fmt: skip


def test_a_second_machine_takes_the_runs_of_its_pool(shared: Shared, tmp_path: Path) -> None:
    ran = shared.project / "ran"
    shared.start()
    time.sleep(3)
    assert not ran.exists()  # nobody here works on it
    machine = tmp_path / "other machine"
    other = worker(shared, machine)
    try:
        assert soon(ran.exists, seconds=120), other.poll()
        home = ran.read_text().partition(" ")[2]
        assert Path(home).is_relative_to(machine / "workers")
        assert soon(lambda: shared.states()[-1] == "COMPLETED", seconds=60)
        twice = shared.program.end(worker(shared, machine))
        assert twice.code == 3 and "works on the pool 'training' already" in twice.err
        other.send_signal(signal.SIGTERM)
        assert shared.program.end(other, seconds=60).code == 0
    finally:
        if other.poll() is None:
            other.kill()
    assert soon(lambda: not processes_of(machine), seconds=120), processes_of(machine)


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGHUP, signal.SIGKILL], ids=["Ctrl-C", "closed terminal", "kill -9"]
)
def test_a_worker_that_is_ended_leaves_no_run_behind(shared: Shared, tmp_path: Path, number: signal.Signals) -> None:
    ran = shared.project / "ran"
    other = worker(shared, tmp_path)
    try:
        shared.start(wait=600)
        assert soon(ran.exists, seconds=120), other.poll()
        os.killpg(other.pid, number)  # as a terminal does
        done = shared.program.end(other, seconds=60)
    finally:
        if other.poll() is None:
            other.kill()
    assert done.code == (-signal.SIGKILL if number == signal.SIGKILL else 0), done
    assert soon(lambda: not processes_of(tmp_path), seconds=120), processes_of(tmp_path)
    if number != signal.SIGKILL:
        assert soon(lambda: shared.states()[-1] == "CRASHED", seconds=120), shared.states()


def refused(shared: Shared, tmp_path: Path, *options: object) -> Done:
    done = shared.program("worker", "-w", tmp_path / "w", *options)
    assert not (tmp_path / "w").exists()
    return done


def test_a_worker_that_makes_no_sense_is_refused_at_once(shared: Shared, tmp_path: Path, root: Path) -> None:
    no_pool = refused(shared, tmp_path, "--api-url", shared.api_url, "--pool", "gpu")
    assert no_pool.code == 2 and "has no work pool 'gpu': `cervella deploy` makes those" in no_pool.err
    template = json.loads((root / "docs" / "deploy" / "docker-pool.json").read_text())
    shared.ask("/work_pools/", {"name": "containers", "type": "docker", "base_job_template": template})
    docker = refused(shared, tmp_path, "--api-url", shared.api_url, "--pool", "containers")
    assert docker.code == 2 and "prefect worker start --pool containers --type docker" in docker.err
    nobody = refused(shared, tmp_path, "--api-url", "http://127.0.0.1:9/api", "--pool", "training")
    assert nobody.code == 3 and "ssh -N -L 4200:127.0.0.1:4200 THAT-MACHINE" in nobody.err
    no_url = refused(shared, tmp_path, "--pool", "training")
    assert no_url.code == 2 and "no Prefect server is named" in no_url.err
    secret = refused(shared, tmp_path, "--api-url", "http://me:s3cr3t@127.0.0.1:9/api", "--pool", "training")
    assert secret.code == 2 and "s3cr3t" not in secret.err and "PREFECT_API_AUTH_STRING" in secret.err


def test_a_checkout_that_is_not_here_is_told(shared: Shared, tmp_path: Path) -> None:
    hidden = shared.project.with_name("elsewhere")
    shared.project.rename(hidden)
    try:
        done = refused(shared, tmp_path, "--api-url", shared.api_url, "--pool", "training")
    finally:
        hidden.rename(shared.project)
    assert done.code == 3 and f"{shared.project} (of here) is not on this machine" in done.err


def test_what_the_database_wants_is_told_before_anything_starts(shared: Shared, tmp_path: Path) -> None:
    here = Services(shared.program, tmp_path / "w")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(NAME, shared.postgres.url(password="s3cr3t-wrong"))
        done = shared.program("up", *here.options, "--prefect-database-env", NAME)
        assert done.code == 3 and "does not let user cervella in" in done.err and "s3cr3t" not in done.err
        choice = here.workspace / "prefect" / "database.json"
        assert not choice.exists()  # the file stays chosen
        choice.write_text(json.dumps({"url_env": NAME}))  # as after one that could be used
        patch.delenv(NAME)
        unset = shared.program("up", *here.options)
        assert unset.code == 3 and f"the environment variable {NAME} is not set" in unset.err
        run = shared.program("run", "reindex", *shared.workspace.options, "-o", f"workspace={here.workspace}")
        assert run.code == 3 and f"the environment variable {NAME} is not set" in run.err
        assert not list(here.workspace.glob("prefect/prefect.db*"))
        unknown = shared.program("up", *here.options, "--prefect-database-env", NAME)
        assert unknown.code == 2 and f"the environment variable {NAME} is not set" in unknown.err
    assert not here.left()
