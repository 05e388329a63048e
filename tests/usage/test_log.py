"""The usage log: what is kept and what is not, bounds, threads, processes, kills, and disks that refuse."""

from __future__ import annotations

import os
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import TerminalError
from components.usage import UsageLog, Use
from components.usage.purge import forget_paths

NOW = datetime.now(UTC)
CHILD = """
import sys
from pathlib import Path
from components.usage import UsageLog
log = UsageLog(Path(sys.argv[1]), max_rows=int(sys.argv[4]))
for number in range(int(sys.argv[3])):
    kept = log.record(door="serve", question=f"{sys.argv[2]} {number}", model="fake/chat", prompt_tokens=7, seconds=0.5,
                      conversation=f"{sys.argv[2]} {number // 10}", sources=["a.md"])
    print(number if kept else "lost", flush=True)
"""


def child(root: Path, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "error", "-c", CHILD, *map(str, arguments)]
    return subprocess.Popen(command, cwd=root, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Of a log that is not there yet, at a place with odd signs."""
    return tmp_path / "l'uso #1 100%?" / "usage.sqlite"


def rows(path: Path, query: str = "SELECT count(*) FROM query") -> list[Any]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def test_a_query_is_counted_with_all_that_it_took(path: Path) -> None:
    log = UsageLog(path)
    assert log.record(
        door="ask", question="Quanto?", recipe="mvp", model="fake/chat", is_local=True, prompt_tokens=100,
        completion_tokens=20, seconds=1.5, search_seconds=0.1, cost_usd=0.01, found=True, sources=["a.md", "b.md"],
    )  # fmt: skip
    assert log.record(door="serve", question="Dove?", model="fake/chat", seconds=2.5, cost_usd=None)
    assert log.record(door="ask", question="Chi?", model="fake/chat", error="TransientError", seconds=60)
    assert log.record(
        door="ask", question="Quanto?", model="fake/chat", cached=True, prompt_tokens=100, cost_usd=0.0, seconds=0.2
    )
    found = log.last_30_days()
    assert found.use == Use(
        queries=4, failed=1, conversations=3, repeated=1, prompt_tokens=100, completion_tokens=20, cost_usd=0.01,
        cost_unknown=1, p50_seconds=1.5, p95_seconds=2.5,
    )  # fmt: skip
    assert found.models == {"fake/chat": found.use} and found.complete
    assert [(month.name, month.use) for month in log.months()] == [(f"{NOW:%Y-%m}", found.use)]


def test_no_word_of_a_question_is_in_any_byte_of_the_log(path: Path) -> None:
    log = UsageLog(path)
    for question in ("Dov'è la chiave piccola?", "  dov'è la CHIAVE   piccola? "):
        log.record(door="ask", question=question, conversation="chat di Chiara", sources=["casa/chiavi.md"])
    kept = b"".join(file.read_bytes() for file in path.parent.iterdir())
    log.close()
    kept += path.read_bytes()
    for word in ("chiave piccola", "CHIAVE", "Dov'", "Chiara"):
        assert word.encode() not in kept
    assert b"casa/chiavi.md" in kept  # the paths are there, and that is said
    assert log.last_30_days().use.repeated == 1  # the same question but for spaces and capitals
    (first, *_) = rows(path, "SELECT question_chars, source_count, sources FROM query")
    assert first == (24, 1, '["casa/chiavi.md"]')


def test_the_same_question_has_another_digest_in_another_log(tmp_path: Path) -> None:
    digests = set()
    for name in ("a", "b"):
        log = UsageLog(tmp_path / name)
        log.record(door="ask", question="Quanto?")
        log.close()
        digests |= set(rows(tmp_path / name, "SELECT question FROM query"))
    assert len(digests) == 2


def test_a_conversation_counts_once_and_only_when_something_was_answered(path: Path) -> None:
    log = UsageLog(path)
    for conversation, error in [("a", None), ("a", None), ("a", "TerminalError"), ("b", "TerminalError"), (None, None)]:
        log.record(door="serve", question="?", conversation=conversation, error=error)
    assert log.last_30_days().use.conversations == 2
    assert log.months()[0].use.conversations == 2


def test_30_days_are_30_days(path: Path) -> None:
    log = UsageLog(path)
    for days in (-1, 0, 29, 31):
        log.record(door="ask", question=str(days), at=NOW - timedelta(days=days))
    assert log.last_30_days(NOW).use.queries == 2
    assert sum(month.use.queries for month in log.months()) == 4


def test_sources_are_bounded(path: Path) -> None:
    log = UsageLog(path)
    log.record(door="ask", question="?", sources=[f"{n}/{'x' * 500}.md" for n in range(100)])
    log.close()
    ((count, size),) = rows(path, "SELECT source_count, length(sources) FROM query")
    assert count == 100 and size < 20 * 210


QUERY = st.fixed_dictionaries({
    "door": st.text(max_size=5), "question": st.text(max_size=5), "recipe": st.none() | st.text(max_size=300),
    "model": st.none() | st.sampled_from(["a", "b", "\ud800", "x" * 300]), "seconds": st.none() | st.floats(),
    "conversation": st.none() | st.text("ab", max_size=2), "prompt_tokens": st.integers(-5, 2**70),
    "cost_usd": st.none() | st.floats(0, 10),
    "error": st.none() | st.just("TerminalError"), "cached": st.booleans(), "found": st.none() | st.booleans(),
    "sources": st.lists(st.text(max_size=4), max_size=3),
})  # fmt: skip


@settings(max_examples=25)
@given(st.lists(QUERY, max_size=12))
def test_anything_is_kept_and_nothing_raises(tmp_path_factory: pytest.TempPathFactory, queries: list[Any]) -> None:
    log = UsageLog(tmp_path_factory.mktemp("any") / "u.sqlite")
    assert all(log.record(**query) for query in queries)
    assert log.last_30_days().use.queries == len(queries)
    log.close()


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 700), st.floats(0.01, 100), st.booleans(), st.integers(0, 4)), max_size=25))
def test_folding_changes_no_sum_of_a_month(
    tmp_path_factory: pytest.TempPathFactory, queries: list[tuple[int, float, bool, int]]
) -> None:
    folder = tmp_path_factory.mktemp("fold")
    small, large = UsageLog(folder / "small", max_rows=4), UsageLog(folder / "large", max_days=10_000)
    for days, seconds, failed, question in queries:
        for log in (small, large):
            log.record(
                door="ask", question=str(question), model=f"m{question % 2}", seconds=seconds, cost_usd=seconds / 7,
                error="TerminalError" if failed else None, prompt_tokens=days, at=NOW - timedelta(days=days),
            )  # fmt: skip
    for log in (small, large):
        log.close()
    if queries:
        ((kept,),) = rows(folder / "small")
        assert kept <= 4
    for folded, whole in zip(small.months(), large.months(), strict=True):
        assert folded.name == whole.name and list(folded.models) == list(whole.models)
        for name in ("queries", "failed", "conversations", "prompt_tokens", "cost_unknown"):
            assert getattr(folded.use, name) == getattr(whole.use, name)
        assert folded.use.cost_usd == pytest.approx(whole.use.cost_usd)
        for name in ("p50_seconds", "p95_seconds"):
            near, exact = getattr(folded.use, name), getattr(whole.use, name)
            assert near == (None if exact is None else pytest.approx(exact, rel=0.1))


def test_what_is_older_than_400_days_stays_as_a_month_alone(path: Path) -> None:
    log = UsageLog(path)
    old = NOW - timedelta(days=401)
    log.record(door="ask", question="a", model="m", cost_usd=1.0, sources=["segreto.md"], at=old)
    log.record(door="ask", question="b", model="m", cost_usd=2.0)
    assert [(month.name, month.use.cost_usd) for month in log.months()] == [
        (f"{old:%Y-%m}", 1.0),
        (f"{NOW:%Y-%m}", 2.0),
    ]
    log.close()
    assert rows(path) == [(1,)] and rows(path, "SELECT sources FROM query") == [("[]",)]


def test_days_of_which_some_were_folded_say_so(path: Path) -> None:
    log = UsageLog(path, max_rows=10)
    for number in range(15):
        log.record(door="ask", question=str(number))
    found = log.last_30_days()
    assert not found.complete and found.use.queries <= 10
    assert log.months()[0].use.queries == 15


def test_no_log_is_no_use_and_none_is_made(path: Path) -> None:
    assert UsageLog(path).months() == [] and UsageLog(path).last_30_days().use == Use()
    assert not path.parent.exists()


def test_a_log_that_was_killed_at_its_making_is_no_use(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"")
    assert UsageLog(path).months() == []
    assert UsageLog(path).record(door="ask", question="?")
    assert len(UsageLog(path).months()) == 1


def test_a_broken_log_is_told_to_readers_and_moved_aside_by_the_next_query(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.parent.mkdir()
    path.write_bytes(b"a diary, not a database " * 100)
    with pytest.raises(TerminalError, match="cannot be read"):
        UsageLog(path).last_30_days()
    log = UsageLog(path)
    assert log.record(door="ask", question="?")
    assert "moved to" in caplog.text and path.with_name("usage.sqlite.corrupt-1").read_bytes().startswith(b"a diary")
    assert log.last_30_days().use.queries == 1


def test_a_place_that_cannot_be_written_costs_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("no folder")
    log = UsageLog(tmp_path / "file" / "usage.sqlite")
    assert [log.record(door="ask", question="?") for _ in range(3)] == [False] * 3
    assert caplog.text.count("cannot be used") == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_log_that_can_only_be_read_is_read(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = UsageLog(path)
    log.record(door="ask", question="?")
    log.close()
    path.chmod(0o444)
    path.parent.chmod(0o555)
    try:
        assert UsageLog(path).last_30_days().use.queries == 1
        assert not UsageLog(path).record(door="ask", question="?")
        assert "cannot be used" in caplog.text
    finally:
        path.parent.chmod(0o755)


def test_a_disk_that_is_full_costs_one_warning(root: Path, path: Path) -> None:
    UsageLog(path).record(door="ask", question="?")

    def no_byte_more() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", CHILD, str(path), "full", "3", "100"],
        cwd=root, capture_output=True, text=True, preexec_fn=no_byte_more, check=True,
    )  # fmt: skip
    assert done.stdout.split() == ["lost"] * 3
    assert done.stderr.count("cannot be used") == 1


def test_threads_share_a_log(path: Path) -> None:
    log = UsageLog(path, max_rows=50)

    def work(number: int) -> None:
        for query in range(40):
            assert log.record(door="serve", question=f"{number} {query}", seconds=1.0, cost_usd=0.5)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (month,) = log.months()
    assert (month.use.queries, month.use.conversations, month.use.cost_usd) == (200, 200, 100.0)


@pytest.mark.parametrize("max_rows", [1000, 60])
def test_two_processes_write_at_once_and_both_are_counted_also_while_rows_are_folded(
    root: Path, path: Path, max_rows: int
) -> None:
    children = [child(root, path, name, 150, max_rows) for name in ("uno", "due")]
    told = [process.communicate(timeout=120) for process in children]
    assert [process.returncode for process in children] == [0, 0]
    assert [out.split() for out, _ in told] == [[str(number) for number in range(150)]] * 2
    (month,) = UsageLog(path).months()
    assert (month.use.queries, month.use.prompt_tokens) == (300, 2100)
    assert month.use.conversations == 30 or (max_rows == 60 and 30 < month.use.conversations < 40)
    assert rows(path)[0][0] <= max_rows


@pytest.mark.slow
@pytest.mark.parametrize("heard", [1, 40, 137])
def test_a_kill_loses_nothing_that_was_told(root: Path, path: Path, heard: int) -> None:
    process = child(root, path, "ucciso", 100_000, 50)
    assert process.stdout is not None
    told = [process.stdout.readline() for _ in range(heard)]
    process.kill()
    count = len(told) + process.stdout.read().count("\n")
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    (month,) = UsageLog(path).months()
    assert month.use.queries in (count, count + 1)  # one may have been kept and not told any more
    assert month.use.prompt_tokens == 7 * month.use.queries
    assert UsageLog(path).record(door="ask", question="?")
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]


def test_forgetting_a_note_takes_its_path_out_of_every_byte(path: Path) -> None:
    log = UsageLog(path)
    for number in range(30):
        log.record(door="ask", question=str(number), sources=["casa/chiavi.md", f"{number}.md"], at=NOW)
    log.close()
    assert forget_paths(path, {"casa/chiavi.md"}, do=False) == 30
    assert b"chiavi" in path.read_bytes()
    assert forget_paths(path, {"casa/chiavi.md", "nessuno.md"}, do=True) == 30
    assert forget_paths(path, {"casa/chiavi.md"}, do=True) == 0
    assert b"chiavi" not in b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert set(rows(path, "SELECT source_count FROM query")) == {(2,)}
    assert UsageLog(path).last_30_days().use.queries == 30


def test_forgetting_where_there_is_no_log(path: Path) -> None:
    assert forget_paths(path, {"a.md"}, do=True) == 0
    assert not path.exists()
