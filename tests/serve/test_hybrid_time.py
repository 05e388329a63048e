"""Models that hang: each has its share of the time, and who used its share up is at fault."""

from __future__ import annotations

import time

import pytest

from components.answer.partner import Partner
from components.errors import TransientError
from components.llm.retry import RetryLater
from components.serve.desk import Served
from tests.serve.http.conftest import up
from tests.serve.hybrid_house import Clock, fail_once, hanging
from tests.serve.router_house import EASY, HARD, HELPER, LONG, OWN, desk, wanted


def test_a_model_that_hangs_has_a_share_of_the_time_and_the_next_the_rest(partner: Partner) -> None:
    here = desk(partner, helper=HELPER + "&delay=30", seconds=6.0)
    begun = time.monotonic()
    served = here.ask(wanted(HARD))
    assert served.who == "own" and served.tried[0].why.startswith("no answer within")
    assert 1.0 <= served.tried[0].seconds and time.monotonic() - begun < 15


def test_time_that_was_gone_before_is_shared_by_none_of_them(partner: Partner) -> None:
    here = desk(partner, helper=HELPER + "&delay=60", seconds=60.0)
    begun = time.monotonic()
    served = here.ask(wanted(HARD, deadline=begun + 8.0))
    assert served.who == "own" and served.tried[0].why.startswith("no answer within")
    assert served.tried[0].seconds < 7.0 and time.monotonic() - begun < 8.0


@pytest.mark.parametrize(
    ("seconds", "state"), [(5.0, "closed"), (10.0, "open")], ids=["in time", "when its time is up"]
)
def test_a_hanging_model_is_at_fault_when_it_is_closed_and_its_time_is_up(
    partner: Partner, seconds: float, state: str
) -> None:
    here, clock = hanging(partner)
    stream = here.stream(wanted(EASY, deadline=9.5))
    assert next(stream) == ""
    clock.now = seconds
    stream.close()
    assert here.states()["own"] == state


def test_behind_the_endpoint_a_model_that_hangs_is_left_alone_too(partner: Partner) -> None:
    here = desk(
        partner, own=OWN + "&delay=60", simple=["own"], seconds=4.0, breaker={"failures": 1, "seconds": 60},
    )  # fmt: skip
    ask = {"messages": [{"role": "user", "content": EASY}]}
    with up(here, seconds=4.0) as endpoint:
        late = endpoint.post(json=ask)
        assert late.status_code in (503, 504) and endpoint.is_idle() and here.states()["own"] == "open"
        assert 30 < int(endpoint.post(json=ask).headers["retry-after"]) <= 60


@pytest.mark.parametrize(
    ("deadline", "state"), [(2.0, "closed"), (8.0, "open")], ids=["most of its time was gone", "it had its time"]
)
@pytest.mark.parametrize("closed", [True, False], ids=["closed", "taken on"])
def test_who_is_late_with_a_question_that_came_late_is_not_at_fault(
    partner: Partner, deadline: float, state: str, closed: bool
) -> None:
    here, clock = hanging(partner)
    stream = here.stream(wanted(EASY, deadline=deadline))
    assert next(stream) == ""
    clock.now = 9.0
    if closed:
        stream.close()
    else:
        with pytest.raises(TransientError, match="no answer within"):
            next(stream)
    assert here.states()["own"] == state


def test_when_its_time_is_over_nobody_is_asked(partner: Partner) -> None:
    here = desk(partner, breaker={"failures": 1, "seconds": 30})
    with pytest.raises(TransientError, match=r"no time was left.*no time was left"):
        here.ask(wanted(HARD, deadline=time.monotonic() - 1))
    assert here.states() == {"own": "closed", "helper": "closed"}


def test_a_model_that_hangs_in_the_middle_is_ended_when_the_time_is_up(partner: Partner) -> None:
    here = desk(partner, own=f"fake/chat?reply={LONG}&delay=0.05", simple=["own"], seconds=1.5)
    given: list[str | Served] = []
    begun = time.monotonic()
    with pytest.raises(TransientError, match="no answer within"):
        for piece in here.stream(wanted(EASY)):
            given.append(piece)
    assert "parola0" in "".join(map(str, given)) and "parola99" not in "".join(map(str, given))
    assert time.monotonic() - begun < 4.5, "it did not go on to its end"


@pytest.mark.parametrize("begun", [True, False], ids=["begun", "not begun"])
def test_an_answer_that_has_to_begin_by_a_time_has_all_of_it_once_it_has_begun(partner: Partner, begun: bool) -> None:
    clock = Clock()
    own = f"fake/chat?reply={LONG}" + ("" if begun else "&delay=60")
    here = desk(partner, own=own, simple=["own"], seconds=10.0, clock=clock, breaker={"failures": 1, "seconds": 30})
    stream = here.stream(wanted(EASY, deadline=10.0, begun_by=5.0))
    while not next(stream) and begun:
        pass
    clock.now = 7.0
    if begun:
        *_, served = stream
        assert isinstance(served, Served)
    else:
        stream.close()
        assert here.states()["own"] == "open", "another desk is asked: it had its time"


def test_a_try_that_never_comes_back_is_followed_by_another(partner: Partner) -> None:
    here, clock = hanging(partner)
    fail_once(here, "own")
    clock.now = 30.0
    hangs = here.stream(wanted(EASY))
    assert next(hangs) == "", "nobody takes the next piece: so is a search that hangs for good"
    with pytest.raises(RetryLater) as alone:
        here.ask(wanted(EASY))
    assert here.states()["own"] == "half open" and alone.value.after_seconds == 0
    clock.now = 41.0
    with pytest.raises(RetryLater) as alone:
        here.ask(wanted(EASY))
    assert here.states()["own"] == "open" and alone.value.after_seconds == 29
    clock.now = 70.0
    tries = here.stream(wanted(EASY))
    assert next(tries) == ""
    for stream in (tries, hangs):
        stream.close()
