"""Who wants to hear of runs does: real server, worker and keeper, runs that end, fail, are refused and are killed."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import yaml

from components.services import prefect_environment, prefect_server
from components.services.deployments.server import connected
from components.services.supervisor.processes import end_marked, mark_of
from tests.flows.conftest import Done, Program, Workspace
from tests.flows.test_up import Services
from tests.services.receivers import Web, web
from tests.services.test_deploy_nightly import House
from tests.waiting import soon

NEVER = "3 3 29 2 *"
SLOW = "index.embedding.model=fake/embedding?delay=90"


def made(folder: Path, *, root: Path, examples: Path, url: str) -> None:
    """A project with its notes, and the recipe `reindex`, of which everything is told."""
    shutil.copytree(examples / "sncp", folder / "notes")
    for name in ("flows", "components"):
        (folder / name).symlink_to(root / name)
    (folder / "recipes").mkdir()
    values = {
        "name": "reindex", "extends": str(root / "recipes" / "reindex.yaml"), "workspace": "../work space",
        "sncp": {"root": "../notes"}, "index": {"embedding": {"model": "fake/embedding"}},
        "execution": {"notify": [{"webhook": url, "on": ["failure", "refused", "done"]}]},
    }  # fmt: skip
    for name in ("reindex", "mvp"):
        text = yaml.safe_dump(values | {"name": name})
        (folder / "recipes" / f"{name}.yaml").write_text(text, encoding="utf-8")


@contextmanager
def at(folder: Path, *, root: Path, clean: dict[str, str]) -> Iterator[House]:
    """With a server and what it needs to deploy there."""
    workspace = folder / "work space"
    with prefect_server(workspace=workspace) as server, connected(server.api_url) as remote:
        environment = clean | prefect_environment(workspace) | {"PREFECT_API_URL": server.api_url}
        yield House(folder=folder, root=root, remote=remote, environment=environment)


@pytest.fixture(scope="module")
def told(
    root: Path, examples: Path, tmp_path_factory: pytest.TempPathFactory, served: Callable[[Path], Path]
) -> Iterator[tuple[House, Web]]:
    """A worker, no keeper, and a web server that is told."""
    folder = tmp_path_factory.mktemp("told")
    with web() as here, pytest.MonkeyPatch.context() as patch:
        made(folder, root=root, examples=examples, url=here.url)
        patch.delenv("PREFECT_API_URL", raising=False)
        patch.setenv("CERVELLA_RECIPES", str(folder / "recipes"))
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MLFLOW"))}
        served(folder / "work space")
        with at(folder, root=root, clean=clean) as house:
            house.deploy(nightly=NEVER)
            with house.worker("cervella"):
                yield house, here


def began(house: House, flow_run: str, step: str = "index.build") -> int:
    """The process of a run, once it is at work on the step."""

    def found() -> list[dict[str, Any]]:
        return [one for one in house.records() if (one.get("tell") or {}).get("flow_run") == flow_run]

    def works() -> bool:
        steps = [one for record in found() for one in record["steps"]]
        return any(one["name"] == step and one["status"] == "running" for one in steps)

    assert soon(works, 120), found()
    return int(found()[0]["pid"])


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_what_a_worker_runs_is_told_once_however_it_ends(told: tuple[House, Web]) -> None:
    house, here = told

    done = house.ended(house.start("run-recipe", recipe="reindex"))
    assert done["state"]["type"] == "COMPLETED", done["state"]
    [first] = here.soon(1, seconds=120)
    assert (first["event"], first["flow_run"], first["recipe"]) == ("done", done["id"], "reindex")
    assert first["run"] == house.records()[-1]["run"]

    plan = house.ended(house.start("run-recipe", recipe="reindex", dry_run=True))  # nobody wants to hear of a plan
    assert plan["state"]["type"] == "COMPLETED"

    # Killed, as for lack of memory: nothing in the run can tell it any more, its worker does.
    note = sorted((house.folder / "notes").rglob("*.md"))[-1]
    note.write_text(note.read_text(encoding="utf-8") + "\n\n## New\n\nIt rains on the heron.\n", encoding="utf-8")
    killed = house.start("run-recipe", recipe="reindex", overrides=[SLOW])
    os.kill(began(house, killed), signal.SIGKILL)
    assert house.ended(killed, seconds=60)["state"]["type"] == "CRASHED"
    death = here.soon(2, seconds=60)[-1]
    assert (death["event"], death["flow_run"], death["status"]) == ("failure", killed, "died"), here.told
    assert death["title"].startswith("reindex: its process died in index.build")
    assert soon((house.workspace / "runs" / death["run"] / "told").exists, 120)

    # Ended by a signal that nobody announced, as at a restart of the machine: it tells of itself before it goes.
    ended = house.start("run-recipe", recipe="reindex", overrides=[SLOW])
    os.kill(began(house, ended), signal.SIGTERM)
    assert house.ended(ended)["state"]["type"] == "CRASHED"
    outside = here.soon(3, seconds=60)[-1]
    assert (outside["event"], outside["flow_run"], outside["status"]) == ("failure", ended, "interrupted"), here.told

    # Cancelled by a person, who knows it.
    cancelled = house.start("run-recipe", recipe="reindex", overrides=[SLOW])
    began(house, cancelled)
    house.remote.ask("POST", f"/flow_runs/{cancelled}/set_state", {"state": {"type": "CANCELLING"}})
    assert house.ended(cancelled, seconds=90)["state"]["type"] == "CANCELLED"
    [record] = [one for one in house.records() if one.get("asked_by") == cancelled]
    assert (record["status"], record["ended_by"]) == ("interrupted", "SIGTERM")
    assert soon((house.workspace / "runs" / record["run"] / "told").exists, 120)  # else the keeper would tell it

    # An index that loses too much is not published.
    notes = sorted((house.folder / "notes").rglob("*.md"))
    for one in notes[: len(notes) * 3 // 4]:
        one.unlink()
    refused = house.ended(house.start("run-recipe", recipe="reindex"))
    assert refused["state"]["type"] == "FAILED"
    no = here.soon(4, seconds=120)[-1]
    assert (no["event"], no["flow_run"], no["step"]) == ("refused", refused["id"], "index.build"), here.told
    assert "would vanish" in refused["state"]["message"] and "would vanish" not in str(here.got)

    # A recipe that cannot be read any more says nobody to tell: those of its last run are told.
    recipe = house.folder / "recipes" / "reindex.yaml"
    recipe.write_text(recipe.read_text(encoding="utf-8") + "indexx: {}\n", encoding="utf-8")
    broken = house.ended(house.start("run-recipe", recipe="reindex"))
    assert broken["state"]["type"] == "FAILED"
    last = here.soon(5, seconds=120)[-1]
    assert (last["event"], last["flow_run"], last["run"]) == ("failure", broken["id"], None), here.told
    assert last["title"] == "reindex: it could not be started"
    full = house.ended(house.start("clean-weekly", flow="clean", recipe="reindex"))
    assert full["state"]["type"] == "FAILED"
    last = here.soon(6, seconds=120)[-1]
    assert (last["flow_run"], last["title"]) == (full["id"], "reindex: its workspace could not be cleaned"), here.told

    time.sleep(3)
    assert len(here.got) == 6, here.told


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_keeper_tells_of_a_run_that_died_with_its_worker(
    root: Path, examples: Path, tmp_path: Path, program: Program
) -> None:
    with web() as here, pytest.MonkeyPatch.context() as patch:
        made(tmp_path, root=root, examples=examples, url=here.url)
        patch.delenv("PREFECT_API_URL", raising=False)
        patch.setenv("CERVELLA_RECIPES", str(tmp_path / "recipes"))
        services = Services(program, tmp_path / "work space")
        try:
            up = services.up()
            with connected(f"{up['prefect']['url']}/api") as remote:
                house = House(folder=tmp_path, root=root, remote=remote, environment={})
                house.deploy(nightly=NEVER)
                run = house.start("run-recipe", recipe="reindex", overrides=[SLOW])
                pid = began(house, run)
                os.kill(up["worker-cervella"]["pid"], signal.SIGKILL)
                os.kill(pid, signal.SIGKILL)
                [death] = here.soon(1, seconds=60)
                assert (death["event"], death["flow_run"], death["status"]) == ("failure", run, "died")
                assert "ended without a word" in services.log()
                time.sleep(7)  # the keeper has looked again
                assert len(here.got) == 1
                # Power is lost: keeper, worker and run at once. The next `up` tells it.
                services.up()
                pid = began(house, house.start("run-recipe", recipe="reindex", overrides=[SLOW]))
            state = services.state()
            for number in (state["keeper"]["pid"], state["services"]["worker-cervella"]["pid"], pid):
                os.kill(number, signal.SIGKILL)
            assert len(here.got) == 1
            services.up()
            assert here.soon(2, seconds=60)[-1]["status"] == "died"
        finally:
            services.down()
            end_marked(mark_of(services.workspace), grace_seconds=0)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_terminal_tells_where_asked_for_and_a_new_champion_is_told(
    program: Program, new_workspace: Callable[..., Workspace]
) -> None:
    with web() as quiet, web() as every:
        workspace = new_workspace(
            "-o", f"execution.notify=[{{webhook: '{quiet.url}', on: [failure, champion, done, refused]}}, "
            f"{{webhook: '{every.url}', runs: all, on: [failure, champion, done, refused]}}]",
            first=False,
        )  # fmt: skip
        run = program("run", "recipes/mvp.yaml", *workspace.options, "--json")
        assert run.code in (0, 1), run.err
        [end] = every.told
        assert end["event"] == ("done" if run.code == 0 else "refused") and end["run"] == run.json["run"]
        assert quiet.got == []
        options = ("recipes/mvp.yaml", *workspace.options)
        first = program("promote", *options, "--reason", "a first one to begin with")
        assert first.code == 0, first.err
        program("promote", *options, "--reason", "a first one to begin with")  # nothing changes
        for here in (quiet, every):
            assert here.told[-1]["event"] == "champion" and len(here.got) == (1 if here is quiet else 2)
            assert here.told[-1]["what"] == "promote" and here.told[-1]["version"] == 1
            assert here.told[-1]["recipe"] == "mvp"
            assert "begin with" not in str(here.got)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT], ids=["SIGTERM", "SIGHUP", "Ctrl-C"])
def test_a_run_in_a_terminal_that_a_signal_ended_is_told_and_ctrl_c_is_not(
    program: Program, new_workspace: Callable[..., Workspace], number: signal.Signals
) -> None:
    with web() as here:
        workspace = new_workspace(
            "-o", f"execution.notify=[{{webhook: '{here.url}', runs: all}}]", "-o", SLOW, first=False
        )
        begun = program.start("run", "recipes/reindex.yaml", *workspace.options)

        def works() -> bool:
            steps = [step for one in workspace.runs().values() for step in one["steps"]]
            return any(step["name"] == "index.build" and step["status"] == "running" for step in steps)

        assert soon(works, 120)
        os.kill(begun.pid, number)
        done = program.end(begun, seconds=60)
        assert done.code == (130 if number == signal.SIGINT else 128 + number), done.err
        [run] = workspace.runs().values()
        assert run["status"] == "interrupted"
        assert run["ended_by"] == (None if number == signal.SIGINT else number.name)
        assert [(one["event"], one["status"]) for one in here.told] == (
            [] if number == signal.SIGINT else [("failure", "interrupted")]
        )


def test_a_run_that_worked_is_not_told_as_one_that_could_not_be_started(
    root: Path, examples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from components.recipe import load_recipe, start_run
    from components.services.notify.runs import to_be_told
    from flows import notify

    with web() as here:
        made(tmp_path, root=root, examples=examples, url=here.url)
        monkeypatch.setattr("flows.run.RECIPES", tmp_path / "recipes")
        loaded = load_recipe(tmp_path / "recipes" / "reindex.yaml", overrides=["execution.notify=[]"])
        run = start_run(loaded, force=())
        to_be_told(run, loaded.recipe.execution, flow_run="f1")
        run.update(status="failed", error="x")
        for flow_run in ("f1", "f2"):
            asked: Any = SimpleNamespace(id=flow_run, parameters={"recipe": "reindex"})
            ended: Any = SimpleNamespace(is_completed=lambda: False, message="x")
            notify.tell_end(cast(Any, None), asked, ended)
        assert [one["flow_run"] for one in here.told] == ["f2"]


def test_a_receiver_that_is_not_there_changes_nothing_for_the_command(
    here: Callable[..., Done], published: Workspace, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(published.path, tmp_path / "copy")
    options = (*published.options, "-o", f"workspace={tmp_path / 'copy'}")
    options += ("-o", "execution.notify=[{webhook_env: CERVELLA_NO_SUCH_HOOK}]")
    done = here("promote", "recipes/mvp.yaml", *options, "--reason", "a first one to begin with", "--json")
    assert done.code == 0 and done.json["changed"]
    assert "CERVELLA_NO_SUCH_HOOK is not set" in caplog.text  # pytest listens in the place of the terminal
    warned = here("doctor", "recipes/mvp.yaml", *options)
    assert "execution.notify[0].webhook_env names CERVELLA_NO_SUCH_HOOK, which is not set" in warned.out
