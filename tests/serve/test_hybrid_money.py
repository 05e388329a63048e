"""What an answer cost, given or not, and what a question and a month may cost."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from typing import Any

import pytest

from components.answer.partner import Partner
from components.errors import TerminalError, TransientError
from components.llm import Budget
from components.llm.budget import BudgetError
from components.serve.desk import Tried
from components.serve.http.answers import cost_of
from components.serve.http.metrics import Metrics
from components.serve.http.work import Ended
from components.serve.router.faults import TOO_DEAR
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
    here, asked = desk(partner, helper="fake/chat?cost=0.01" + faults, seconds=8.0, min_confidence=0.05), wanted(HARD)
    served = here.ask(asked)
    assert served.who == "own" and served.tried[0].cost_usd == cost
    charged = 0.01 if cost is None else 0.0
    assert here._helper.money.spent_usd() == asked.bill.helper_usd == charged, "what it may have been is set aside"
    assert cost_of(served) == asked.bill.cost_usd == cost


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


@pytest.mark.parametrize("how", ["breaks off in a stream", "breaks off whole", "is left", "hangs"])
def test_what_a_question_cost_that_nobody_answered_is_in_its_bill(partner: Partner, how: str) -> None:
    faults = {"hangs": "&delay=30", "is left": f"&reply={LONG}"}.get(how, f"&reply={LONG}&break_at=90")
    here = desk(partner, helper="fake/chat?cost=0.01" + faults, complex=["helper"], seconds=3.0)
    asked = wanted(HARD, whole=how == "breaks off whole")
    stream = here.stream(asked)
    if how == "is left":
        while not next(stream):
            pass
        stream.close()
    else:
        with pytest.raises(TransientError):
            list(stream)
    [one] = asked.bill.asked
    assert (one.who, one.cost_usd, one.charged_usd, asked.bill.tier) == ("helper", None, 0.01, "complex")
    assert here._helper.money.spent_usd() == asked.bill.helper_usd == 0.01
    numbers = Metrics(at_work=lambda: 0, waiting=lambda: 0, breakers=dict)
    numbers.answer(Ended(asked, None, "TimedOut", 3.0, None))
    assert 'cervella_dollars_total{who="helper"} 0.01' in numbers.text().decode()


def test_a_bill_has_each_model_once_and_the_one_that_answered(partner: Partner) -> None:
    asked = wanted(HARD)
    desk(partner, helper="fake/chat?cost=0.01&reply=Mah", min_confidence=0.05).ask(asked)
    assert [(one.who, one.why.partition(":")[0], one.charged_usd) for one in asked.bill.asked] == [
        ("helper", "it is not sure enough", 0.01), ("own", "it answered", 0.0),
    ]  # fmt: skip


def test_an_unsure_answer_that_is_given_in_the_end_is_in_the_bill_once(partner: Partner) -> None:
    asked = wanted(HARD)
    here = desk(partner, helper="fake/chat?cost=0.01&reply=Mah", own="fake/chat?reply=Mia" + FAILS, min_confidence=0.05)
    assert here.ask(asked).who == "helper" and asked.bill.cost_usd == asked.bill.helper_usd == 0.01


def test_an_answer_whose_cost_nobody_tells_is_charged_as_the_most_that_it_may_be(
    partner: Partner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("components.llm.fake.FakeChat.estimate_usd", lambda *_: 0.01)
    asked = wanted(HARD)
    served = desk(partner, helper="fake/chat?cost=unknown&reply=Aiuto [1]").ask(asked)
    assert served.who == "helper" and cost_of(served) is None
    assert (asked.bill.cost_usd, asked.bill.helper_usd) == (None, 0.01)


BREAKS = f"&reply={LONG}&break_at=90"


def limited(partner: Partner, per_query_usd: float) -> Partner:
    return replace(partner, budget=Budget(per_run_usd=9, per_query_usd=per_query_usd))


@pytest.mark.parametrize(
    ("question", "own", "helper", "refused"),
    [(HARD, "cost=0.05", f"cost=0.06{BREAKS}", "own"), (EASY, f"cost=0.06{BREAKS}", "cost=0.05", "helper")],
    ids=["helper, then own", "own, then helper"],
)
@pytest.mark.parametrize("limit", [0.1, 0.12], ids=["too little is left", "enough is left"])
def test_a_question_has_one_limit_for_all_models_that_are_asked(
    partner: Partner, question: str, own: str, helper: str, refused: str, limit: float
) -> None:
    here = desk(
        limited(partner, limit), own=f"fake/chat?{own}", helper=f"fake/chat?{helper}", per_query_usd=limit,
    )  # fmt: skip
    for number in range(2):  # the next question has a limit of its own
        asked = wanted(question, id=f"r{number}", whole=True)
        if limit > 0.11:
            assert here.ask(asked).who == refused and asked.bill.charged_usd == pytest.approx(0.11)
            continue
        with pytest.raises(TransientError, match=rf"{refused} \(fake.*it would go over what a question"):
            here.ask(asked)
        assert [(one.who == refused, one.charged_usd) for one in asked.bill.asked] == [(False, 0.06), (True, 0.0)]
    months = asked.bill.helper_usd * 2
    assert here._helper.money.spent_usd() == pytest.approx(months), (
        "the month is charged what the helper cost, and no more"
    )


def test_a_helper_that_the_classifier_left_too_little_for_is_not_asked(partner: Partner) -> None:
    here = desk(
        partner, helper="fake/chat?cost=0.05", per_query_usd=0.1, breaker={"failures": 1, "seconds": 30},
        classifier={"model": "fake/chat?reply=complex&cost=0.06"},
    )  # fmt: skip
    asked = wanted(HARD)
    served = here.ask(asked)
    assert (served.who, served.tier) == ("own", "complex"), "what costs nothing may be asked"
    assert [(one.who, one.charged_usd) for one in asked.bill.asked] == [
        ("classifier", 0.06), ("helper", 0.0), ("own", 0.0),
    ]  # fmt: skip
    assert served.tried[1].why == TOO_DEAR and here.states()["helper"] == "closed", "it is not its fault"
    assert here._helper.money.spent_usd() == asked.bill.helper_usd == 0.06


def test_an_answer_that_left_too_little_for_another_is_given(partner: Partner) -> None:
    asked = wanted(HARD)
    served = desk(
        limited(partner, 0.1), helper="fake/chat?cost=0.06&reply=Mah", own="fake/chat?cost=0.05&reply=Mia [1]",
        per_query_usd=0.1, min_confidence=0.05,
    ).ask(asked)  # fmt: skip
    assert (served.who, served.asked.answer.text, asked.bill.charged_usd) == ("helper", "Mah", 0.06)
    assert [(one.who, one.why) for one in served.tried] == [("own", TOO_DEAR)]


def test_where_all_money_of_a_question_is_spent_it_is_refused_for_its_money(partner: Partner) -> None:
    asked = wanted(HARD)
    asked.bill.asked.append(Tried("own", "fake/other", "it stalled", 0.1, 0.06, 0.06))
    with pytest.raises(BudgetError, match=r"nobody could answer.*it would go over"):
        desk(
            limited(partner, 0.1), helper="fake/chat?cost=0.05", own="fake/chat?cost=0.05", per_query_usd=0.1
        ).ask(asked)  # fmt: skip
    assert asked.bill.charged_usd == 0.06
