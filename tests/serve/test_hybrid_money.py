"""What an answer cost, given or not, and what a question and a month may cost."""

from __future__ import annotations

import logging
import threading
from typing import Any

import pytest

from components.answer.partner import Partner
from components.errors import TerminalError
from components.llm.budget import BudgetError
from components.serve.http.answers import cost_of, helper_cost_of
from components.serve.router.money import MonthMoney
from tests.serve.hybrid_house import FAILS, Clock
from tests.serve.router_house import EASY, HARD, HELPER, LONG, desk, wanted


def test_what_a_dearer_answer_cost_that_was_not_given_is_told(partner: Partner) -> None:
    served = desk(partner, helper="fake/chat?cost=0.01&reply=Mah", min_confidence=0.05).ask(wanted(HARD))
    assert served.who == "own" and served.tried[0].cost_usd == 0.01


@pytest.mark.parametrize(
    ("faults", "cost"),
    [("&delay=30", None), (f"&break_at=90&reply={LONG}", None), ("&break_at=2&reply=Due parole", None), (FAILS, 0.0)],
    ids=["late", "broken off", "broken off while nothing was shown", "refused at once"],
)  # fmt: skip
def test_what_the_helper_may_charge_for_an_answer_that_failed_is_not_known(
    partner: Partner, faults: str, cost: float | None
) -> None:
    here = desk(partner, helper="fake/chat?cost=0.01" + faults, seconds=8.0, min_confidence=0.05)
    served = here.ask(wanted(HARD))
    assert served.who == "own" and served.tried[0].cost_usd == cost
    assert here._helper.money.spent_usd() == (0.01 if cost is None else 0.0), "what it may have been is set aside"
    assert cost_of(served) == cost and helper_cost_of(served) == 0.0


@pytest.mark.parametrize("faults", ["&delay=30", f"&break_at=90&reply={LONG}"], ids=["late", "broken off"])
def test_a_model_of_this_machine_costs_nothing_when_it_fails(partner: Partner, faults: str) -> None:
    served = desk(partner, own="fake/chat?cost=0" + faults, seconds=8.0, min_confidence=0.05).ask(wanted(EASY))
    assert served.who == "helper" and served.tried[0].cost_usd == 0.0


def test_the_month_is_spent_by_the_usage_log_and_by_this_process(partner: Partner) -> None:
    here = desk(partner, spent=lambda: 49.975)  # of 50, 0.01 each
    assert [here.ask(wanted(HARD)).who for _ in range(4)] == ["helper", "helper", "own", "own"]
    served = here.ask(wanted(HARD))
    assert served.tried[0].why == "it would go over what a question or the month may cost"
    gone = desk(partner, spent=lambda: 50.0).ask(wanted(HARD))
    assert gone.who == "own" and gone.tried[0].why == "the $50.00 of this month are spent"
    with pytest.raises(BudgetError, match=r"\$50.00 of this month"):
        desk(partner, spent=lambda: 50.0, complex=["helper"]).ask(wanted(HARD))


def test_a_question_that_may_cost_too_much_goes_to_the_own_model(partner: Partner) -> None:
    here = desk(partner, per_query_usd=0.001, breaker={"failures": 1, "seconds": 30})
    served = here.ask(wanted(HARD))
    assert served.who == "own" and "cost" in served.tried[0].why
    assert here.states()["helper"] == "closed", "it is not its fault"


def test_many_at_once_stay_within_the_month(partner: Partner) -> None:
    here = desk(partner, helper=HELPER + "&delay=0.05", spent=lambda: 49.945)
    said: list[str] = []
    threads = [threading.Thread(target=lambda: said.append(here.ask(wanted(HARD)).who)) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(said) == ["helper"] * 5 + ["own"] * 7


def test_a_log_that_cannot_be_read_means_no_helper_until_it_can(partner: Partner, caplog: Any) -> None:
    def broken() -> float:
        raise TerminalError("the usage log is broken")

    served = desk(partner, spent=broken).ask(wanted(HARD))
    assert served.who == "own" and "cannot be read" in served.tried[0].why
    assert caplog.at_level(logging.WARNING) and "usage log is broken" in caplog.text


def test_a_new_month_has_new_money_and_the_log_of_others_counts() -> None:
    month, clock, logged = ["2026-11"], Clock(), [4.0]
    money = MonthMoney(
        per_month_usd=5, per_query_usd=1, spent=lambda: logged[0], month=lambda: month[0], clock=clock, look_seconds=60
    )
    first = money.budget()
    assert first is not None and first.per_run_usd == 1.0 and money.why_not() is None
    with first.reserve(0.5, what="a call") as call:
        call.settle(0.5)
    assert money.spent_usd() == 4.5
    logged[0] = 5.5  # another process
    assert money.why_not() is None, "it is read once a minute"
    clock.now = 60
    assert money.why_not() == "the $5.00 of this month are spent" and money.budget() is first
    month[0], logged[0] = "2026-12", 0.0
    assert money.why_not() is None and money.budget() is not first
    logged[0] = 0.1
    clock.now = 121
    assert money.spent_usd() == 0.1
