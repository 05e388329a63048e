"""Notifications by webhook: what is sent and what is not, once, within a time, whatever the receiver does."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import time
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from hashlib import sha512
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from components.errors import InputError
from components.recipe import load_recipe
from components.services.doctor_notify import check_notify
from components.services.notify import attempts, journal
from components.services.notify.deliver import deliver
from components.services.notify.ended import news_of_run
from components.services.notify.journal import read_journal
from components.services.notify.news import News, as_json, as_text
from components.services.notify.runs import receivers_of, run_of, seen_to, tell_run, to_be_told
from components.services.notify.unseen import unseen
from components.services.params import ExecutionParams, NotifyParams
from components.store import FileLock, Run
from tests.services.receivers import free, web

KEY = (
    "sk-ant-api03-"
    + b64encode(sha512(b"no key at all").digest()).decode().replace("/", "a").replace("+", "b")[:80]
    + "AA"
)
NEWS = News(
    event="failure", about="run:1", title="reindex: it failed in index.build",
    facts={"recipe": "reindex", "run": "20260101-030000-reindex-ab12", "step": "index.build"},
    look="cervella show 20260101-030000-reindex-ab12", link="http://127.0.0.1:4200/runs/flow-run/1",
    details=f"notes/salary.md:3: <!channel> the key {KEY} of @everyone\nis wrong",
)  # fmt: skip


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "_WAITS", (0.01, 0.02))


def to(url: str, **more: Any) -> NotifyParams:
    return NotifyParams(webhook=url, **more)


def test_the_body_is_for_chats_and_for_programs(tmp_path: Path) -> None:
    with web() as here:
        [told] = deliver(NEWS, [to(here.url)], workspace=tmp_path)
    assert told.outcome.state == "sent" and told.outcome.tries == 1
    [body] = here.got
    assert (
        body["text"]
        == body["content"]
        == (
            "✗ reindex: it failed in index.build\n"
            "See: cervella show 20260101-030000-reindex-ab12 or http://127.0.0.1:4200/runs/flow-run/1"
        )
    )
    ours = body["cervella"]
    assert (ours["format"], ours["event"], ours["recipe"], ours["step"]) == (1, "failure", "reindex", "index.build")
    assert ours["details"] is None and here.ids == [ours["id"]] and len(ours["id"]) == 32
    assert set(body) == {"text", "content", "cervella"}  # nothing that a chat would take for a command


def test_words_of_errors_are_sent_only_where_asked_for_and_never_a_secret(tmp_path: Path) -> None:
    without, with_words = as_json(NEWS, details=False), as_json(NEWS, details=True)
    assert "salary" not in json.dumps(without)
    assert "notes/salary.md:3" in with_words["text"] and "notes/salary.md:3" in with_words["cervella"]["details"]
    assert KEY not in json.dumps(with_words)
    assert "<!channel>" not in with_words["text"] and "@everyone" not in with_words["text"]
    assert len(as_text(News(**{**vars(NEWS), "details": "long words " * 999}), details=True)) < 2000


def test_one_event_is_told_once_to_each(tmp_path: Path) -> None:
    with web() as one, web() as other:
        for _ in range(3):
            deliver(NEWS, [to(one.url), to(one.url)], workspace=tmp_path)
        deliver(NEWS, [to(one.url), to(other.url)], workspace=tmp_path)
        assert (len(one.got), len(other.got)) == (1, 1)
        deliver(News(**{**vars(NEWS), "about": "run:2"}), [to(one.url)], workspace=tmp_path)
        assert len(one.got) == 2
    assert [line["state"] for line in read_journal(tmp_path)] == ["sent"] * 3


def test_only_what_a_receiver_wants(tmp_path: Path) -> None:
    with web() as here:
        assert deliver(NEWS, [to(here.url, on=["done", "champion"])], workspace=tmp_path) == []
        assert here.got == [] and read_journal(tmp_path) == []


def test_two_who_notice_the_same_at_the_same_time_tell_it_once(tmp_path: Path, root: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from components.services.notify.deliver import deliver;"
        "from components.services.notify.news import News; from components.services.params import NotifyParams;"
        "news = News(event='failure', about='run:1', title='t', facts={}, look='l');"
        "sys.stdin.readline();"
        "deliver(news, [NotifyParams(webhook=sys.argv[2])], workspace=Path(sys.argv[1]))"
    )
    with web() as here:
        both = [
            subprocess.Popen([sys.executable, "-c", code, str(tmp_path), here.url], cwd=root, stdin=subprocess.PIPE)
            for _ in range(4)
        ]
        time.sleep(1.5)  # all have imported, and wait for the word
        for each in both:
            assert each.stdin
            each.stdin.write(b"go\n")
            each.stdin.close()
        assert [each.wait(60) for each in both] == [0] * 4
        assert len(here.got) == 1


@pytest.mark.parametrize(
    ("answers", "state", "tries"),
    [
        pytest.param((500, 503, 200), "sent", 3, id="a server that comes back"),
        pytest.param((429, 204), "sent", 2, id="too many at once"),
        pytest.param((500,), "failed", 3, id="a server that stays broken"),
        pytest.param((404,), "failed", 1, id="not there: asking again is no use"),
        pytest.param((302,), "failed", 1, id="a redirect is not followed"),
    ],
)
def test_it_is_tried_again_where_that_can_help(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, answers: tuple[int, ...], state: str, tries: int
) -> None:
    with web(answers=answers, headers={"Location": "/elsewhere"}) as here, caplog.at_level("DEBUG"):
        [told] = deliver(NEWS, [to(here.url)], workspace=tmp_path)
    assert (told.outcome.state, told.outcome.tries, len(here.got)) == (state, tries, tries)
    assert len(set(here.ids)) == 1 and set(here.paths) == {"/hooks/T0/secret-of-the-hook"}
    [line] = read_journal(tmp_path)
    assert line["state"] == state and ("text" in line) == (state != "sent")
    told_of = json.dumps(line) + caplog.text
    assert "secret-of-the-hook" not in told_of
    assert (f"answers {answers[-1]}" in told_of) == (state == "failed")


def test_one_that_takes_it_and_never_answers_is_not_sent_it_twice(tmp_path: Path) -> None:
    with web(answers=(0,)) as mute, web() as other:
        begun = time.monotonic()
        told = deliver(NEWS, [to(mute.url), to(other.url)], workspace=tmp_path, within_seconds=1.5)
        assert time.monotonic() - begun < 3
        assert [one.outcome.state for one in told] == ["maybe", "sent"] and told[0].outcome.tries == 1
        assert (len(mute.got), len(other.got)) == (1, 1)
        assert deliver(NEWS, [to(mute.url)], workspace=tmp_path) == []


def test_nobody_there(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    begun = time.monotonic()
    [told] = deliver(NEWS, [to(f"http://127.0.0.1:{free()}/x", details=True)], workspace=tmp_path)
    assert (told.outcome.state, told.outcome.tries) == ("failed", 3) and time.monotonic() - begun < 5
    assert "cannot be reached: " in str(told.outcome.why) and "was not told of failure" in caplog.text
    [line] = read_journal(tmp_path)
    assert line["text"].startswith("✗ reindex: it failed in index.build") and "salary" not in str(line)


def test_an_address_that_is_a_secret_stays_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    one = NotifyParams(webhook_env="HOOK")
    with web() as here, caplog.at_level("DEBUG"):
        assert deliver(NEWS, [one], workspace=tmp_path, environment={})[0].outcome.state == "failed"
        [told] = deliver(
            News(**{**vars(NEWS), "about": "2"}), [one], workspace=tmp_path, environment={"HOOK": f" {here.url}\n"}
        )
        assert told.outcome.state == "sent" and told.receiver == "the address in HOOK"
        [told] = deliver(
            News(**{**vars(NEWS), "about": "3"}), [one], workspace=tmp_path, environment={"HOOK": "ftp://x/secret"}
        )
        assert told.outcome.why == "HOOK holds no address that begins with https:// or http://"
    everything = caplog.text + (tmp_path / "services" / journal.JOURNAL).read_text()
    assert "HOOK is not set where this process was started" in everything and "secret" not in everything


def test_the_library_logs_again_what_others_ask(tmp_path: Path) -> None:
    before = list(logging.getLogger("httpx").filters)  # those of others: of a library, of a test that goes on
    with web() as here:
        deliver(NEWS, [to(here.url)], workspace=tmp_path)
    assert [one for one in logging.getLogger("httpx").filters if one not in before] == []


def test_the_journal_is_bounded_whole_and_stands_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "KEPT", 5)
    file = tmp_path / "services" / journal.JOURNAL
    with web() as here:
        for number in range(9):
            deliver(News(**{**vars(NEWS), "about": str(number)}), [to(here.url)], workspace=tmp_path)
        assert len(read_journal(tmp_path)) == 5 and len(here.got) == 9
        file.write_bytes(b"\x00\xff{\n[]\n" + file.read_bytes() + b'{"key": "half')
        deliver(News(**{**vars(NEWS), "about": "8"}), [to(here.url)], workspace=tmp_path)
        assert len(here.got) == 9  # what can be read still counts
    assert [path.name for path in file.parent.iterdir() if path.name.startswith(".")] == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_journal_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "services").mkdir()
    (tmp_path / "services").chmod(0o500)
    try:
        with web() as here:
            assert deliver(NEWS, [to(here.url)], workspace=tmp_path)[0].outcome.state == "sent"
    finally:
        (tmp_path / "services").chmod(0o700)


def test_a_journal_that_cannot_be_read_is_not_taken_for_empty(tmp_path: Path) -> None:
    file = tmp_path / "services" / journal.JOURNAL
    file.parent.mkdir()
    file.symlink_to(file.name)  # as good as no right to read, and for root as well
    with web() as here:
        receiver = to(here.url)
        assert deliver(NEWS, [receiver], workspace=tmp_path)[0].outcome.state == "sent"
    assert file.is_symlink()
    [found] = check_notify([receiver], workspace=tmp_path)
    assert "notifications.jsonl cannot be read" in found.says


def test_what_a_receiver_says_beside_its_status_is_neither_waited_for_nor_kept(tmp_path: Path) -> None:
    with web(answers=(500,), headers={"Content-Length": "9999"}) as here:  # and so much never comes
        [told] = deliver(NEWS, [to(here.url, details=True)], workspace=tmp_path, within_seconds=5)
    assert (told.outcome.state, told.outcome.tries, len(here.got)) == ("failed", 3, 3)
    [line] = read_journal(tmp_path)
    assert str(line["why"]).endswith(" answers 500") and "salary" not in str(line)


def test_a_file_where_the_journal_should_be_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "services").write_text("")
    with web() as here:
        assert deliver(NEWS, [to(here.url)], workspace=tmp_path)[0].outcome.state == "sent"


def test_who_was_killed_while_sending_is_taken_over_after_a_minute(tmp_path: Path) -> None:
    with web() as here:
        deliver(NEWS, [to(here.url)], workspace=tmp_path)
        [line] = read_journal(tmp_path)
        for ago, times in [(30, 1), (90, 2)]:
            begun = datetime.now(UTC) - timedelta(seconds=ago)
            sending = line | {"state": "sending", "at": begun.isoformat()}
            (tmp_path / "services" / journal.JOURNAL).write_text(json.dumps(sending) + "\n")
            deliver(NEWS, [to(here.url)], workspace=tmp_path)
            assert len(here.got) == times


# --- how runs ended


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

    monkeypatch.setattr(teller, "_AGAIN_SECONDS", 0.3)
    died(run(tmp_path, {"webhook": "http://127.0.0.1:1/"}, steps=[{"name": "index.build", "status": "running"}]))
    one = teller.Teller(Board(tmp_path), threading.Event(), workspace=tmp_path, keeper="k")
    started: list[float] = []
    monkeypatch.setattr(teller.subprocess, "run", lambda *_, **__: started.append(time.monotonic()))
    for _ in range(3):
        one.look()
    assert len(started) == 1
    time.sleep(0.35)
    one.look()
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


# --- the recipe, and doctor


@pytest.mark.parametrize(
    ("values", "says"),
    [
        pytest.param({}, "exactly one of webhook, webhook_env and email", id="nobody"),
        pytest.param({"webhook": "https://a/", "webhook_env": "A"}, "exactly one of", id="two ways"),
        pytest.param({"webhook": "hooks.example/x"}, "begins with https:// or http://", id="no scheme"),
        pytest.param({"webhook": "https:///x"}, "begins with https:// or http://", id="no machine"),
        pytest.param({"webhook": "https://a:99999/"}, "begins with https:// or http://", id="no port"),
        pytest.param({"webhook": "https://a/", "on": []}, "at least 1 item", id="of nothing"),
        pytest.param({"webhook": "https://a/", "on": ["success"]}, "'failure', 'refused'", id="no such event"),
        pytest.param({"email": {"to": ["anna"]}}, "such as anna@example.org", id="no address"),
        pytest.param({"email": {"to": ["a@b\nBcc: c@d"]}}, "such as anna@example.org", id="a header in an address"),
        pytest.param({"email": {"to": ["a@b"], "user_env": "U"}}, "both of user_env and password_env", id="half"),
        pytest.param(
            {"email": {"to": ["a@b"], "user_env": "U", "password_env": "P", "security": "none", "host": "box"}},
            "unprotected to another machine", id="password in the open",
        ),
        *(
            pytest.param(
                {"email": {"to": ["a@b"], "user_env": "U", "password_env": "P", "security": "none", "host": host}},
                "unprotected to another machine", id=f"password to {host}",
            )
            for host in ("localhost.evil.example", "127.evil.example", "::1.evil")
        ),
        pytest.param({"webhook_env": "https://a/T0/B0"}, "not what is in it", id="the address for its variable"),
        pytest.param({"email": {"to": ["a@b"], "user_env": "U", "password_env": "p w"}}, "not what is in it", id="pw"),
    ],
)  # fmt: skip
def test_receivers_that_cannot_be(values: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError) as raised:
        NotifyParams.model_validate(values)
    assert says in str(raised.value)


@pytest.mark.parametrize(
    ("way", "shown"),
    [
        ("webhook_env: https://a.example/T0/sesame", False),
        ('{webhook: "https://a.example/sesame", webhookk: 1}', False),
        ("{webhook: a.example/sesame}", False),
        ("{email: {to: [a@b], user_env: 'my sesame', password_env: P}}", False),
        ("{webhook_env: SESAME_HOOK, webhookk: 1}  # sesame", True),
    ],
    ids=["for its variable", "beside a fault", "no address", "a name with a space", "a variable"],
)
def test_a_fault_of_a_recipe_shows_no_address_that_may_be_a_secret(tmp_path: Path, way: str, shown: bool) -> None:
    (tmp_path / "r.yaml").write_text(f"name: r\nphase: reindex\nexecution:\n  notify:\n    - {way}\n")
    with pytest.raises(InputError, match=r"r.yaml:5:\d+: execution.notify") as raised:
        load_recipe(tmp_path / "r.yaml")
    assert ("sesame" in str(raised.value).casefold()) is shown


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3", "::1"])
def test_this_machine_may_get_a_password_in_the_open(host: str) -> None:
    mail = {"to": ["a@b"], "user_env": "U", "password_env": "P", "security": "none", "host": host}
    assert NotifyParams.model_validate({"email": mail})


def test_a_name_that_begins_like_this_machine_is_another(tmp_path: Path) -> None:
    [found] = check_notify([to("http://localhost.evil.example/x")], workspace=tmp_path)
    assert found.says == "localhost.evil.example is told without protection of the connection"


def test_doctor_tells_what_is_missing(tmp_path: Path) -> None:
    mail = {"to": ["a@b"], "user_env": "U", "password_env": "P", "host": "box"}
    receivers = ExecutionParams.model_validate(
        {"notify": [{"webhook_env": "HOOK"}, {"email": mail}, {"webhook": "http://box/x"}]}
    ).notify
    assert list(check_notify([], workspace=tmp_path)) == []
    found = list(check_notify(receivers, workspace=tmp_path, environment={"HOOK": "https://x/", "U": "anna"}))
    assert [check.level for check in found] == ["warning", "warning"]
    assert found[0].says.startswith("execution.notify[1].email.password_env names P, which is not set")
    assert found[1].says == "box is told without protection of the connection"
    good = {"HOOK": "https://x/", "U": "anna", "P": "secret"}
    assert [check.says for check in check_notify(receivers[:2], workspace=tmp_path, environment=good)] == [
        "2 to be told"
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_doctor_knows_what_up_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from components.services.supervisor.board import Board

    Board(tmp_path).tell("prefect", state="up")
    lock = FileLock(tmp_path / "services" / "keeper.lock")
    assert lock.try_exclusive()
    try:
        receivers = [NotifyParams(webhook_env="CERVELLA_TEST_HOOK"), NotifyParams(webhook_env="PATH")]
        here = {"CERVELLA_TEST_HOOK": "https://x/", "PATH": "https://y/"}  # this process was started without the first
        [found] = check_notify(receivers, workspace=tmp_path, environment=here)
        assert "which is not set where cervella up was called" in found.says and "CERVELLA_TEST_HOOK" in found.says
    finally:
        lock.close()


def test_doctor_tells_what_did_not_arrive(tmp_path: Path) -> None:
    receiver = to(f"http://127.0.0.1:{free()}/x")
    deliver(NEWS, [receiver], workspace=tmp_path)
    [found] = check_notify([receiver], workspace=tmp_path)
    assert found.level == "warning" and "1 of the last 20 were not told" in found.says


def test_the_keeper_stays_light(root: Path) -> None:
    code = "import components.services.supervisor.teller, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not {"prefect", "httpx", "pydantic", "yaml"} & set(done.stdout.split())


def test_a_receiver_that_hangs_keeps_no_process(tmp_path: Path) -> None:
    code = """if True:
        import sys
        from pathlib import Path
        from components.services.notify.deliver import deliver
        from components.services.notify.news import News
        from components.services.params import NotifyParams

        news = News(event="failure", about="run:1", title="it failed", facts={}, look="cervella runs")
        deliver(news, [NotifyParams(webhook=sys.argv[1])], workspace=Path(sys.argv[2]), within_seconds=0.5)
    """
    with web(answers=(0,)) as mute:  # and it stays so until the process has ended
        done = subprocess.run(
            [sys.executable, "-c", code, mute.url, tmp_path], timeout=60, capture_output=True, text=True
        )
    assert done.returncode == 0, done.stderr
    assert read_journal(tmp_path)[-1]["state"] == "maybe"
