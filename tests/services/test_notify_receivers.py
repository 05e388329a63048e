"""Notifications by webhook: what is sent and what is not, within a time, whatever the receiver does."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import time
from pathlib import Path

import pytest

from components.services.notify import journal
from components.services.notify.deliver import deliver
from components.services.notify.journal import read_journal
from components.services.notify.news import News, as_json, as_text
from components.services.params import NotifyParams
from tests.services.news import KEY, NEWS, to
from tests.services.receivers import free, web

pytestmark = pytest.mark.usefixtures("quickly")


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


def test_only_what_a_receiver_wants(tmp_path: Path) -> None:
    with web() as here:
        assert deliver(NEWS, [to(here.url, on=["done", "champion"])], workspace=tmp_path) == []
        assert here.got == [] and read_journal(tmp_path) == []


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
        told = deliver(NEWS, [to(mute.url), to(other.url)], workspace=tmp_path, within_seconds=3)
        assert time.monotonic() - begun < 60  # who is mute would be waited for without end
        assert [one.outcome.state for one in told] == ["maybe", "sent"] and told[0].outcome.tries == 1
        assert (len(mute.got), len(other.got)) == (1, 1)
        assert deliver(NEWS, [to(mute.url)], workspace=tmp_path) == []


def test_nobody_there(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    [told] = deliver(NEWS, [to(f"http://127.0.0.1:{free()}/x", details=True)], workspace=tmp_path)
    assert (told.outcome.state, told.outcome.tries) == ("failed", 3)
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


def test_what_a_receiver_says_beside_its_status_is_neither_waited_for_nor_kept(tmp_path: Path) -> None:
    with web(answers=(500,), headers={"Content-Length": "9999"}) as here:  # and so much never comes
        [told] = deliver(NEWS, [to(here.url, details=True)], workspace=tmp_path, within_seconds=5)
    assert (told.outcome.state, told.outcome.tries, len(here.got)) == ("failed", 3, 3)
    [line] = read_journal(tmp_path)
    assert str(line["why"]).endswith(" answers 500") and "salary" not in str(line)


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
