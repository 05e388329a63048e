"""A SQLite file that cannot be used for a while: told when that begins and when it is over, and not each time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from components.store import sqlite_file
from components.store.sqlite_file import SqliteFile
from tests.locked import locked


class Kept(SqliteFile):
    """Numbers."""

    table = "kept"

    def __init__(self, path: Path, *, busy_seconds: float = 0.01) -> None:
        schema = ["CREATE TABLE IF NOT EXISTS kept (number INTEGER)"]
        super().__init__(path, schema=schema, what="test file", busy_seconds=busy_seconds)

    def keep(self, number: int) -> bool:
        return self._try_write(lambda connection: connection.execute("INSERT INTO kept VALUES (?)", [number]))

    def numbers(self) -> list[int]:
        nothing: list[int] = []
        return self._try_read(
            lambda connection: [row[0] for row in connection.execute(f"SELECT number FROM {self.table}")],
            instead=nothing,
        )


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Kept]:
    made = Kept(tmp_path / "kept.sqlite")
    assert made.keep(1)
    yield made
    made.close()


def test_a_fault_is_told_when_it_begins_and_when_it_is_over(file: Kept, caplog: pytest.LogCaptureFixture) -> None:
    with locked(file.path):
        assert [file.keep(number) for number in (2, 3, 4)] == [False] * 3
        assert file.numbers() == [1], "it can be read"
        assert caplog.text.count("cannot be used") == 1 and "again" not in caplog.text
    assert file.keep(5) and file.keep(6) and file.numbers() == [1, 5, 6]
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 2
    assert caplog.records[1].getMessage().endswith("can be used again (3 times nothing is kept in it)")


def test_a_fault_that_comes_and_goes_is_told_once_in_ten_minutes(
    file: Kept, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(sqlite_file.time, "monotonic", lambda: now)
    for _ in range(5):
        with locked(file.path):
            assert not file.keep(2)
        assert file.keep(3)
    assert len(caplog.records) == 2, "its begin and its end, once"
    now += 600
    with locked(file.path):
        assert not file.keep(4)
    assert "cannot be used" in caplog.records[2].getMessage() and file.keep(5)
    assert len(caplog.records) == 4


def test_a_fault_that_stays_is_told_once_however_long_it_stays(
    file: Kept, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(sqlite_file.time, "monotonic", lambda: now)
    with locked(file.path):
        for _ in range(5):
            assert not file.keep(2)
            now += 3600
    assert len(caplog.records) == 1


def test_a_lock_is_waited_for_once_and_not_by_each_who_writes(tmp_path: Path) -> None:
    with closing(Kept(tmp_path / "kept.sqlite", busy_seconds=1.5)) as file:
        assert file.keep(1)
        with locked(file.path), ThreadPoolExecutor(8) as threads:
            begun = time.monotonic()
            assert list(threads.map(file.keep, range(8))) == [False] * 8
            assert 1.5 <= time.monotonic() - begun < 6, "one after the other they took 12 seconds"
            begun = time.monotonic()
            assert file.numbers() == [1] and [file.keep(number) for number in range(4)] == [False] * 4
            assert time.monotonic() - begun < 1.5, "it was known to be locked"
        assert file.keep(2) and file.numbers() == [1, 2]


@pytest.mark.parametrize("failed", ["a write", "a read"])
def test_once_it_works_again_others_are_waited_for_again(
    tmp_path: Path, failed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(Kept(tmp_path / "kept.sqlite", busy_seconds=2)) as file:
        assert file.keep(1)
        if failed == "a write":
            with locked(file.path):
                assert not file.keep(2)
        else:
            with monkeypatch.context() as patch:
                patch.setattr(Kept, "table", "no_such_table")
                assert file.numbers() == []
        assert file.keep(3)
        writes = threading.Event()

        def write() -> None:
            with locked(file.path):
                writes.set()
                time.sleep(0.3)

        with ThreadPoolExecutor(1) as other:
            other.submit(write)
            assert writes.wait(20) and file.keep(4)
        assert file.numbers() == [1, 3, 4]
