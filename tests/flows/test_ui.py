"""Prefect's own UI in a real browser, on what `cervella up` keeps up: pick a recipe, run it, read its scores, cancel.

Every page is found by what a person reads on it, clicked with a mouse, and looked at by what it says, never by pixels.
With SCREENSHOTS=write the pictures of docs/prefect-ui.md are made anew, of the same pages.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from components.services.supervisor.processes import end_marked, mark_of
from components.store import is_held
from tests.browser import NAMES, Tab, installed, tab
from tests.flows.conftest import Program
from tests.flows.test_up import two_ports
from tests.processes import processes_of
from tests.waiting import soon

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

RECIPES = {
    "mvp": "evaluate: {golden: ../golden.jsonl, answers: 2}\nllm: {chat: {model: fake/chat}}\n",
    "dataset": "",
    "optimize-smoke": "",
    "reindex": "",
    "mvp-slowly": "evaluate: {golden: ../golden.jsonl, answers: 1, personality: null}\n"
    "llm: {chat: {model: 'fake/chat?delay=600'}}\n",
    "mvp-with-a-fault": "answers: {serach: {k: 3}}\n",
}
"""Recipes of the test -> what is in them beside workspace, notes and embedder."""
BASES = {"mvp-slowly": "mvp", "mvp-with-a-fault": "mvp"}
LONG = 240  # seconds of what takes 20 s on a machine that does nothing else
ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "docs" / "images"
DEPLOYMENTS = len(yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"])


def said(selector: str, text: str) -> str:
    """JavaScript: the first element of these that says exactly this."""
    return (
        f"[...document.querySelectorAll({json.dumps(selector)})].find(o => o.innerText.trim() === {json.dumps(text)})"
    )


def reads(text: str) -> str:
    """JavaScript: whether the page says this anywhere."""
    return f"document.body.innerText.includes({json.dumps(text)})"


def link_to(part: str, text: str = "") -> str:
    """JavaScript: the first link whose address has `part` in it, and that says `text` among other things."""
    has = f"o.innerText.includes({json.dumps(text)})"
    return f"[...document.querySelectorAll('a[href*={json.dumps(part)}]')].find(o => {has})"


class Ui:
    """The UI of what is up, in one browser tab."""

    def __init__(self, browser: Tab, *, folder: Path, prefect: str, mlflow: str) -> None:
        self.browser, self.folder, self.prefect, self.mlflow = browser, folder, prefect, mlflow
        self.started: list[str] = []

    def home(self) -> None:
        self.browser.open(self.prefect, width=1280)

    def form(self) -> None:
        """From the first page to the form of a custom run of `run-recipe`, as a person finds it."""
        browser = self.browser
        self.home()
        browser.click(said("a", "Deployments"), until=link_to("deployment/", "run-recipe"))
        browser.wait(said("h1, h2, p, span, div", f"{DEPLOYMENTS} Deployments"))
        self.picture("deployments")
        browser.click(link_to("deployment/", "run-recipe"), until=said("button", "Run"))
        browser.click(said("button", "Run"), until=said("[role=menuitem]", "Custom run"))
        browser.click(said("[role=menuitem]", "Custom run"), until=said("button", "Select"))

    def start(self, recipe: str, *overrides: str) -> str:
        """Fill in the form and submit it; returns the id of the flow run, whose page is open then.

        A server that has too much to do refuses at times, and the form says so until it is opened again.
        """
        refused = reads("Unknown error while creating flow run")
        runs = "[...document.querySelectorAll('a[href*=\"/runs/flow-run/\"]')].map(o => o.href)"
        known = f"{json.dumps(self.started)}.some(o => address.includes(o))"
        found = None
        while found in {None, "refused"}:
            if found:
                self.form()
            self._fill_in(recipe, *overrides)
            self.browser.click(said("button", "Submit"))
            found = self.browser.wait(f"({refused} && 'refused') || {runs}.find(address => !{known})", seconds=LONG)
        self.started.append(urlsplit(found).path.rpartition("/")[2])
        self.open_run(self.started[-1])
        return self.started[-1]

    def _fill_in(self, recipe: str, *overrides: str) -> None:
        browser = self.browser
        browser.click(said("button", "Select"), until="document.querySelector('[role=option]')")
        browser.click(said("[role=option]", recipe), until=said("button", recipe))
        for number, override in enumerate(overrides):
            field = f"document.querySelectorAll('textarea')[{number}]"
            browser.click(said("button", "Add item"), until=field)
            browser.click(field, until=f"document.activeElement === {field}")
            browser.type(override)
            browser.wait(f"{field}.value === {json.dumps(override)}")
        if overrides:
            self.picture("form")

    def tab(self, name: str) -> None:
        self.browser.click(
            said("[role=tab]", name), until=f"{said('[role=tab]', name)}.getAttribute('aria-selected') === 'true'"
        )

    def becomes(self, state: str) -> None:
        """Wait until the open run is in a state; it must not end in any other."""
        ends = ("Completed", "Failed", "Crashed", "Cancelled")
        shown = " || ".join(f"(({said('span, div', end)}) && {json.dumps(end)})" for end in ends if end != state)
        found = self.browser.wait(f"(({said('span, div', state)}) && {json.dumps(state)}) || {shown}", seconds=LONG)
        assert found == state, self.browser.text()

    def logged(self, run: str, *lines: str) -> None:
        """Wait until the log of a run says all of this. Of a run that has ended it is read once, so the page is opened
        again: the log comes in parts, the last of them after the state."""
        for line in lines:
            self.browser.wait(reads(line), seconds=LONG, again=lambda: self.open_run(run))

    def open_run(self, run: str) -> None:
        """Open the page of a run, in a window in which a short log is seen to its end."""
        self.browser.open(f"{self.prefect}/v2/runs/flow-run/{run}", width=1280, height=1180)
        self.browser.wait(said("[role=tab]", "Logs"))

    def menu(self, name: str) -> None:
        """Choose from the menu of the open run, and say yes."""
        browser, yes = self.browser, {"Cancel": "Cancel Flow Run"}.get(name, name)
        asked = said("[role=dialog] button, [role=alertdialog] button", yes)
        browser.click(said("button", "Open menu"), until=said("[role=menuitem]", name))
        browser.click(said("[role=menuitem]", name), until=asked)
        browser.click(asked, until="!document.querySelector('[role=dialog], [role=alertdialog]')")

    def artifact(self, key: str) -> None:
        """Open the newest version of an artifact that the open page lists."""
        newest = link_to("/artifacts/artifact/")
        self.browser.click(link_to("/artifacts/", key), until=f"location.pathname.includes('/artifacts/') && {newest}")
        self.browser.click(newest, until="location.pathname.includes('/artifacts/artifact/')")

    def picture(self, name: str) -> None:
        """A picture of the window for the docs, where they are made; the graph of a run is put in the middle."""
        if os.environ.get("SCREENSHOTS") == "write":
            PICTURES.mkdir(exist_ok=True)
            path = PICTURES / f"ui-{name}.png"
            if "/runs/flow-run/" in str(self.browser.ask("location.pathname")):
                for kind in ("keyDown", "keyUp"):
                    self.browser.call("Input.dispatchKeyEvent", type=kind, key="c", code="KeyC", text="c")
            self.browser.picture(path, whole=False)
            assert path.stat().st_size < 200_000

    def asked_elsewhere(self) -> set[str]:
        """What the pages since the last whole one asked of anybody but the server and MLflow."""
        here = (self.prefect, self.mlflow, self.prefect.replace("http:", "ws:"), "data:", "blob:", "about:")
        return {address[:200] for address in self.browser.requests() if not address.startswith(here)}

    def runs(self, workspace: str = "work space") -> list[dict[str, Any]]:
        """Records of the runs, oldest first."""
        files = sorted((self.folder / workspace / "runs").glob("*/run.json"))
        return [json.loads(file.read_text(encoding="utf-8")) for file in files]

    def steps(self, workspace: str) -> dict[str, str]:
        """Steps of the newest run with their status; none before it."""
        return {step["name"]: step["status"] for run in self.runs(workspace)[-1:] for step in run["steps"]}


def recipe_text(root: Path, name: str) -> str:
    base = root / "recipes" / f"{BASES.get(name, name)}.yaml"
    own = "slow one" if name == "mvp-slowly" else "work space"
    embedder = "index: {embedding: {model: fake/embedding}}\n"
    return f"extends: {base}\nname: {name}\nworkspace: ../{own}\nsncp: {{root: ../notes}}\n{embedder}{RECIPES[name]}"


@pytest.fixture(scope="module")
def ui(
    program: Program, root: Path, examples: Path, tmp_path_factory: pytest.TempPathFactory,
    served: Callable[[Path], Path],
) -> Iterator[Ui]:  # fmt: skip
    """Recipes of its own, all that `up` keeps up, and a browser; whatever a test did, nothing of it stays."""
    command = installed()
    if command is None:
        pytest.skip(f"no browser here: none of {', '.join(NAMES)} is installed")
    folder = tmp_path_factory.mktemp("ui")
    shutil.copytree(examples / "sncp", folder / "notes")
    questions = (examples / "golden.jsonl").read_text(encoding="utf-8").splitlines()[:4]
    (folder / "golden.jsonl").write_text("\n".join(questions) + "\n", encoding="utf-8")
    (folder / "recipes").mkdir()
    for name in RECIPES:
        (folder / "recipes" / f"{name}.yaml").write_text(recipe_text(root, name), encoding="utf-8")
    (folder / "recipes" / "_base.yaml").write_text("version: 1\n", encoding="utf-8")  # a base is not in the dropdown
    workspace, ports = served(folder / "work space"), two_ports()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CERVELLA_RECIPES", str(folder / "recipes"))
        try:
            named = ("--prefect-port", ports[0], "--mlflow-port", ports[1], "--timeout", 500, "--json")
            up = program.end(program.start("up", "-w", workspace, *named), seconds=600)
            assert up.code == 0, up.err
            with tab(command, tmp_path_factory.mktemp("browser") / "profile") as browser:
                yield Ui(browser, folder=folder, prefect=up.json["prefect"]["url"], mlflow=up.json["mlflow"]["url"])
        finally:
            down = program("down", "-w", workspace, "--json")
            end_marked(mark_of(workspace), grace_seconds=0)
    assert down.code == 0, down.err
    assert soon(lambda: not processes_of(folder), seconds=120), processes_of(folder)


def test_a_recipe_is_picked_changed_and_run_and_its_scores_are_seen(ui: Ui) -> None:
    browser = ui.browser
    ui.form()
    browser.click(said("button", "Select"), until="document.querySelector('[role=option]')")
    options = browser.ask("[...document.querySelectorAll('[role=option]')].map(o => o.innerText.trim())")
    assert options == sorted(RECIPES)
    ui.picture("recipes")
    ui.form()
    run = ui.start("mvp", "answer.max_context_tokens=650")
    browser.wait(reads("mvp with answer.max_context_tokens=650"), seconds=LONG)
    ui.becomes("Completed")
    for tag in ("cervella", "phase:mvp", "recipe:mvp"):
        browser.wait(said("span, div", tag))
    [record] = ui.runs()
    assert record["status"] == "done"
    ui.logged(run, f"run {record['run']}", "Finished in state Completed()")
    ui.picture("run")
    assert not ui.asked_elsewhere()

    ui.tab("Artifacts")
    ui.artifact("mvp-outcome")
    browser.wait(f"{said('h1, h2, h3', 'Scorecard')} || {said('td', 'recall_at_5')}")
    row = str(browser.wait(f"({said('td', 'recall_at_5')}).closest('tr').innerText"))
    assert f"{record['scorecard']['metrics']['recall_at_5']['value']:.3f}" in row
    browser.wait(reads(record["gate"]["verdict"]))
    ui.picture("outcome")
    assert not ui.asked_elsewhere()

    # All artifacts lie with the phase, one flow below. Links to MLflow can be followed: it is up.
    browser.click(link_to("/runs/flow-run/", "All that it shows"), until=reads("Parent Run"))
    ui.tab("Artifacts")
    for name in ("mvp-scorecard", "mvp-gate", "mvp-report", "mvp-mlflow"):
        browser.wait(link_to("/artifacts/", name))
    ui.picture("artifacts")
    ui.artifact("mvp-mlflow")
    address = str(browser.wait(f"({link_to(ui.mlflow)} || {{}}).href"))
    assert address.rpartition("/")[2] == record["mlflow"]["run"]
    assert not ui.asked_elsewhere()
    browser.open(address, width=1280)
    browser.wait(reads("recall_at_5"), seconds=LONG)
    assert not ui.asked_elsewhere()


def test_a_run_that_is_cancelled_leaves_nothing_behind_and_a_retry_goes_on(ui: Ui, here: Any) -> None:
    ui.form()
    run = ui.start("mvp-slowly")
    assert soon(lambda: ui.steps("slow one").get("evaluate.answers") == "running", seconds=LONG), ui.steps("slow one")
    assert processes_of(f"PREFECT__FLOW_RUN_ID={run}")
    ui.menu("Cancel")
    ui.becomes("Cancelled")
    ui.open_run(run)
    ui.becomes("Cancelled")
    ui.picture("cancelled")
    assert soon(lambda: not processes_of(f"PREFECT__FLOW_RUN_ID={run}"), seconds=60)
    listed = here("runs", "-w", ui.folder / "slow one", "--json")
    assert [one["status"] for one in listed.json] == ["interrupted"], listed.out
    assert not [lock for lock in (ui.folder / "slow one" / "locks").glob("*.lock") if is_held(lock)]

    # The worker says it once more, some seconds later, and would take a run that goes on again for the one it ended.
    worker = ui.folder / "work space" / "services" / "logs" / "worker-cervella.log"
    assert soon(lambda: "Cancelled flow run 'mvp-slowly'" in worker.read_text(encoding="utf-8"), seconds=LONG)
    recipe = ui.folder / "recipes" / "mvp-slowly.yaml"
    recipe.write_text(recipe.read_text(encoding="utf-8").replace("delay=600", "delay=0"), encoding="utf-8")
    ui.menu("Retry")
    ui.browser.wait(f"!{said('span, div', 'Cancelled')}")
    ui.becomes("Completed")
    done = ui.steps("slow one")
    sealed = ("sncp.collect", "index.chunk", "index.build", "persona.compile", "evaluate.retrieval")
    assert [done[name] for name in sealed] == ["skipped"] * len(sealed)
    assert done["evaluate.answers"] == "done"
    assert [run["status"] for run in ui.runs("slow one")] == ["interrupted", "done"]
    assert not ui.asked_elsewhere()


def test_a_recipe_with_a_fault_says_so_as_in_the_terminal(ui: Ui, program: Program) -> None:
    terminal = program("validate", ui.folder / "recipes" / "mvp-with-a-fault.yaml")
    assert terminal.code == 2
    message = [line.strip() for line in terminal.err.removeprefix("cervella: ").splitlines() if line.strip()]
    assert any("answers: unknown key" in line for line in message)
    before = ui.runs()
    ui.form()
    run = ui.start("mvp-with-a-fault")
    ui.becomes("Failed")
    assert ui.runs() == before
    ui.browser.wait(reads("This flow run did not generate any task or subflow runs"))
    ui.logged(run, *message)
    ui.picture("fault")
    ui.tab("Details")
    for line in message:
        ui.browser.wait(reads(line))
