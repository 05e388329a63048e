"""What `cervella serve` writes down of a question, and of what people say of the answer."""

from __future__ import annotations

import random
import sqlite3
import string
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from router_house import EASY, HARD, LONG, desk, make_partner, wanted  # noqa: E402

from components.answer.partner import Partner  # noqa: E402
from components.errors import TransientError  # noqa: E402
from components.recipe.forget import alone_in  # noqa: E402
from components.serve.desk import Served, Wanted  # noqa: E402
from components.serve.http.schema import Scored  # noqa: E402
from components.serve.http.work import Ended  # noqa: E402
from components.serve.router.hybrid import HybridDesk  # noqa: E402
from components.usage import UsageLog, usage_file  # noqa: E402
from components.usage.conversations import Conversations, conversations_file, read_conversations  # noqa: E402
from flows.commands.serve import _feedback, _record  # noqa: E402

SECRET = "ghp_" + "".join(random.Random(7).choices(string.ascii_letters + string.digits, k=36))


@pytest.fixture(scope="module")
def partner(tmp_path_factory: pytest.TempPathFactory, examples: Path) -> Partner:
    return make_partner(tmp_path_factory.mktemp("recorded"), examples)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[UsageLog]:
    opened = UsageLog(usage_file(tmp_path))
    yield opened
    opened.close()


def ended(asked: Wanted, served: Served | None = None) -> Ended:
    return Ended(asked, served, None if served else "TimedOut", 2.0, 0.5)


def answered(desk: HybridDesk, question: str, **more: Any) -> Ended:
    asked = wanted(question, **more)
    return ended(asked, desk.ask(asked))


def rows(log: UsageLog, columns: str) -> list[Any]:
    with closing(sqlite3.connect(log.path)) as connection:
        return connection.execute(f"SELECT {columns} FROM query ORDER BY id").fetchall()


def test_who_answered_what_and_what_the_helper_cost_is_recorded(partner: Partner, log: UsageLog) -> None:
    record = _record(log, recipe="mvp", kept=None)
    here = desk(partner)
    record(answered(here, EASY, id="easy"))
    record(answered(here, HARD, id="hard"))
    record(ended(wanted(HARD, id="late")))
    assert rows(log, "request, who, tier, helper_usd, first_token_seconds, error") == [
        ("easy", "own", "simple", 0.0, 0.5, None),
        ("hard", "helper", "complex", 0.01, 0.5, None),
        ("late", None, None, 0.0, 0.5, "TimedOut"),
    ]
    assert log.helper_usd(f"{datetime.now(UTC):%Y-%m}") == 0.01


def test_an_answer_of_the_helper_that_was_not_given_counts_among_its_dollars(partner: Partner, log: UsageLog) -> None:
    here = desk(partner, min_confidence=1.0, complex=["helper", "own"])  # no answer is that sure: the next is asked
    done = answered(here, HARD)
    _record(log, recipe="mvp", kept=None)(done)
    assert done.served is not None and "helper" in [done.served.who, *(one.who for one in done.served.tried)]
    assert rows(log, "helper_usd, cost_usd") == [(0.01, 0.01)]


def test_what_the_helper_may_have_cost_where_nobody_answered_counts_against_the_month_after_a_restart(
    partner: Partner, log: UsageLog
) -> None:
    asked = wanted(HARD)
    with pytest.raises(TransientError):
        desk(partner, helper=f"fake/chat?cost=30&reply={LONG}&break_at=90", complex=["helper"],
             per_query_usd=50.0).ask(asked)  # fmt: skip
    _record(log, recipe="mvp", kept=None)(ended(asked))
    assert rows(log, "who, tier, cost_usd, helper_usd, error") == [(None, "complex", None, 30.0, "TimedOut")]
    month = f"{datetime.now(UTC):%Y-%m}"
    assert log.helper_usd(month) == 30.0
    again = desk(partner, spent=lambda: log.helper_usd(month), helper="fake/chat?cost=30", per_query_usd=50.0)
    assert again.ask(wanted(HARD)).who == "own", "of the $50 of a month 20 are left"


def test_conversations_are_kept_only_where_the_recipe_says_so(partner: Partner, log: UsageLog, tmp_path: Path) -> None:
    served = desk(partner).ask(wanted(EASY))
    _record(log, recipe="mvp", kept=None)(ended(wanted(EASY), served))
    assert not conversations_file(tmp_path).exists()
    with closing(Conversations(conversations_file(tmp_path))) as kept:
        _record(log, recipe="mvp", kept=kept)(ended(wanted(f"{EASY} {SECRET}"), served))
    [talked] = read_conversations(conversations_file(tmp_path))
    assert talked.turns[0][0].startswith(EASY)
    data = b"".join(file.read_bytes() for file in (tmp_path / "usage").iterdir())
    assert SECRET.encode() not in data


def test_feedback_is_masked_and_waits_while_something_is_forgotten(
    partner: Partner, log: UsageLog, tmp_path: Path
) -> None:
    _record(log, recipe="mvp", kept=None)(answered(desk(partner), EASY, id="easy"))
    keep = _feedback(log, tmp_path)
    assert keep(Scored("easy", -1, f"sbagliato, {SECRET}")) and not keep(Scored("other", 1, None))
    [(score, comment)] = rows(log, "score, comment")
    assert score == -1 and comment.startswith("sbagliato") and SECRET not in comment
    with alone_in(tmp_path, "forget"), pytest.raises(TransientError, match="gc or forget is at work"):
        keep(Scored("easy", 1, None))
    assert rows(log, "score") == [(-1,)]
