"""The nightly reindex, fired by its schedule: real server, real worker, a copy of the example notes, one note edited.

And what else a worker's run of a recipe promises: tags, names, the terminal's message in a run that fails at once; and
how each ended is told once to who wants to hear of it.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from components.errors import InputError
from components.recipe import load_recipe
from components.services import prefect_environment, prefect_server
from components.services.deployments.automation import bring_automation
from components.services.deployments.server import connected
from components.store import Run
from tests.processes import clean_environment
from tests.services.nightly_house import LONG, House
from tests.services.receivers import Web, web
from tests.waiting import soon

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ROME = ZoneInfo("Europe/Rome")


@pytest.fixture(scope="module")
def heard() -> Iterator[Web]:
    """Who wants to hear of the runs of these recipes. What was told is told once."""
    with web() as heard:
        yield heard
    told = [(one["flow_run"], one["run"], one["event"], one["title"]) for one in heard.told]
    assert len(set(told)) == len(told), told


def news(heard: Web, run: str) -> dict[str, Any]:
    """What is told of a flow run, once it is; nothing else was told of it."""
    assert soon(lambda: news_of(heard, run), LONG), heard.told
    [one] = news_of(heard, run)
    return one


def news_of(heard: Web, run: str) -> list[dict[str, Any]]:
    return [one for one in heard.told if one["flow_run"] == run]


@pytest.fixture(scope="module")
def house(
    root: Path, examples: Path, tmp_path_factory: pytest.TempPathFactory, served: Callable[[Path], Path], heard: Web
) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("nightly")
    shutil.copytree(examples / "sncp", folder / "notes")
    for name in ("flows", "components"):
        (folder / name).symlink_to(root / name)
    own = "workspace: ../work space\nsncp: {root: ../notes}\n"
    tell = f"execution: {{notify: [{{webhook: '{heard.url}', on: [failure, refused, done]}}]}}\n"
    (folder / "recipes").mkdir()
    for name, (base, more) in {
        "reindex": ("reindex", "index: {embedding: {model: fake/embedding}}\n" + tell),
        "mvp": ("mvp", ""),
        "training": ("optimize-smoke", tell),
        "golden": (
            "reindex",
            "index: {embedding: {model: fake/embedding}, uri: ../golden index}\n"
            f"evaluate: {{golden: {examples / 'golden.jsonl'}}}\n{tell}",
        ),
        "broken": ("mvp", "answers: {serach: {k: 3}}\n"),
    }.items():
        text = f"extends: {root / 'recipes' / base}.yaml\nname: {name}\n{own}{more}"
        (folder / "recipes" / f"{name}.yaml").write_text(text, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PREFECT_API_URL", raising=False)
        patch.setenv("CERVELLA_RECIPES", str(folder / "recipes"))
        with prefect_server(workspace=served(folder / "work space")) as server, connected(server.api_url) as remote:
            named = prefect_environment(folder / "work space") | {"PREFECT_API_URL": server.api_url}
            named["PREFECT_WORKER_QUERY_SECONDS"] = "1"  # ten seconds, unless told
            environment = clean_environment() | named
            yield House(folder=folder, root=root, remote=remote, environment=environment)


@pytest.fixture(scope="module")
def working(house: House) -> Iterator[House]:
    """With its deployments and a worker."""
    house.deploy(nightly="0 3 * * *")
    with house.worker("cervella"):
        yield house


@pytest.fixture(scope="module")
def golden(working: House) -> str:
    """A recipe with questions that its index has to answer, after its first run."""
    assert working.ended(working.start("run-recipe", recipe="golden"))["state"]["type"] == "COMPLETED"
    return "golden"


def test_the_schedule_fires_and_only_the_edited_note_is_embedded(working: House, heard: Web) -> None:
    house = working
    first = house.ended(house.start("run-recipe", recipe="reindex"))
    assert first["state"]["type"] == "COMPLETED", first["state"]
    assert first["name"] == "reindex"
    assert {"cervella", "phase:reindex", "recipe:reindex"} <= set(first["tags"])
    [inner] = house.under(first["id"])
    [record] = house.records()
    assert (inner["name"], set(inner["tags"])) == (record["run"], {"cervella", "phase:reindex", "recipe:reindex"})
    done = news(heard, first["id"])
    assert (done["event"], done["recipe"], done["run"]) == ("done", "reindex", record["run"])
    before = house.live_version()

    note = sorted((house.folder / "notes").rglob("*.md"))[0]
    note.write_text(note.read_text(encoding="utf-8") + "\n\n## Added tonight\n\nThe heron stands.\n", encoding="utf-8")
    fires = datetime.now(ROME).replace(microsecond=0) + timedelta(seconds=10)
    house.deploy(nightly=f"{fires.minute} {fires.hour} * * * {fires.second}")
    deployment = house.remote.ask("GET", "/deployments/name/run-recipe/reindex-nightly")
    # As Prefect's scheduler does it every few seconds; here also where deploying has taken until then.
    second = timedelta(seconds=1)
    around = {"start_time": (fires - second).isoformat(), "end_time": (fires + second).isoformat()}
    house.remote.ask("POST", f"/deployments/{deployment['id']}/schedule", around | {"min_runs": 1, "max_runs": 1})
    deadline = time.monotonic() + LONG
    while len(house.records()) < 2 or house.records()[1]["status"] == "running":
        assert time.monotonic() < deadline, (house.folder / "cervella.log").read_text()
        time.sleep(0.5)
    fired = house.remote.all("/flow_runs/filter", {"deployments": {"id": {"any_": [deployment["id"]]}}})
    [nightly] = [run for run in fired if run["start_time"]]
    assert nightly["auto_scheduled"] and nightly["parameters"]["recipe"] == "reindex"
    assert house.records()[1]["by_schedule"] and "by_schedule" not in house.records()[0]
    assert house.ended(nightly["id"])["state"]["type"] == "COMPLETED"
    record = house.records()[1]
    assert (news(heard, nightly["id"])["event"], news(heard, nightly["id"])["run"]) == ("done", record["run"])
    assert record["status"] == "done"
    [built] = [step["facts"] for step in record["steps"] if step["name"] == "index.build"]
    assert built["chunks"] > 50
    assert 1 <= built["embedded"] <= 3
    assert built["added"] + built["updated"] <= 3
    assert house.live_version() != before
    [under] = house.under(nightly["id"])
    summary = house.shown(under["id"])["reindex-index"]["data"]
    assert summary.startswith("# Published, notes: 1 changed\n") and "| notes changed | 1 |" in summary
    assert "Published, notes: 1 changed" in house.shown(nightly["id"])["reindex-outcome"]["data"]


def test_a_reindex_that_is_refused_says_so_everywhere_in_the_words_of_the_terminal(
    working: House, golden: str, heard: Web
) -> None:
    house = working
    kept = (house.folder / "golden index" / "live.json").read_bytes()
    vanish = ["index.max_removed_share=0.05", "sncp.exclude=['**/memoria/**']", "evaluate.golden=null"]
    run = house.ended(house.start("run-recipe", recipe=golden, overrides=vanish))
    why = run["state"]["message"]
    assert run["state"]["type"] == "FAILED" and "published notes would vanish from the index" in why
    [under] = house.under(run["id"])
    assert why in under["state"]["message"]
    shown = house.shown(under["id"])["golden-index"]
    assert shown["description"].startswith("Index: not published (held back), notes: ")
    assert "| recall at 5 before |" in shown["data"] and "## Notes removed\n\n- .sncp/memoria/" in shown["data"]
    outcome = house.shown(run["id"])["golden-outcome"]["data"]
    assert outcome.count("published notes would vanish") == 1
    assert f"/runs/flow-run/{under['id']}" in outcome
    assert (house.folder / "golden index" / "live.json").read_bytes() == kept
    assert house.records()[-1]["error"] == why
    assert soon(lambda: "index.build failed" in house.log(under["id"]), LONG), house.log(under["id"])
    log = house.log(run["id"]) + house.log(under["id"])
    assert "sncp.collect done: " in log and "Traceback" not in log
    no = news(heard, run["id"])
    assert (no["event"], no["step"], no["run"]) == ("refused", "index.build", house.records()[-1]["run"])
    assert "would vanish" not in str(heard.got)


def test_a_recipe_that_cannot_be_read_any_more_is_told_to_those_of_its_last_run(
    working: House, golden: str, heard: Web
) -> None:
    house = working
    file = house.folder / "recipes" / f"{golden}.yaml"
    whole = file.read_text(encoding="utf-8")
    file.write_text(f"{whole}indexx: {{}}\n", encoding="utf-8")
    try:
        broken = house.ended(house.start("run-recipe", recipe=golden))
        full = house.ended(house.start("clean-weekly", flow="clean", recipe=golden))
        told = [news(heard, run["id"]) for run in (broken, full)]
    finally:
        file.write_text(whole, encoding="utf-8")
    assert [run["state"]["type"] for run in (broken, full)] == ["FAILED", "FAILED"]
    assert [(one["event"], one["run"], one["title"]) for one in told] == [
        ("failure", None, "golden: it could not be started"),
        ("failure", None, "golden: its workspace could not be cleaned"),
    ]


def test_a_run_whose_process_was_killed_is_retried_from_what_is_sealed(working: House, heard: Web) -> None:
    house = working
    note = house.folder / "notes" / "NORD.md"
    note.write_text(note.read_text(encoding="utf-8") + "\n\n## Before the kill\n\nIt snows.\n", encoding="utf-8")
    run = house.start("run-recipe", recipe="reindex", overrides=["index.embedding.model=fake/embedding?delay=15"])
    assert soon(lambda: _works_on(house, "index.build"), LONG), house.run(run)["state"]
    killed = house.records()[-1]
    os.kill(killed["pid"], signal.SIGKILL)
    assert house.ended(run)["state"]["type"] == "CRASHED"
    # Nothing in the run can tell it any more, its worker does.
    death = news(heard, run)
    assert (death["event"], death["status"], death["run"]) == ("failure", "died", killed["run"])
    assert death["title"].startswith("reindex: its process died in index.build")
    assert soon((house.workspace / "runs" / killed["run"] / "told").exists, LONG)
    # The worker tells Prefect of the death a second time, seconds later, and would undo a retry that came before.
    seen = {"event": {"name": ["prefect.worker.executed-flow-run"]}, "related": {"id": [f"prefect.flow-run.{run}"]}}
    assert soon(lambda: house.remote.ask("POST", "/events/filter", {"filter": seen})["events"], LONG), house.run(run)
    command = [sys.executable, "-m", "prefect", "flow-run", "retry", run]
    told = subprocess.run(command, cwd=house.folder, env=house.environment, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    assert soon(lambda: house.run(run)["state"]["type"] == "COMPLETED", LONG), house.run(run)["state"]
    assert house.run(run)["run_count"] == 2
    again = house.records()[-1]
    assert again["run"] != killed["run"] and again["status"] == "done"
    assert soon(lambda: [one["event"] for one in news_of(heard, run)] == ["failure", "done"], LONG), heard.told
    assert {step["name"]: step["status"] for step in again["steps"]} == {
        "sncp.collect": "skipped", "index.chunk": "skipped", "index.build": "done",
    }  # fmt: skip


def test_a_fault_of_a_recipe_fails_the_run_before_any_task_as_in_the_terminal(
    working: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = working
    monkeypatch.chdir(house.folder)  # paths are told relative to where one is
    run = house.ended(house.start("run-recipe", recipe="broken"))
    with pytest.raises(InputError) as told:
        load_recipe(house.folder / "recipes" / "broken.yaml", overrides=[])
    assert run["state"]["type"] == "FAILED"
    assert run["state"]["message"] == str(told.value)
    assert house.under(run["id"]) == []
    assert soon(lambda: str(told.value) in house.log(run["id"]), LONG), house.log(run["id"])  # logs come a little later
    log = house.log(run["id"])
    assert "Traceback" not in log


def test_a_training_is_refused_outside_its_pool_but_its_plan_is_told(working: House, heard: Web) -> None:
    house = working
    run, plan = [house.start("run-recipe", recipe="training", dry_run=dry) for dry in (False, True)]
    refused = house.ended(run)
    assert refused["state"]["type"] == "FAILED"
    assert "start it with the deployment train-recipe" in refused["state"]["message"]
    planned = house.ended(plan)
    assert (planned["name"], "phase:optimize" in planned["tags"]) == ("plan of training", True)
    assert planned["state"]["type"] == "COMPLETED", planned["state"]
    shown = house.remote.all("/artifacts/filter", {"flow_runs": {"id": {"any_": [plan]}}})
    assert [one["key"] for one in shown] == ["training-plan"]
    assert "train.run" in shown[0]["data"]
    assert "training" not in {record["recipe"] for record in house.records()}
    assert news(heard, run)["event"] == "failure"
    assert news_of(heard, plan) == []  # nobody wants to hear of a plan


def test_a_scheduled_run_does_not_replace_the_notes_of_another_folder_and_a_person_may(working: House) -> None:
    house = working
    assert house.ended(house.start("run-recipe", recipe="reindex"))["state"]["type"] == "COMPLETED"
    shutil.copytree(house.folder / "notes" / ".sncp" / "idee", house.folder / "other notes" / ".sncp" / "idee")
    others = {"recipe": "reindex", "overrides": [f"sncp.root={house.folder / 'other notes'}"]}
    kept = house.live_version()
    held = house.ended(
        house.start("run-recipe", tags=["auto-scheduled"], **others)
    )  # as Prefect's scheduler marks them
    assert held["state"]["type"] == "FAILED" and "run it once by hand" in held["state"]["message"], held["state"]
    assert str(house.folder / "other notes") in held["state"]["message"] and house.live_version() == kept
    assert house.ended(house.start("run-recipe", **others))["state"]["type"] == "COMPLETED"
    assert house.live_version()["root"] == str(house.folder / "other notes")
    back = house.ended(house.start("run-recipe", tags=["auto-scheduled"], recipe="reindex"))
    assert back["state"]["type"] == "FAILED" and str(house.folder / "notes") in back["state"]["message"]
    assert house.ended(house.start("run-recipe", recipe="reindex"))["state"]["type"] == "COMPLETED"


def test_cleaning_frees_what_nothing_needs_says_so_and_leaves_a_workspace_at_work_alone(working: House) -> None:
    house = working
    broken = house.workspace / "cache" / "responses.sqlite.corrupt-1"
    broken.parent.mkdir(exist_ok=True)
    broken.write_bytes(bytes(5_000_000))
    clean = partial(house.start, "clean-weekly", flow="clean", recipe="reindex", wait_minutes=0)
    told = house.ended(clean(dry_run=True))
    assert (told["state"]["type"], told["name"]) == ("COMPLETED", "clean reindex") and broken.is_file()
    assert house.shown(told["id"])["reindex-cleaned"]["data"].startswith("# Would free 5 MB\n")

    at_work = Run.create(house.workspace, recipe="reindex", phase="reindex")
    left = house.ended(clean())
    assert (left["state"]["type"], left["state"]["name"]) == ("COMPLETED", "Skipped"), left["state"]
    assert f"run {at_work.id} is at work" in left["state"]["message"] and broken.is_file()
    at_work.update(status="done")

    done = house.ended(clean())
    assert (done["state"]["type"], done["state"]["name"]) == ("COMPLETED", "Completed"), done["state"]
    shown = house.shown(done["id"])["reindex-cleaned"]
    # A run that was killed before may have left some bytes of its own.
    assert re.fullmatch(r"removed (1 thing|2 things), 5 MB", shown["description"]) and not broken.exists()
    assert "| cache | 1 | 5 MB |" in shown["data"] and "was broken and put aside" in shown["data"]
    assert house.ended(house.start("run-recipe", recipe="reindex"))["state"]["type"] == "COMPLETED"


def test_a_cancelled_run_ends_is_recorded_as_such_and_the_next_one_goes_on(working: House, heard: Web) -> None:
    house = working
    note = sorted((house.folder / "notes").rglob("*.md"))[-1]
    note.write_text(note.read_text(encoding="utf-8") + "\n\n## Before the cancel\n\nIt rains.\n", encoding="utf-8")
    slow = ["index.embedding.model=fake/embedding?delay=60"]
    run = house.start("reindex-nightly", recipe="reindex", overrides=slow)
    assert soon(lambda: _works_on(house, "index.build"), LONG), house.run(run)["state"]
    next_one = house.ended(house.start("reindex-nightly", recipe="reindex"))
    assert next_one["state"]["type"] == "CANCELLED", next_one["state"]  # one at a time, and none is queued
    house.remote.ask("POST", f"/flow_runs/{run}/set_state", {"state": {"type": "CANCELLING"}})
    ended = house.ended(run)
    assert ended["state"]["type"] == "CANCELLED"
    assert ended["name"] == f"reindex with {slow[0]}"
    assert soon(lambda: house.records()[-1]["status"] == "interrupted", LONG), house.records()[-1]
    record = house.records()[-1]
    assert (record["asked_by"], record["ended_by"]) == (run, "SIGTERM")
    assert soon((house.workspace / "runs" / record["run"] / "told").exists, LONG)  # else the keeper would tell it
    done = house.ended(house.start("reindex-nightly", recipe="reindex"))
    assert done["state"]["type"] == "COMPLETED", done["state"]
    steps = {step["name"]: step["status"] for step in house.records()[-1]["steps"]}
    assert steps["sncp.collect"] == "skipped"
    assert news(heard, done["id"])["event"] == "done"
    assert news_of(heard, run) == []  # who cancels a run knows it


def _works_on(house: House, step: str) -> bool:
    steps = [one for record in house.records()[-1:] for one in record["steps"]]
    return any(one["name"] == step and one["status"] == "running" for one in steps)


def test_a_run_that_fell_silent_is_marked_as_crashed(working: House) -> None:
    """As the automation does it, with ten seconds instead of minutes."""
    house = working
    [ours] = house.remote.all("/automations/filter", {})
    quick = {key: ours[key] for key in ("name", "description", "trigger", "actions", "enabled")}
    quick["trigger"] = {**quick["trigger"], "within": 10}
    house.remote.ask("PUT", f"/automations/{ours['id']}", quick)
    flow = house.remote.ask("POST", "/flows/", {"name": "killed"})
    runs = {}
    for name, tags in (("ours", ["cervella"]), ("theirs", [])):
        state = {"type": "RUNNING", "name": "Running"}
        run = house.remote.ask(
            "POST", "/flow_runs/", {"flow_id": flow["id"], "name": name, "tags": tags, "state": state}
        )
        runs[name] = run["id"]
        related = [{"prefect.resource.id": f"prefect.tag.{tag}", "prefect.resource.role": "tag"} for tag in tags]
        house.remote.ask("POST", "/events", [{
            "event": "prefect.flow-run.heartbeat", "occurred": datetime.now(ROME).isoformat(), "payload": {},
            "resource": {"prefect.resource.id": f"prefect.flow-run.{run['id']}"}, "related": related,
            "id": run["id"],
        }])  # fmt: skip
    try:
        assert soon(lambda: house.run(runs["ours"])["state"]["type"] == "CRASHED", LONG), house.run(runs["ours"])[
            "state"
        ]
        assert "Nothing was heard of this run" in house.run(runs["ours"])["state"]["message"]
        assert house.run(runs["theirs"])["state"]["type"] == "RUNNING"
    finally:
        bring_automation(house.remote)
