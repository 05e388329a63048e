"""Whose fault a failure is, who is left alone after some, and when it is tried again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.answer.partner import Partner
from components.errors import InputError, TerminalError, TooLongError, TransientError
from components.llm import load_chat
from components.llm.budget import BudgetError
from components.llm.retry import RetryLater
from components.serve.desk import Tried
from components.serve.params import HelperParams
from components.serve.router.faults import is_its_fault, nobody
from components.serve.router.helper import Helper
from components.serve.router.money import MonthMoney
from tests.serve.hybrid_house import FAILS, Clock, fail_once
from tests.serve.router_house import EASY, HARD, HELPER, OWN, One, desk, wanted


def test_a_question_that_cannot_be_asked_goes_to_nobody_and_is_nobodys_fault(partner: Partner) -> None:
    here = desk(partner, breaker={"failures": 1, "seconds": 60})
    for bad in (" \n", "x" * 8001, "password=Xk9mQ2vT " * 440):  # masked, a secret may be longer
        with pytest.raises(InputError):
            here.ask(wanted(bad))
    assert here.states() == {"own": "closed", "helper": "closed"}


def test_what_is_wrong_with_one_question_closes_the_model_to_nobody_else(partner: Partner) -> None:
    here = desk(partner, breaker={"failures": 1, "seconds": 60})
    elsewhere = load_chat(
        model="openai/none", api_base="https://nowhere.invalid/v1", temperature=0, max_tokens=200, context_tokens=8192,
        timeout_seconds=5, retries=0, seed=1,
    )  # fmt: skip
    here._live = One(replace(partner, chat=elsewhere))
    for _ in range(3):  # it must not see this note, so nothing is sent
        served = here.ask(wanted("Dove sta la cassaforte, dietro il quadro grande?"))
        assert served.who == "helper" and served.tried[0].why == "it refused"
    assert here.states()["own"] == "closed"


@pytest.mark.parametrize(
    ("error", "fault"),
    [(TransientError("x"), True), (RetryLater("x"), True), (InputError("no key"), True), (KeyError("x"), True),
     (TerminalError("the prompt is too long"), False), (BudgetError("x"), False)],
    ids=["transient", "later", "not set up", "a fault", "refused", "budget"],
)  # fmt: skip
def test_whose_fault_an_error_is(error: Exception, fault: bool) -> None:
    assert is_its_fault(error) is fault


@pytest.mark.parametrize(
    ("other", "kind"),
    [(BudgetError("x"), TooLongError), (TerminalError("x"), TooLongError), (TransientError("x"), RetryLater)],
    ids=["no money", "refused", "may pass"],
)  # fmt: skip
def test_a_question_that_is_too_long_for_one_is_told_as_such_unless_another_may_answer_it(
    other: Exception, kind: type[Exception]
) -> None:
    tried = [Tried("own", "m", "x", 0.1), Tried("helper", "n", "y", 0.1)]
    assert type(nobody(tried, [TooLongError("x"), other])) is kind
    assert not is_its_fault(TooLongError("x"))


def test_a_helper_without_its_key_is_no_fault_of_the_question(partner: Partner, monkeypatch: Any) -> None:
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    there = HelperParams(
        model="openai/gpt-4o", api_base="http://127.0.0.1:9/v1", api_key_env="NO_SUCH_KEY", timeout_seconds=2
    )
    money = MonthMoney(per_month_usd=5, per_query_usd=1, spent=lambda: 0.0)
    here = desk(partner, simple=["helper"])
    here._helper = Helper(there, money=money)  # the house makes doubles alone
    with pytest.raises(TerminalError, match="not set up") as caught:
        here.ask(wanted(EASY))
    assert not isinstance(caught.value, InputError) and "NO_SUCH_KEY" not in str(caught.value)
    served = here.ask(wanted(HARD))
    assert served.who == "own" and served.tried[0].why.startswith("it is not set up")
    here.ask(wanted(HARD))
    assert here.states()["helper"] == "open", "three times in a row"


def test_a_model_that_keeps_failing_is_left_alone_and_tried_again(partner: Partner) -> None:
    clock = Clock()
    here = desk(partner, helper=HELPER + FAILS, clock=clock, breaker={"failures": 2, "seconds": 30})
    whys = [here.ask(wanted(HARD)).tried[0].why for _ in range(4)]
    assert [why.startswith("no connection") for why in whys] == [True, True, False, False]
    assert "left alone" in whys[-1] and here.states() == {"own": "closed", "helper": "open"}
    clock.now = 30
    assert here.states()["helper"] == "half open"
    assert here.ask(wanted(HARD)).tried[0].why.startswith("no connection")
    assert here.states()["helper"] == "open"


def test_when_all_are_left_alone_nobody_waits_and_it_is_told_when_to_come_back(partner: Partner) -> None:
    clock = Clock()
    here = desk(partner, own=OWN + FAILS, clock=clock, simple=["own"], breaker={"failures": 1, "seconds": 30})
    with pytest.raises(TransientError):
        here.ask(wanted(EASY))
    clock.now = 10
    with pytest.raises(RetryLater, match="left alone") as caught:
        here.ask(wanted(EASY))
    assert caught.value.after_seconds == 20


def test_a_try_of_a_half_open_breaker_that_the_client_leaves_lets_the_next_one_try(partner: Partner) -> None:
    clock = Clock()
    here = desk(partner, clock=clock, complex=["helper"], breaker={"failures": 1, "seconds": 30})
    fail_once(here, "helper")
    clock.now = 30
    left = here.stream(wanted(HARD))
    next(left)
    left.close()
    assert here.states()["helper"] == "half open"
    assert here.ask(wanted(HARD)).who == "helper" and here.states()["helper"] == "closed"


def test_an_answer_without_a_model_closes_no_breaker(partner: Partner) -> None:
    strict = replace(partner, params=partner.params.model_copy(update={"min_score": 1.0}))
    clock = Clock()
    here = desk(strict, clock=clock, complex=["helper"], breaker={"failures": 1, "seconds": 30})
    fail_once(here, "helper")
    clock.now = 30
    assert here.ask(wanted(HARD)).asked.answer.reply is None
    assert here.states()["helper"] == "half open"


def test_an_answer_from_the_cache_closes_no_breaker(partner: Partner, tmp_path: Path) -> None:
    clock = Clock()
    here = desk(partner, clock=clock, complex=["helper"], breaker={"failures": 1, "seconds": 30})
    money = MonthMoney(per_month_usd=5, per_query_usd=1, spent=lambda: 0.0)
    here._helper = Helper(HelperParams(model=HELPER), money=money, cache=tmp_path / "responses.sqlite")
    assert here.ask(wanted(HARD)).who == "helper"
    fail_once(here, "helper")
    clock.now = 30
    reply = here.ask(wanted(HARD)).asked.answer.reply
    assert reply is not None and reply.cached and here.states()["helper"] == "half open"
