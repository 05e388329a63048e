"""The journal of notifications: each event is told once to each, whoever looks, and damage stops nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from components.services.doctor_notify import check_notify
from components.services.notify import journal
from components.services.notify.deliver import deliver
from components.services.notify.journal import read_journal
from components.services.notify.news import News
from components.store import hold
from tests.services.news import NEWS, to
from tests.services.receivers import web

pytestmark = pytest.mark.usefixtures("quickly")


def test_one_event_is_told_once_to_each(tmp_path: Path) -> None:
    with web() as one, web() as other:
        for _ in range(3):
            deliver(NEWS, [to(one.url), to(one.url)], workspace=tmp_path)
        deliver(NEWS, [to(one.url), to(other.url)], workspace=tmp_path)
        assert (len(one.got), len(other.got)) == (1, 1)
        deliver(News(**{**vars(NEWS), "about": "run:2"}), [to(one.url)], workspace=tmp_path)
        assert len(one.got) == 2
    assert [line["state"] for line in read_journal(tmp_path)] == ["sent"] * 3


def test_two_who_notice_the_same_at_the_same_time_tell_it_once(tmp_path: Path, root: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from components.services.notify.deliver import deliver;"
        "from components.services.notify.news import News; from components.services.params import NotifyParams;"
        "news = News(event='failure', about='run:1', title='t', facts={}, look='l');"
        "print('ready', flush=True); sys.stdin.readline();"
        "deliver(news, [NotifyParams(webhook=sys.argv[2])], workspace=Path(sys.argv[1]))"
    )
    with web() as here:
        both = [
            subprocess.Popen(
                [sys.executable, "-c", code, str(tmp_path), here.url],
                cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            )
            for _ in range(4)
        ]  # fmt: skip
        for each in both:  # all have imported, and wait for the word
            assert each.stdout and each.stdout.readline() == b"ready\n"
            each.stdout.close()
        for each in both:
            assert each.stdin
            each.stdin.write(b"go\n")
            each.stdin.close()
        assert [each.wait(60) for each in both] == [0] * 4
        assert len(here.got) == 1


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


def test_a_lock_that_nobody_lets_go_of_stops_nothing_and_its_holder_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(journal, "_LOCK_SECONDS", 0.1)
    with web() as here, hold(tmp_path / "services" / "notifications.lock", what="another"):
        assert deliver(NEWS, [to(here.url)], workspace=tmp_path)[0].outcome.state == "sent"
    assert f"process {os.getpid()} (another, since " in caplog.text
    assert read_journal(tmp_path) == []  # what another writes is not written over


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
