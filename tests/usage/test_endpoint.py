"""What the usage log keeps of an endpoint: who answered, the helper's dollars, feedback; and logs of other versions."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from components.errors import TerminalError, TransientError
from components.usage import Part, UsageLog
from components.usage.purge import forget_paths
from components.usage.schema import VERSION

NOW = datetime.now(UTC)
BEFORE = (  # as version 0 made it, word for word
    """CREATE TABLE query (
        id INTEGER PRIMARY KEY, at TEXT NOT NULL, door TEXT NOT NULL, recipe TEXT, release TEXT, conversation TEXT,
        model TEXT, is_local INTEGER, prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, seconds REAL,
        search_seconds REAL, cost_usd REAL, found INTEGER, cached INTEGER NOT NULL, source_count INTEGER NOT NULL,
        sources TEXT NOT NULL, tier TEXT, error TEXT, question_chars INTEGER NOT NULL, question TEXT NOT NULL,
        begins INTEGER NOT NULL, repeats INTEGER NOT NULL)""",
    "CREATE INDEX query_at ON query (at)",
    """CREATE TABLE month (
        month TEXT, model TEXT, queries INTEGER, failed INTEGER, conversations INTEGER, repeated INTEGER,
        prompt_tokens INTEGER, completion_tokens INTEGER, cost_usd REAL, cost_unknown INTEGER,
        PRIMARY KEY (month, model)) WITHOUT ROWID""",
    """CREATE TABLE month_seconds (
        month TEXT, model TEXT, bucket INTEGER, queries INTEGER, PRIMARY KEY (month, model, bucket)) WITHOUT ROWID""",
    "CREATE TABLE about (name TEXT PRIMARY KEY, value) WITHOUT ROWID",
    "INSERT INTO month VALUES ('2026-01', 'm', 7, 1, 6, 0, 70, 7, 0.5, 0)",
    "INSERT INTO month_seconds VALUES ('2026-01', 'm', 8, 6)",
    "INSERT INTO about VALUES ('salt', x'00')",
)
ROW = (
    "INSERT INTO query VALUES (?, ?, 'ask', 'mvp', NULL, NULL, 'm', 1, 10, 2, 1.5, 0.1, 0.25, 1, 0, 1, '[\"a.md\"]', "
    "NULL, NULL, 6, 'digest', 1, 0)"
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "usage.sqlite"


@pytest.fixture
def before(path: Path) -> Path:
    """A log of version 0 with a folded month and three questions of today."""
    with closing(sqlite3.connect(path)) as connection:
        for statement in BEFORE:
            connection.execute(statement)
        for number in range(1, 4):
            connection.execute(ROW, (number, f"{NOW - timedelta(minutes=number):%Y-%m-%dT%H:%M:%S.%fZ}"))
        connection.commit()
    return path


def rows(path: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def asked(log: UsageLog, request: str, **more: Any) -> None:
    told: dict[str, Any] = {"door": "serve", "question": request, "model": "m", "who": "own", "tier": "simple"}
    assert log.record(**(told | {"request": request} | more))


def test_answers_are_summed_by_who_gave_them_to_how_hard_a_question(path: Path) -> None:
    log = UsageLog(path)
    asked(log, "a", first_token_seconds=0.5, cost_usd=0.0)
    asked(log, "b", cost_usd=0.02, helper_usd=0.02)  # an answer of the helper's was not given
    asked(log, "c", who="helper", tier="complex", side="B", cost_usd=0.3, helper_usd=0.25, first_token_seconds=2.0)
    assert log.record(door="ask", question="d") and log.record(door="serve", question="e", error="TransientError")
    assert log.feedback("a", score=1) and log.feedback("c", score=-1, comment="no")
    expected = (Part("helper", "complex", 1, 0.3, 0.25, 0, 1), Part("own", "simple", 2, 0.02, 0.02, 1, 0))
    assert log.last_30_days().parts == log.months()[0].parts == expected
    use = log.last_30_days().use
    assert (use.queries, use.p50_first_seconds, use.p95_first_seconds) == (5, 0.5, 2.0)
    assert log.months()[0].to_dict()["parts"][0]["helper_usd"] == 0.25
    log.close()
    assert rows(path, "SELECT side FROM query WHERE request = 'c'") == [("B",)]


def test_folding_changes_neither_the_parts_nor_what_the_helper_cost(tmp_path: Path) -> None:
    small, large = UsageLog(tmp_path / "small", max_rows=5), UsageLog(tmp_path / "large")
    for log in (small, large):
        for number in range(40):
            who = ("own", "helper")[number % 2]
            asked(
                log, str(number), who=who, cost_usd=0.5, helper_usd=0.5 if who == "helper" else 0.0,
                first_token_seconds=1.0, at=NOW - timedelta(days=20 * (number % 4)),
            )  # fmt: skip
            log.feedback(str(number), score=1 if number % 3 else -1)
        log.close()
    assert [month.parts for month in small.months()] == [month.parts for month in large.months()]
    spent = [log.helper_usd(month.name) for log in (small, large) for month in large.months()]
    assert sum(spent) == 20.0 and spent[: len(spent) // 2] == spent[len(spent) // 2 :]
    assert small.months()[0].use.p50_first_seconds == pytest.approx(1.0, rel=0.1)


def test_what_the_helper_cost_is_of_that_month_alone(path: Path) -> None:
    log = UsageLog(path)
    assert log.helper_usd(f"{NOW:%Y-%m}") == 0.0 and not path.exists()
    asked(log, "now", helper_usd=1.0, cost_usd=7.0, at=NOW)
    asked(log, "long ago", helper_usd=2.0, at=NOW - timedelta(days=40))
    assert log.helper_usd(f"{NOW:%Y-%m}") == 1.0


def test_feedback_is_kept_once_and_only_of_an_answer_that_is_known(path: Path) -> None:
    log = UsageLog(path)
    asked(log, "a")
    assert log.feedback("a", score=-1, comment="non è così") and log.feedback("a", score=1, comment="x" * 3000)
    assert not log.feedback("b", score=1) and not log.feedback("", score=1)
    log.close()
    assert rows(path, "SELECT score, length(comment) FROM query") == [(1, 2000)]


def test_texts_of_feedback_are_bounded_and_the_newest_stay(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("components.usage.log._MOST_COMMENTS", 3)
    log = UsageLog(path)
    for number in range(10):
        asked(log, str(number))
        log.feedback(str(number), score=-1, comment="\ud800 no")
    log.close()
    assert rows(path, "SELECT request FROM query WHERE comment IS NOT NULL") == [("7",), ("8",), ("9",)]
    assert log.last_30_days().parts[0].bad == 10


def test_feedback_that_cannot_be_kept_is_no_unknown_answer(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(TransientError, match="cannot be written"):
        UsageLog(tmp_path / "file" / "usage.sqlite").feedback("a", score=1)


def test_forgetting_a_note_takes_what_was_said_of_its_answers(path: Path) -> None:
    log = UsageLog(path)
    for request, source in (("a", "casa.md"), ("b", "orari.md")):
        asked(log, request, sources=[source])
        log.feedback(request, score=1, comment=f"giusto, {source[:-3]}")
    log.close()
    assert forget_paths(path, {"casa.md"}, do=True) == 1
    assert rows(path, "SELECT score, comment FROM query ORDER BY id") == [(1, None), (1, "giusto, orari")]
    assert b"casa" not in b"".join(file.read_bytes() for file in path.parent.iterdir())


def test_a_log_of_before_is_read_as_it_is_and_not_changed(before: Path) -> None:
    was = before.read_bytes()
    log = UsageLog(before)
    assert [(month.name, month.use.queries, month.parts) for month in log.months()] == [
        ("2026-01", 7, ()),
        (f"{NOW:%Y-%m}", 3, ()),
    ]
    assert log.last_30_days().use.queries == 3 and log.helper_usd("2026-01") == 0.0
    assert before.read_bytes() == was


def test_a_log_of_before_is_brought_to_this_version_without_loss(before: Path) -> None:
    was = rows(before, "SELECT * FROM query ORDER BY id"), rows(before, "SELECT * FROM month")
    log = UsageLog(before)
    asked(log, "new", helper_usd=0.5)
    log.close()
    columns = (
        "id, at, door, recipe, release, conversation, model, is_local, prompt_tokens, completion_tokens, seconds, "
    )
    columns += "search_seconds, cost_usd, found, cached, source_count, sources, tier, error, question_chars, question, "
    columns += "begins, repeats"
    now = rows(before, f"SELECT {columns} FROM query WHERE id <= 3 ORDER BY id"), rows(before, "SELECT * FROM month")
    assert now == was and rows(before, "PRAGMA user_version") == [(VERSION,)]
    assert rows(before, "SELECT value FROM about WHERE name = 'salt'") == [(b"\0",)]
    assert sum(month.use.queries for month in UsageLog(before).months()) == 11
    assert not list(before.parent.glob("*.corrupt-*"))


def test_counting_what_would_be_forgotten_changes_no_log(before: Path) -> None:
    was = before.read_bytes()
    assert forget_paths(before, {"a.md"}, do=False) == 3 and before.read_bytes() == was
    before.write_bytes(b"")
    assert forget_paths(before, {"a.md"}, do=False) == 0 and before.read_bytes() == b""


def test_forgetting_reaches_a_log_of_before(before: Path) -> None:
    assert forget_paths(before, {"a.md"}, do=True) == 3
    assert rows(before, "SELECT DISTINCT sources FROM query") == [("[]",)]


def test_a_log_of_a_newer_version_is_told_and_left_alone(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = UsageLog(path)
    asked(log, "a")
    log.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    for read in (log.months, log.last_30_days, lambda: log.helper_usd("2026-01")):
        with pytest.raises(TerminalError, match="a newer version of cervella made it"):
            read()
    for do in (False, True):
        with pytest.raises(TerminalError, match="a newer version of cervella made it"):
            forget_paths(path, {"a.md"}, do=do)
    assert not UsageLog(path).record(door="ask", question="b") and "newer version" in caplog.text
    assert rows(path, "SELECT count(*) FROM query") == [(1,)] and not list(path.parent.glob("*.corrupt-*"))


def test_a_question_that_failed_counts_with_what_was_charged_for_it_also_once_it_is_folded(tmp_path: Path) -> None:
    small, large = UsageLog(tmp_path / "small", max_rows=1), UsageLog(tmp_path / "large")
    for log in (small, large):
        for cost, charged in ((None, 0.25), (0.5, 0.5), (0.0, 0.0)):
            asked(log, "a", who=None, tier="complex", cost_usd=cost, helper_usd=charged, error="TimedOut", at=NOW)
        assert log.record(door="ask", question="no model was asked", error="InputError", at=NOW)
        asked(log, "b", cost_usd=0.0, helper_usd=0.0, at=NOW)
        log.close()
    for log in (small, large):
        [month] = log.months()
        assert log.helper_usd(month.name) == 0.75 and (month.use.cost_usd, month.use.cost_unknown) == (0.5, 1)
        assert month.parts == (Part("", "complex", 3, 0.5, 0.75, 0, 0), Part("own", "simple", 1, 0.0, 0.0, 0, 0))
