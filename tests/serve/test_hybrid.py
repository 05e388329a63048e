"""Who answers: by how hard the question is, in the recipe's order; the next one when one says nothing."""

from __future__ import annotations

import logging
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from router_house import (  # noqa: E402
    EASY,
    HARD,
    HELPER,
    LOCAL,
    MIDDLE,
    OWN,
    One,
    chat,
    desk,
    make_partner,
    streamed,
    wanted,
)

from components.answer.partner import Partner  # noqa: E402
from components.errors import InputError, TerminalError, TransientError  # noqa: E402
from components.llm import load_chat  # noqa: E402
from components.llm.budget import BudgetError  # noqa: E402
from components.llm.retry import RetryLater  # noqa: E402
from components.serve.desk import Served  # noqa: E402
from components.serve.http.answers import cost_of, helper_cost_of  # noqa: E402
from components.serve.params import HelperParams, Who  # noqa: E402
from components.serve.router.faults import is_its_fault  # noqa: E402
from components.serve.router.helper import Helper  # noqa: E402
from components.serve.router.hybrid import HybridDesk  # noqa: E402
from components.serve.router.money import MonthMoney  # noqa: E402
from tests.serve.http.conftest import up  # noqa: E402

FAILS = "&fail_prob=1"
LONG = " ".join(f"parola{number}" for number in range(100))  # the guard holds back the beginning of an answer


@pytest.fixture(scope="module")
def partner(tmp_path_factory: pytest.TempPathFactory, examples: Path) -> Partner:
    return make_partner(tmp_path_factory.mktemp("router"), examples)


class Clock:
    """Seconds that pass when the test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def fail_once(here: HybridDesk, who: Who) -> None:
    """One failure of it."""
    turn = here._breakers[who].may_ask()
    assert turn is not None
    here._breakers[who].failed(turn)


@pytest.mark.parametrize(
    ("question", "tier", "who"), [(EASY, "simple", "own"), (MIDDLE, "medium", "own"), (HARD, "complex", "helper")],
    ids=["simple", "medium", "complex"],
)  # fmt: skip
def test_who_is_asked_first_depends_on_the_tier(partner: Partner, question: str, tier: str, who: str) -> None:
    pieces, served = streamed(desk(partner), question)
    assert (served.tier, served.who, served.tried) == (tier, who, ())
    assert "".join(pieces) == served.asked.answer.text == {"own": "Mia [1]", "helper": "Aiuto [1]"}[who]
    assert served.because and served.release == "a" * 64 and served.index == partner.index.live_digest()
    assert served.confidence is not None and 0 < served.confidence <= 1


def test_the_order_is_the_recipes(partner: Partner) -> None:
    assert desk(partner, simple=["helper"]).ask(wanted(EASY)).who == "helper"
    assert desk(partner, complex=["own"]).ask(wanted(HARD)).who == "own"


@pytest.mark.parametrize(("question", "first", "second"), [(EASY, "own", "helper"), (HARD, "helper", "own")])
def test_one_that_fails_before_its_first_piece_is_followed_by_the_next(
    partner: Partner, question: str, first: str, second: str, caplog: pytest.LogCaptureFixture
) -> None:
    broken = {"own": OWN, "helper": HELPER}
    broken[first] += FAILS
    _, served = streamed(desk(partner, **broken), question)
    assert served.who == second
    [tried] = served.tried
    assert (tried.who, tried.model) == (first, broken[first])
    assert tried.why == "no connection, no answer in time, or a fault of its server" and tried.cost_usd == 0
    assert "as it was told to" in caplog.text, "the log has the error itself"


def test_one_that_fails_after_its_first_piece_is_followed_by_nobody(partner: Partner) -> None:
    here = desk(partner, own=f"fake/chat?reply={LONG}&break_at=90")
    given: list[str | Served] = []
    with pytest.raises(TransientError, match="at its piece 90"):
        given.extend(here.stream(wanted(EASY)))
    assert not any(isinstance(piece, Served) for piece in given)
    assert "".join(map(str, given)).strip()


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


def test_when_nobody_answers_the_error_says_who_was_asked_and_why_it_failed(partner: Partner) -> None:
    with pytest.raises(
        RetryLater, match=r"nobody could answer: helper \(fake/chat.*\): no conn.*; own \(.*\): no conn"
    ):
        desk(partner, own=OWN + FAILS, helper=HELPER + FAILS).ask(wanted(HARD))


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
    clock = Clock()
    here = desk(
        partner, own=OWN + "&delay=60", simple=["own"], seconds=10.0, clock=clock,
        breaker={"failures": 1, "seconds": 30},
    )  # fmt: skip
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
    clock = Clock()
    here = desk(
        partner, own=OWN + "&delay=60", simple=["own"], seconds=10.0, clock=clock,
        breaker={"failures": 1, "seconds": 30},
    )  # fmt: skip
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


def test_low_confidence_goes_on_and_nothing_of_it_is_shown(partner: Partner) -> None:
    pieces, served = streamed(desk(partner, own="fake/chat?reply=Non saprei", min_confidence=0.05), EASY)
    assert served.who == "helper" and "".join(pieces) == "Aiuto [1]"
    assert served.tried[0].who == "own" and served.tried[0].why == "it is not sure enough: 0.00, 0.05 is wanted"


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


def test_high_confidence_is_given(partner: Partner) -> None:
    pieces, served = streamed(desk(partner, min_confidence=0.05), EASY)
    assert served.who == "own" and not served.tried and "".join(pieces) == "Mia [1]"


def test_an_unsure_answer_is_better_than_none(partner: Partner) -> None:
    here = desk(partner, own="fake/chat?reply=Non saprei", helper=HELPER + FAILS, min_confidence=0.05)
    pieces, served = streamed(here, EASY)
    assert served.who == "own" and "".join(pieces) == served.asked.answer.text == "Non saprei"
    assert [one.who for one in served.tried] == ["helper"]


def test_nothing_is_held_back_for_one_that_could_not_be_asked(partner: Partner) -> None:
    here = desk(partner, own=f"fake/chat?reply={LONG}&delay=0.02", min_confidence=0.5, spent=lambda: 50.0, seconds=3)
    begun, first = time.monotonic(), 0.0
    for piece in here.stream(wanted(EASY)):
        first = first or (time.monotonic() - begun if piece else 0.0)
    assert isinstance(piece, Served) and piece.who == "own" and not piece.tried, "in more than half of the time"
    assert first < (time.monotonic() - begun) / 2


def test_what_nobody_can_find_is_asked_of_nobody_else(partner: Partner) -> None:
    strict = replace(partner, params=partner.params.model_copy(update={"min_score": 1.0}))
    served = desk(strict, min_confidence=0.9).ask(wanted(EASY))
    assert served.who == "own" and served.asked.answer.reply is None and not served.tried and served.confidence == 0


def test_the_helper_never_reads_a_local_note_nor_what_was_answered_before(partner: Partner) -> None:
    told = ({"role": "user", "content": "Dove sta?"}, {"role": "assistant", "content": "Dietro il quadro grande."})
    question = "Perché la cassaforte sta dietro il quadro? Confronta"
    for who, reads in (("helper", False), ("own", True)):
        here = desk(partner, own="fake/chat?mode=echo", helper="fake/chat?mode=echo&cost=0.01", complex=[who])
        served = here.ask(wanted(question, history=told))
        given = served.asked.answer
        assert served.who == who and bool(served.asked.left_out) != reads
        assert (LOCAL in [source.path for source in given.sources]) is reads
        assert any(source.local for source in given.sources) is reads
        assert ("quadro grande" in given.text) is reads, "of the note, or of the answer before"


def test_what_the_helper_may_not_read_is_looked_for_by_the_own_model(partner: Partner) -> None:
    here = desk(partner, helper="fake/chat?cost=0.01&reply=Non è nelle note.", own="fake/chat?reply=Dietro [1]")
    pieces, served = streamed(here, "Perché la cassaforte? Confronta il quadro grande")
    assert served.who == "own" and "".join(pieces) == "Dietro [1]"
    assert served.tried[0].why == "it found nothing, and 1 of the notes must not be shown to it"


def test_a_persona_that_must_stay_here_is_not_sent(partner: Partner) -> None:
    kept = replace(partner, prompt=replace(partner.prompt, local_notes=("@persona/x.md",)))
    served = desk(kept).ask(wanted(HARD))
    assert served.who == "own" and served.tried[0].why == "the persona itself must not leave this machine"
    with pytest.raises(TerminalError, match="persona itself") as caught:
        desk(kept, complex=["helper"]).ask(wanted(HARD))
    assert not isinstance(caught.value, BudgetError)


@pytest.mark.parametrize(("max_tokens", "words"), [(None, 10), (4, 4), (1_000_000, 10)], ids=["none", "less", "more"])
@pytest.mark.parametrize("who", ["own", "helper"])
def test_nobody_writes_more_than_the_recipe_says(
    partner: Partner, who: Who, max_tokens: int | None, words: int
) -> None:
    here = desk(partner, simple=[who])
    money = MonthMoney(per_month_usd=5, per_query_usd=1, spent=lambda: 0.0)
    here._helper = Helper(HelperParams(model=f"fake/chat?cost=0.01&reply={LONG}", max_tokens=10), money=money)
    here._live = One(replace(partner, chat=chat(f"fake/chat?reply={LONG}", max_tokens=10)))
    answer = here.ask(wanted(EASY, max_tokens=max_tokens)).asked.answer
    assert len(answer.text.split()) == words and answer.reply is not None and answer.reply.finish_reason == "length"


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


def test_what_is_in_service_is_held_for_as_long_as_it_answers(partner: Partner) -> None:
    here = desk(partner)
    live: One = here._live  # type: ignore[assignment]
    stream = here.stream(wanted(EASY))
    next(stream)
    assert live.users == 1
    stream.close()
    assert live.users == 0
    with pytest.raises(TransientError):
        desk_of = desk(partner, own=OWN + FAILS, simple=["own"])
        desk_of.ask(wanted(EASY))
    assert desk_of._live.users == 0  # type: ignore[attr-defined]


def test_closing_ends_the_work_of_the_model(partner: Partner) -> None:
    here = desk(partner, own=f"fake/chat?reply={LONG}&delay=0.05", simple=["own"])
    stream = here.stream(wanted(EASY))
    while not next(stream):
        pass
    begun = time.monotonic()
    stream.close()
    assert time.monotonic() - begun < 5


def test_the_doubles_of_this_test_are_what_they_say() -> None:
    assert chat(HELPER).is_local is False and chat(OWN).is_local is True
