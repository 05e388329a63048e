"""How many conversations there were: those with an id, and those that a client does not name."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from components.usage import UsageLog

NOW = datetime.now(UTC)


@pytest.mark.parametrize("max_rows", [1000, 1], ids=["kept one by one", "folded"])
def test_without_an_id_one_begins_where_nothing_was_answered_before(tmp_path: Path, max_rows: int) -> None:
    log = UsageLog(tmp_path / "usage.sqlite", max_rows=max_rows)
    for error, goes_on in ((None, False), (None, True), (None, True), ("TimedOut", False), (None, False)):
        assert log.record(door="serve", question="Ciao", goes_on=goes_on, error=error, at=NOW)
    [month] = log.months()
    assert (month.use.queries, month.use.conversations) == (5, 2)
    if max_rows > 1:
        assert log.last_30_days(NOW).use.conversations == 2
    log.close()


def test_with_an_id_it_is_the_id_that_counts(tmp_path: Path) -> None:
    log = UsageLog(tmp_path / "usage.sqlite")
    for conversation, goes_on in (("a", False), ("a", True), ("a", False), ("b", True)):
        log.record(door="serve", question="Ciao", conversation=conversation, goes_on=goes_on, at=NOW)
    assert log.months()[0].use.conversations == log.last_30_days(NOW).use.conversations == 2
    log.close()


def test_one_that_goes_on_from_another_month_counts_there_with_an_id_alone(tmp_path: Path) -> None:
    log = UsageLog(tmp_path / "usage.sqlite")
    for days, goes_on in ((40, False), (0, True)):
        for conversation in ("a", None):
            log.record(door="serve", question="Ciao", conversation=conversation, goes_on=goes_on,
                       at=NOW - timedelta(days=days))  # fmt: skip
    assert [month.use.conversations for month in log.months()] == [2, 1]
    assert log.last_30_days(NOW).use.conversations == 1
    log.close()
