"""How runs ended, as it is told: each end is one event, told once, by whoever finds it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from components.services.notify import journal
from components.services.notify.deliver import deliver
from components.services.notify.ended import news_of_run
from components.services.notify.journal import read_journal
from components.services.notify.news import as_json
from components.services.notify.runs import receivers_of, run_of, seen_to, tell_run, to_be_told
from components.services.notify.unseen import unseen
from components.services.params import ExecutionParams
from components.store import Run
from tests.services.receivers import web

pytestmark = pytest.mark.usefixtures("quickly")


def run(workspace: Path, *receivers: dict[str, Any], flow_run: str | None = "f1", **values: Any) -> Run:
    """A run that has ended in this way."""
    one = Run.create(workspace, recipe="nightly", phase=str(values.pop("phase", "reindex")))
    to_be_told(one, ExecutionParams.model_validate({"notify": list(receivers)}), flow_run=flow_run)
    for step in values.pop("steps", []):
        one.record_step(**step)
    if values:
        one.update(**values)
    return one


def died(one: Run) -> Run:
    """As after kill -9: nobody holds its lock."""
    from components.store import runs

    runs._held.pop(one.folder.absolute()).close()
    assert one.read()["status"] == "died"
    return one


BUILDING = {"name": "index.build", "status": "failed"}


@pytest.mark.parametrize(
    ("values", "event", "says"),
    [
        pytest.param({"status": "done"}, "done", "nightly: done", id="done"),
        pytest.param({"status": "done", "gate": {"verdict": "GO"}}, "done", "done, the gate says GO", id="go"),
        pytest.param({"status": "done", "gate": {"verdict": "NO-GO"}}, "refused", "the gate says NO-GO", id="no go"),
        pytest.param({"status": "failed", "steps": [BUILDING]}, "failure", "it failed in index.build", id="failed"),
        pytest.param(
            {"status": "failed", "refused": True, "steps": [BUILDING]}, "refused", "the new index was not published",
            id="index refused",
        ),
        pytest.param(
            {"status": "failed", "refused": True, "steps": [{"name": "roadmap.triggers", "status": "failed"}]},
            "refused", "the answer is no in roadmap.triggers", id="triggers not met",
        ),
        pytest.param(
            {"status": "done", "phase": "dataset", "dataset": {"passed": False}}, "refused", "not fit for training",
            id="examples refused",
        ),
        pytest.param(
            {"status": "done", "best": "a", "combinations": [{"name": "a", "status": "done", "verdict": "NO-GO"}]},
            "refused", "the gate says NO-GO", id="best of a matrix refused",
        ),
        pytest.param(
            {"status": "done", "combinations": [{"name": "a", "status": "failed"}, {"name": "b", "status": "done"}]},
            "failure", "1 of 2 combinations could not be run", id="matrix failed in part",
        ),
    ],
)  # fmt: skip
def test_each_end_is_one_event(tmp_path: Path, values: dict[str, Any], event: str, says: str) -> None:
    every = ["failure", "refused", "champion", "done"]
    with web() as here:
        one = run(tmp_path, {"webhook": here.url, "on": every}, **values)
        tell_run(one)
        tell_run(one)
    [told] = here.told
    assert told["event"] == event and says in told["title"] and told["run"] == one.id and told["flow_run"] == "f1"


def test_a_run_that_goes_on_or_that_a_person_interrupted_is_no_news(tmp_path: Path) -> None:
    with web() as here:
        assert tell_run(run(tmp_path, {"webhook": here.url})) == []
        one = run(tmp_path, {"webhook": here.url}, status="interrupted")
        assert tell_run(one) == [] and list(unseen(tmp_path, seen=set())) == []
        tell_run(one, crashed=True)  # Prefect says that a signal ended it, and nobody pressed Cancel
        assert "it was ended from outside" in here.told[0]["title"]


@pytest.mark.parametrize("ended_by", ["SIGTERM", "SIGHUP"])
def test_a_run_that_a_signal_ended_is_told_by_who_finds_it(tmp_path: Path, ended_by: str) -> None:
    with web() as here:
        one = run(
            tmp_path, {"webhook": here.url, "runs": "all"}, flow_run=None, status="interrupted", ended_by=ended_by
        )
        assert [each.id for each in unseen(tmp_path, seen=set(), now=time.time() + 70)] == [one.id]
        tell_run(one)
        assert "it was ended from outside" in here.told[0]["title"]
        assert (one.folder / "told").exists()


def test_a_run_that_was_cancelled_is_seen_to(tmp_path: Path) -> None:
    one = run(tmp_path, {"webhook": "http://127.0.0.1:1/"}, status="interrupted", ended_by="SIGTERM")
    seen_to(one)
    assert tell_run(one) == [] and list(unseen(tmp_path, seen=set(), now=time.time() + 70)) == []


def test_what_another_is_sending_is_told_by_a_later_look_should_that_one_be_killed(tmp_path: Path) -> None:
    with web() as here:
        one = run(tmp_path, {"webhook": here.url}, status="failed")
        news = news_of_run(one.read())
        assert news is not None
        [receiver] = receivers_of(one.folder)
        deliver(news, [receiver], workspace=tmp_path)
        [line] = read_journal(tmp_path)
        for ago, times in [(5, 1), (90, 2)]:
            begun = datetime.now(UTC) - timedelta(seconds=ago)
            sending = line | {"state": "sending", "at": begun.isoformat()}
            (tmp_path / "services" / journal.JOURNAL).write_text(json.dumps(sending) + "\n")
            tell_run(one)
            assert len(here.got) == times
            assert (one.folder / "told").exists() == (times == 2)


def test_the_keeper_looks_again_after_the_time_of_who_was_killed_while_it_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from components.services.supervisor import teller
    from components.services.supervisor.board import Board

    died(run(tmp_path, {"webhook": "http://127.0.0.1:1/"}, steps=[{"name": "index.build", "status": "running"}]))
    one = teller.Teller(Board(tmp_path), threading.Event(), workspace=tmp_path, keeper="k")
    started: list[object] = []
    monkeypatch.setattr(teller.subprocess, "run", lambda command, **_: started.append(command))
    for seconds in (0, 5, 69):
        one.look(now=1000.0 + seconds)
    assert len(started) == 1
    one.look(now=1071.0)
    assert len(started) == 2


def test_a_run_that_cannot_be_read_for_a_moment_is_looked_at_again(tmp_path: Path) -> None:
    one = run(tmp_path, {"webhook": "http://127.0.0.1:1/"}, status="failed")
    whole = (one.folder / "run.json").read_bytes()
    (one.folder / "run.json").write_bytes(b"{")
    seen: set[str] = set()
    assert list(unseen(tmp_path, seen=seen)) == []
    (one.folder / "run.json").write_bytes(whole)
    assert [each.id for each in unseen(tmp_path, seen=seen, now=time.time() + 70)] == [one.id]


def test_the_run_of_a_flow_run_is_found_also_where_nobody_wanted_to_hear_of_it(tmp_path: Path) -> None:
    one = run(tmp_path, flow_run="f1", status="failed")
    found = run_of(tmp_path, "f1")
    assert found is not None and found.id == one.id and tell_run(found) == []


def test_a_death_is_found_at_once_told_once_and_a_retry_that_dies_too_is_not_told_again(tmp_path: Path) -> None:
    with web() as here:
        working = {"name": "index.build", "status": "running"}
        first = died(run(tmp_path, {"webhook": here.url}, steps=[working]))
        assert [one.id for one in unseen(tmp_path, seen=set())] == [first.id]
        assert run_of(tmp_path, "f1") is not None and run_of(tmp_path, "f9") is None
        tell_run(first)
        [told] = here.told
        assert told["title"].startswith("nightly: its process died in index.build") and told["step"] == "index.build"
        seen: set[str] = set()
        assert list(unseen(tmp_path, seen=seen)) == [] and seen == {first.id}
        again = died(run(tmp_path, {"webhook": here.url}, steps=[working]))
        tell_run(again)
        assert len(here.got) == 1 and list(unseen(tmp_path, seen=set())) == []


def test_who_ended_without_a_word_is_told_of_a_minute_later_and_for_a_week(tmp_path: Path) -> None:
    one = run(tmp_path, {"webhook": "http://127.0.0.1:1/"}, status="failed")
    now = time.time()
    for ago, found in [(0, []), (50, []), (70, [one.id]), (6 * 86400, [one.id]), (8 * 86400, [])]:
        assert [each.id for each in unseen(tmp_path, seen=set(), now=now + ago)] == found


def test_terminals_are_told_of_only_where_asked_for(tmp_path: Path) -> None:
    with web() as workers, web() as everything:
        receivers = {"webhook": workers.url}, {"webhook": everything.url, "runs": "all"}
        tell_run(run(tmp_path, *receivers, flow_run=None, status="failed"))
        assert (len(workers.got), len(everything.got)) == (0, 1)
        silent = run(tmp_path, receivers[0], flow_run=None, status="failed")
        assert "tell" not in silent.read() and tell_run(silent) == []


def test_damage_or_a_run_of_before_is_no_fault(tmp_path: Path) -> None:
    one = run(tmp_path, {"webhook": "http://127.0.0.1:1/"}, status="failed")
    for text in ("", "[]", "{", "[{}]", "null", "[" * 9999, '[{"webhook": 3}]'):
        (one.folder / "notify.json").write_text(text)
        (one.folder / "told").unlink(missing_ok=True)
        assert tell_run(one) == []
    Run.create(tmp_path, recipe="older", phase="mvp").update(status="failed")
    assert list(unseen(tmp_path, seen=set(), now=time.time() + 100)) == []


def test_a_run_took_as_long_as_it_took_whenever_it_is_told(tmp_path: Path) -> None:
    with web() as here:
        one = run(tmp_path, {"webhook": here.url}, status="failed")
        ended = time.time() - 3 * 86400
        one.update(started=datetime.fromtimestamp(ended - 40, UTC).isoformat())
        os.utime(one.folder / "run.json", (ended, ended))
        tell_run(one)
        assert here.told[0]["seconds"] == pytest.approx(40, abs=1)


def test_news_of_a_run_never_hold_the_words_of_its_error(tmp_path: Path) -> None:
    state = run(tmp_path, {"webhook": "http://x/"}, status="failed", error="Dove abita Lucia?").read()
    news = news_of_run(state)
    assert news is not None and "Lucia" not in json.dumps(as_json(news, details=False))
    assert "Lucia" in json.dumps(as_json(news, details=True))


def test_the_keeper_stays_light(root: Path) -> None:
    code = "import components.services.supervisor.teller, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not {"prefect", "httpx", "pydantic", "yaml"} & set(done.stdout.split())
