"""The desk with Claude as its helper, spoken to a double of Anthropic's API: what it gives and costs, its faults."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from components.answer.partner import Partner
from components.errors import TransientError
from components.serve.params import HelperParams, RouterParams
from components.serve.router.helper import Helper
from components.serve.router.hybrid import HybridDesk
from components.serve.router.money import MonthMoney
from tests.claude import CLAUDE, CLAUDE_KEY, Claude, claude_here
from tests.serve.router_house import HARD, LOCAL, LONG, OWN, One, chat, streamed, wanted

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:litellm.*")


@pytest.fixture
def claude(monkeypatch: pytest.MonkeyPatch) -> Iterator[Claude]:
    monkeypatch.setenv("MY_CLAUDE_KEY", CLAUDE_KEY)
    with claude_here() as double:
        double.words = [f"{word} " for word in LONG.split()] + ["[1]."]
        yield double


def hybrid(partner: Partner, claude: Claude) -> tuple[HybridDesk, MonthMoney]:
    params = HelperParams(model=CLAUDE, api_base=claude.url, api_key_env="MY_CLAUDE_KEY", timeout_seconds=20.0)
    money = MonthMoney(per_month_usd=5, per_query_usd=1, spent=lambda: 0.0)
    asked = Helper(params, money=money)
    asked.warm()  # as the endpoint does
    here = HybridDesk(
        One(replace(partner, chat=chat(OWN))), router=RouterParams(helper=params), helper=asked,
        seconds=30, max_chars=8000, history_tokens=1000,
    )  # fmt: skip
    return here, money


def test_a_hard_question_is_answered_in_pieces_and_charged_to_the_month(partner: Partner, claude: Claude) -> None:
    here, money = hybrid(partner, claude)
    pieces, served = streamed(here, HARD)
    assert (served.who, served.tier, len(pieces) > 1, served.tried) == ("helper", "complex", True, ())
    reply = served.asked.answer.reply
    assert reply is not None and reply.text.startswith("parola0 ")
    assert reply.cost_usd == pytest.approx(1000 * 3e-6 + 100 * 15e-6) == money.spent_usd()
    (sent,) = claude.requests
    assert sent["body"]["stream"] and "quadro grande" not in str(sent["body"]) and LOCAL not in str(sent["body"])


@pytest.mark.parametrize("fault", [401, 429, 500, 529, "hang up", "error first"])
def test_where_claude_cannot_answer_the_own_model_does_at_once(partner: Partner, claude: Claude, fault: Any) -> None:
    claude.plan = [fault]
    here, _ = hybrid(partner, claude)
    _, served = streamed(here, HARD)
    assert (served.who, [one.who for one in served.tried], len(claude.requests)) == ("own", ["helper"], 1)
    assert CLAUDE_KEY not in repr(served.tried) and here.states()["helper"] == "closed"


@pytest.mark.parametrize("fault", ["error", "reset", "end"])
def test_what_breaks_after_a_word_is_told_and_whole_it_is_answered_by_the_own_model(
    partner: Partner, claude: Claude, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    claude.words[0] = f"{LONG} "  # enough for the guard to let some of it go
    claude.plan = [fault, fault]
    here, money = hybrid(partner, claude)
    stream = here.stream(wanted(HARD))
    assert next(piece for piece in stream if piece)
    with pytest.raises(TransientError):
        list(stream)
    assert (money.spent_usd() or 0) > 0
    served = here.ask(wanted(HARD))
    assert served.who == "own" and served.tried[0].cost_usd is None and len(claude.requests) == 2


def test_after_three_failures_in_a_row_claude_is_left_alone(partner: Partner, claude: Claude) -> None:
    claude.plan = [529] * 9
    here, _ = hybrid(partner, claude)
    assert [here.ask(wanted(HARD)).who for _ in range(4)] == ["own"] * 4
    assert here.states()["helper"] == "open" and len(claude.requests) == 3
