"""What Prefect's UI is shown, on a real server: artifacts by recipe, bars of progress; no run depends on it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.store import Run, progress_logger, tell_progress
from components.store.shown import show_markdown, shown_key, shows_progress
from tests.processes import clean_environment

# Says as JSON, a line each: whether a task had done its work while the server was frozen, and how long all took; what
# the server was sent.
RUN = """
import json, os, signal, sys, threading, time
from pathlib import Path
from components.services import apply_environment, prefect_environment, prefect_server

workspace = Path(sys.argv[1])
apply_environment(prefect_environment(workspace))
with prefect_server(workspace=workspace) as server:
    apply_environment({"PREFECT_API_URL": server.api_url})
    from prefect import flow, task
    from prefect.client.orchestration import get_client
    from components.store import Run, progress_of
    from components.store.shown import show_link, show_markdown, show_table, shows_progress

    run = Run.create(workspace, recipe="mvp", phase="mvp")

    @task
    @shows_progress
    def embed(run: Run, *, texts: int, seconds: float) -> int:
        tell = progress_of("index.build")
        for done in range(1, texts + 1):
            time.sleep(seconds / texts)
            tell(done, texts)
        return texts

    @task
    @shows_progress
    def quick(run: Run) -> None:
        progress_of("index.chunk")(1, 2)

    @task
    @shows_progress
    def frozen(run: Run) -> bool:
        tell = progress_of("evaluate.judge")
        tell(0, 10)
        time.sleep(1.5)
        os.kill(server.pid, signal.SIGSTOP)
        thaw = threading.Timer(60, os.kill, (server.pid, signal.SIGCONT))
        thaw.start()
        for done in range(1, 11):
            time.sleep(0.2)
            tell(done, 10)
        before = thaw.is_alive()
        thaw.cancel()
        os.kill(server.pid, signal.SIGCONT)
        return before

    @task
    @shows_progress
    def fails(run: Run) -> None:
        tell = progress_of("train.run")
        tell(1, 4)
        time.sleep(1.5)
        tell(2, 4)
        time.sleep(1.5)
        raise ValueError("as it was told to")

    @flow
    def work() -> bool:
        assert embed(run, texts=40, seconds=4.0) == 40
        quick(run)
        fails(run, return_state=True)
        show_markdown(run, "gate", "# NO-GO", description="Gate")
        show_markdown(run, "gate", "half \\ud800 of it", description="what no server takes")
        show_table(run, "questions", [{"id": "q1", "rank": None}], description="Questions")
        show_link(run, "mlflow", "http://127.0.0.1:5000/#/x", text="The run", description="MLflow")
        return frozen(run)

    begun = time.monotonic()
    before = work()
    print(json.dumps({"before": before, "seconds": time.monotonic() - begun}), flush=True)
    with get_client(sync_client=True) as client:
        found = client.request("POST", "/artifacts/filter", json={}).json()
        events = client.request("POST", "/events/filter", json={
            "filter": {"event": {"name": ["prefect.artifact.updated"]}}}).json()
    print(json.dumps({"artifacts": found, "updates": len(events["events"])}), flush=True)
"""


@pytest.fixture(scope="module")
def told(root: Path, tmp_path_factory: pytest.TempPathFactory, served: Callable[[Path], Path]) -> dict[str, Any]:
    """What the program above said: `before`, `seconds` of all, `artifacts` by key, `updates` of bars."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(served(tmp_path_factory.mktemp("shown") / "work space"))],
        cwd=root, env=clean_environment(), capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    work, found = map(json.loads, done.stdout.splitlines())
    artifacts = {one["key"]: one for one in found["artifacts"] if one["key"]}
    return work | {"artifacts": artifacts, "updates": found["updates"]}


@pytest.mark.slow
@pytest.mark.timeout(300)
class TestOnAServer:
    def test_a_step_that_takes_its_time_has_a_bar_that_ends_full(self, told: dict[str, Any]) -> None:
        bar = told["artifacts"]["mvp-index-build-progress"]
        assert (bar["type"], float(bar["data"])) == ("progress", 100.0)
        assert re.fullmatch(r"40 of 40, [0-9.]+ a second", bar["description"])
        assert bar["task_run_id"] and bar["flow_run_id"]

    def test_a_quick_one_has_none(self, told: dict[str, Any]) -> None:
        assert "mvp-index-chunk-progress" not in told["artifacts"]

    def test_one_that_fails_stays_where_it_was(self, told: dict[str, Any]) -> None:
        assert float(told["artifacts"]["mvp-train-run-progress"]["data"]) == 50.0

    def test_the_server_is_asked_once_a_second_at_most(self, told: dict[str, Any]) -> None:
        assert 2 <= told["updates"] <= told["seconds"] + 3  # more than fifty things were told, in some nine seconds

    def test_a_server_that_does_not_answer_delays_no_work(self, told: dict[str, Any]) -> None:
        assert told["before"]  # the server was thawed when the work was done, or after a minute
        assert float(told["artifacts"]["mvp-evaluate-judge-progress"]["data"]) == 100.0

    def test_markdown_tables_and_links_are_kept_by_recipe(self, told: dict[str, Any]) -> None:
        shown = told["artifacts"]
        assert shown["mvp-gate"]["data"] == "# NO-GO"  # what the server did not take is left out, and the flow goes on
        assert json.loads(shown["mvp-questions"]["data"]) == [{"id": "q1", "rank": None}]
        assert shown["mvp-mlflow"]["data"] == "[The run](http://127.0.0.1:5000/#/x)"


def test_the_key_names_recipe_and_combination(tmp_path: Path) -> None:
    run = Run.create(tmp_path, recipe="chat-first", phase="mvp")
    assert shown_key(run, "train.run losses progress") == "chat-first-train-run-losses-progress"
    run.update(matrix={"run": "x", "combination": "k=5, model=fake/chat?obey=true", "values": {}})
    assert shown_key(run, "gate") == "chat-first-k-5-model-fake-chat-obey-true-gate"


def test_without_prefect_nothing_is_shown_and_everything_works(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = Run.create(tmp_path, recipe="mvp", phase="mvp")

    @shows_progress
    def work(run: Run, number: int, *, more: int = 0) -> int:
        before = list(progress_logger.handlers)
        tell_progress("index.build", 1, 2)
        show_markdown(run, "gate", "# GO", description="Gate")
        assert progress_logger.handlers == before
        return number + more

    assert work(run, 2, more=3) == 5
    assert "Prefect" not in caplog.text
