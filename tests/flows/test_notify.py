"""Who wants to hear of runs does: of those that a keeper or a terminal sees end.

Of those that a worker runs and sees end: services/test_deploy_nightly.py.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import yaml

from components.services import prefect_server
from components.services.deployments.server import connected
from components.services.supervisor.processes import end_marked, mark_of
from tests.flows.conftest import Done, Program, Workspace
from tests.flows.test_up import Services
from tests.services.nightly_house import LONG, House
from tests.services.receivers import web
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


def began(house: House, flow_run: str, step: str = "index.build") -> int:
    """The process of a run, once it is at work on the step."""

    def found() -> list[dict[str, Any]]:
        return [one for one in house.records() if (one.get("tell") or {}).get("flow_run") == flow_run]

    def works() -> bool:
        steps = [one for record in found() for one in record["steps"]]
        return any(one["name"] == step and one["status"] == "running" for one in steps)

    assert soon(works, LONG), found()
    return int(found()[0]["pid"])


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_run_that_a_signal_ended_tells_of_itself_and_the_keeper_of_one_that_died_with_its_worker(
    root: Path, examples: Path, tmp_path: Path, program: Program, served: Callable[[Path], Path]
) -> None:
    with web() as here, pytest.MonkeyPatch.context() as patch:
        made(tmp_path, root=root, examples=examples, url=here.url)
        patch.delenv("PREFECT_API_URL", raising=False)
        patch.setenv("CERVELLA_RECIPES", str(tmp_path / "recipes"))
        services = Services(program, served(tmp_path / "work space"))
        try:
            up = services.up()
            with connected(f"{up['prefect']['url']}/api") as remote:
                house = House(folder=tmp_path, root=root, remote=remote, environment={})
                house.deploy(nightly=NEVER)
                # By a signal that nobody announced, as at a restart of the machine: before it goes.
                ended = house.start("run-recipe", recipe="reindex", overrides=[SLOW])
                os.kill(began(house, ended), signal.SIGTERM)
                assert house.ended(ended)["state"]["type"] == "CRASHED"
                [outside] = here.soon(1)
                assert (outside["event"], outside["flow_run"], outside["status"]) == ("failure", ended, "interrupted")

                run = house.start("run-recipe", recipe="reindex", overrides=[SLOW])
                pid = began(house, run)
                os.kill(up["worker-cervella"]["pid"], signal.SIGKILL)
                os.kill(pid, signal.SIGKILL)
                death = here.soon(2)[-1]
                assert (death["event"], death["flow_run"], death["status"]) == ("failure", run, "died")
                assert "ended without a word" in services.log()
                time.sleep(7)  # the keeper has looked again
                assert len(here.got) == 2, here.told
                # Power is lost: keeper, worker and run at once. The next `up` tells it.
                services.up()
                pid = began(house, house.start("run-recipe", recipe="reindex", overrides=[SLOW]))
            state = services.state()
            for number in (state["keeper"]["pid"], state["services"]["worker-cervella"]["pid"], pid):
                os.kill(number, signal.SIGKILL)
            assert len(here.got) == 2, here.told
            services.up()
            assert here.soon(3)[-1]["status"] == "died"
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
        assert run.code == 1, run.err
        [end] = every.told
        assert end["event"] == "refused" and end["run"] == run.json["run"]
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


@pytest.fixture(scope="module")
def waiting(new_workspace: Callable[..., Workspace]) -> Iterator[Workspace]:
    """A workspace with a server, whose runs wait long for their vectors."""
    workspace = new_workspace("-o", SLOW, first=False)
    with prefect_server(workspace=workspace.path):
        yield workspace
    assert workspace.is_quiet()


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT], ids=["SIGTERM", "SIGHUP", "Ctrl-C"])
def test_a_run_in_a_terminal_that_a_signal_ended_is_told_and_ctrl_c_is_not(
    program: Program, waiting: Workspace, number: signal.Signals
) -> None:
    with web() as here:
        before = waiting.runs()
        told = ("-o", f"execution.notify=[{{webhook: '{here.url}', runs: all}}]")
        begun = program.start("run", "recipes/reindex.yaml", *waiting.options, *told)

        def ours() -> list[dict[str, Any]]:
            return [run for name, run in waiting.runs().items() if name not in before]

        def works() -> bool:
            steps = [step for one in ours() for step in one["steps"]]
            return any(step["name"] == "index.build" and step["status"] == "running" for step in steps)

        assert soon(works, LONG)
        os.kill(begun.pid, number)
        done = program.end(begun)
        assert done.code == (130 if number == signal.SIGINT else 128 + number), done.err
        [run] = ours()
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
