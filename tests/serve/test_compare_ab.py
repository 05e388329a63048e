"""A candidate that answers a share of the conversations: who answers which, and who follows when it fails."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from components.answer.partner import Partner
from components.errors import CervellaError, InputError, TransientError
from components.llm import Budget
from components.llm.budget import BudgetError
from components.serve.compare import Comparisons
from components.serve.compare.share import in_share
from components.serve.desk import OF_CANDIDATE, Served, Tried, Wanted
from components.serve.http.answers import cost_of
from components.serve.own_desk import OwnDesk
from components.serve.router.faults import TOO_DEAR
from tests.serve.compare_house import CANDIDATE, OTHER, ab, of_side, poor
from tests.serve.router_house import EASY, HARD, HELPER, LONG, OWN, One, chat, desk, wanted


@pytest.mark.parametrize(("side", "text"), [("A", "Mia [1]"), ("B", "Altra [1]")])
def test_a_conversation_stays_with_who_began_it(partner: Partner, records: Comparisons, side: str, text: str) -> None:
    here = ab(partner, records)
    for number in range(3):
        served = here.ask(wanted(EASY, id=f"r{number}", conversation=of_side(side)))
        assert (served.side, served.asked.answer.text) == (side, text)
    assert [one.side for one in records.answers(CANDIDATE)] == [side] * 3


def test_the_share_is_of_the_conversations_and_each_comparison_has_its_own() -> None:
    asked = [wanted(EASY, conversation=f"c{number}") for number in range(4000)]
    drawn = [in_share(one, candidate=CANDIDATE, share=0.1) for one in asked]
    assert 300 < sum(drawn) < 500
    assert drawn != [in_share(one, candidate="c" * 64, share=0.1) for one in asked]
    assert all(in_share(one, candidate=CANDIDATE, share=1.0) for one in asked)
    keys = [in_share(wanted(EASY, conversation="c1", key=f"k{number}"), candidate=CANDIDATE, share=0.5)
            for number in range(50)]  # fmt: skip
    assert 0 < sum(keys) < 50, "two people may use the same name"


def test_a_candidate_that_fails_before_it_says_anything_is_followed_by_what_is_in_service(
    partner: Partner, records: Comparisons
) -> None:
    here = ab(partner, records, b=OTHER + "&fail_prob=1")
    served = here.ask(wanted(EASY, conversation=of_side("B")))
    assert (served.side, served.asked.answer.text) == ("A", "Mia [1]")
    assert [(one.side, one.error) for one in records.answers(CANDIDATE)] == [("B", "TransientError"), ("A", None)]


def test_a_candidate_that_fails_in_the_middle_is_followed_by_nobody(partner: Partner, records: Comparisons) -> None:
    here = ab(partner, records, b=f"fake/chat?reply={LONG}&break_at=90")
    with pytest.raises(TransientError):
        list(here.stream(wanted(EASY, conversation=of_side("B"))))
    assert [(one.side, one.error) for one in records.answers(CANDIDATE)] == [("B", "TransientError")]


@pytest.mark.parametrize("own_desk", [False, True], ids=["with a router", "without"])
def test_of_an_answer_that_is_wanted_whole_what_is_in_service_follows_in_the_middle_too(
    partner: Partner, records: Comparisons, own_desk: bool
) -> None:
    breaks = f"fake/chat?reply={LONG}&break_at=90"
    b = OwnDesk(One(replace(partner, chat=chat(breaks))), max_chars=8000, history_tokens=1000) if own_desk else breaks
    *pieces, served = ab(partner, records, b=b).stream(wanted(EASY, conversation=of_side("B"), whole=True))
    assert isinstance(served, Served) and served.side == "A"
    assert "".join(map(str, pieces)) == served.asked.answer.text == "Mia [1]"
    assert [(one.side, one.error) for one in records.answers(CANDIDATE)] == [("B", "TransientError"), ("A", None)]


@dataclass
class Stalls:
    """A desk that begins an answer, and goes on with nothing until the time is up."""

    cost: float | None = None

    def stream(self, wanted: Wanted) -> Iterator[str | Served]:
        assert wanted.deadline is not None
        try:
            yield "Comincia"
            while time.monotonic() < wanted.deadline:
                time.sleep(0.02)
                yield ""
            raise TransientError("its time is up")
        finally:
            wanted.bill.asked.append(Tried("own", "fake/other", "it stalled", 0.6, self.cost, self.cost or 0.01))

    def ask(self, wanted: Wanted) -> Served:
        raise AssertionError("it is asked in pieces")


@pytest.mark.parametrize("cost", [0.0, None], ids=["local", "paid"])
def test_a_whole_answer_that_begins_and_stalls_is_followed_in_time_and_its_cost_is_told(
    partner: Partner, records: Comparisons, cost: float | None
) -> None:
    here = ab(partner, records, b=Stalls(cost), share=1.0, patience=0.01)
    deadline = time.monotonic() + 60
    asked = wanted(EASY, deadline=deadline)
    served = here.ask(asked)
    assert (served.side, served.asked.answer.text) == ("A", "Mia [1]") and time.monotonic() < deadline
    assert [(one.side, one.error) for one in records.answers(CANDIDATE)] == [("B", "LateError"), ("A", None)]
    [tried] = served.tried
    assert (tried.who, tried.model, tried.cost_usd) == ("own", "fake/other", cost)
    assert tried.why == "the candidate: it stalled" and cost_of(served) == asked.bill.cost_usd == cost
    assert [one.why for one in asked.bill.asked] == [tried.why, "it answered"]


def test_an_answer_in_pieces_that_has_begun_has_all_the_time_that_there_is(
    partner: Partner, records: Comparisons
) -> None:
    here = ab(partner, records, b=Stalls(), share=1.0, patience=0.01)
    with pytest.raises(TransientError, match="its time is up"):
        list(here.stream(wanted(EASY, deadline=time.monotonic() + 1)))
    assert [(one.side, one.error) for one in records.answers(CANDIDATE)] == [("B", "TransientError")]


def test_what_each_model_of_the_candidate_cost_in_vain_is_told_with_the_answer_that_was_given(
    partner: Partner, records: Comparisons
) -> None:
    b = desk(partner, own=OTHER + "&fail_prob=1", helper=f"fake/chat?cost=0.01&reply={LONG}&break_at=90")
    asked = wanted(EASY)
    served = ab(partner, records, b=b, share=1.0).ask(asked)
    assert [(one.who, one.cost_usd) for one in served.tried] == [("own", 0.0), ("helper", None)]
    assert all(one.why.startswith("the candidate: no connection") for one in served.tried)
    assert (served.side, cost_of(served), asked.bill.cost_usd, asked.bill.helper_usd) == ("A", None, None, 0.01)


def test_what_was_not_asked_before_is_not_told(partner: Partner, records: Comparisons) -> None:
    here = ab(partner, records)
    assert [here.ask(wanted(EASY, conversation=of_side(side))).tried for side in ("A", "B")] == [(), ()]


def test_a_question_that_cannot_be_asked_is_no_fault_of_the_candidate(partner: Partner, records: Comparisons) -> None:
    with pytest.raises(InputError):
        ab(partner, records).ask(wanted(" \n ", conversation=of_side("B")))
    assert records.answers(CANDIDATE) == []


def test_when_enough_was_asked_all_go_to_what_is_in_service(partner: Partner, records: Comparisons) -> None:
    here = ab(partner, records, questions=2)
    sides = [here.ask(wanted(EASY, id=f"r{number}", conversation=of_side("B"))).side for number in range(4)]
    assert sides == ["B", "B", "A", "A"] and here.told() == {"compared": 2, "enough": 2}
    assert ab(partner, records, questions=2).side(wanted(EASY, conversation=of_side("B"))) == "A"


def test_an_answer_is_recorded_although_nobody_takes_what_comes_after_it(
    partner: Partner, records: Comparisons
) -> None:
    stream = ab(partner, records, share=1.0).stream(wanted(EASY))
    while isinstance(next(stream), str):
        pass
    stream.close()
    assert records.count(CANDIDATE, "ab") == 1


NO_KEY = "anthropic/claude-sonnet-4-5"


def test_a_candidate_without_its_key_is_followed_by_what_is_in_service_and_the_comparison_ends(
    partner: Partner, records: Comparisons, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    here = ab(partner, records, b=NO_KEY, questions=2)
    for number in range(3):
        served = here.ask(wanted(EASY, id=f"r{number}", conversation=of_side("B")))
        assert (served.side, served.asked.answer.text) == ("A", "Mia [1]")
    assert [one.error for one in records.answers(CANDIDATE) if one.side == "B"] == ["InputError"] * 2
    assert here.told()["compared"] == 2


def test_both_sides_are_recorded_alike_and_nothing_once_enough_was_compared(
    partner: Partner, records: Comparisons
) -> None:
    here = ab(partner, records, a=OWN + "&fail_prob=1", questions=1)
    for number in range(2):
        with pytest.raises(TransientError):
            here.ask(wanted(EASY, id=f"a{number}", conversation=of_side("A")))
    assert [(one.side, one.error) for one in records.answers(CANDIDATE)] == [("A", "TransientError")] * 2
    assert here.ask(wanted(EASY, conversation=of_side("B"))).side == "B"
    with pytest.raises(TransientError):
        here.ask(wanted(EASY, conversation=of_side("A")))
    assert [one.side for one in records.answers(CANDIDATE)] == ["A", "A", "B"]


def test_spent_money_of_the_candidate_is_not_recorded_and_told_by_its_budget(
    partner: Partner, records: Comparisons
) -> None:
    b = poor(partner)
    assert ab(partner, records, b=b, share=1.0).ask(wanted(EASY)).side == "A"
    assert [one.side for one in records.answers(CANDIDATE)] == ["A"]
    with b._live.use() as opened:
        assert opened.partner.budget.exhausted


def test_a_question_that_alone_costs_too_much_ends_nothing(partner: Partner) -> None:
    budget = Budget(per_run_usd=9, per_query_usd=0.1)
    with pytest.raises(BudgetError):
        replace(partner, chat=chat("fake/chat?cost=1", budget=budget), budget=budget).ask(EASY)
    assert not budget.exhausted


def test_while_it_may_not_be_asked_what_is_in_service_answers_unrecorded(
    partner: Partner, records: Comparisons
) -> None:
    why: list[str | None] = ["the candidate is in service"]
    here = ab(partner, records, share=1.0, why_not=lambda: why[0])
    assert here.ask(wanted(EASY)).side == "A" and records.answers(CANDIDATE) == []
    why[0] = None
    assert here.ask(wanted(EASY)).side == "B" and len(records.answers(CANDIDATE)) == 1


def test_a_candidate_that_hangs_is_followed_in_time_by_what_is_in_service(
    partner: Partner, records: Comparisons
) -> None:
    here, begun = ab(partner, records, b=OTHER + "&delay=60", share=1.0), time.monotonic()
    served = here.ask(wanted(EASY, deadline=begun + 4))
    assert (served.side, served.asked.answer.text) == ("A", "Mia [1]") and 2 <= time.monotonic() - begun < 30
    assert [(one.side, one.error) for one in records.answers(CANDIDATE)] == [("B", "LateError"), ("A", None)]


@pytest.mark.parametrize("side", ["A", "B"])
def test_who_is_stopped_when_the_time_is_up_has_failed(partner: Partner, records: Comparisons, side: str) -> None:
    slow = f"fake/chat?reply={LONG}&delay=0.05"
    here = ab(partner, records, a=slow, b=slow)
    stream = here.stream(wanted(EASY, conversation=of_side(side), deadline=time.monotonic() + 2))
    while not next(stream):
        pass
    time.sleep(2)
    stream.close()
    assert [(one.side, one.error) for one in records.answers(CANDIDATE)] == [(side, "LateError")]


def test_with_a_router_both_sides_have_the_helper_and_its_answers_count_to_neither(
    partner: Partner, records: Comparisons
) -> None:
    a = desk(partner, helper=HELPER)
    broken = One(replace(partner, chat=chat(OTHER + "&fail_prob=1")), release=CANDIDATE)
    b, failing = a.beside(One(replace(partner, chat=chat(OTHER)), release=CANDIDATE)), a.beside(broken)
    more: dict[str, Any] = {"a": a, "own_first": lambda tier: tier == "simple"}
    here = ab(partner, records, b=b, **more)
    for side, text in (("A", "Mia [1]"), ("B", "Altra [1]")):
        for question, who, said in ((EASY, "own", text), (HARD, "helper", "Aiuto [1]")):
            served = here.ask(wanted(question, id=f"{side}{who}", conversation=of_side(side)))
            assert (served.side, served.who, served.asked.answer.text) == (side, who, said)
    assert [(one.request, one.error, one.tier) for one in records.answers(CANDIDATE)] == [
        ("Aown", None, "simple"), ("Bown", None, "simple"),
    ]  # fmt: skip
    here = ab(partner, records, b=failing, **more)
    assert here.ask(wanted(EASY, id="helped", conversation=of_side("B"))).who == "helper"
    last = records.answers(CANDIDATE)[-1]
    assert (last.request, last.side, last.error, last.release) == ("helped", "B", "HandedOnError", None)
    assert a.states() == {"own": "closed", "helper": "closed"}


def test_two_desks_share_the_breaker_of_the_helper_alone(partner: Partner) -> None:
    a = desk(partner, own=OWN, helper=HELPER + "&fail_prob=1", breaker={"failures": 1, "seconds": 60})
    b = a.beside(One(replace(partner, chat=chat(OTHER + "&fail_prob=1"))))
    with pytest.raises(CervellaError):
        b.ask(wanted(EASY))
    assert (a.states(), b.states()) == ({"own": "closed", "helper": "open"}, {"own": "open", "helper": "open"})


def test_a_client_that_goes_away_is_no_fault_and_no_answer(partner: Partner, records: Comparisons) -> None:
    stream = ab(partner, records, b=f"fake/chat?reply={LONG}&delay=0.01", share=1.0).stream(wanted(EASY))
    next(stream)
    stream.close()
    assert records.answers(CANDIDATE) == []


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "in pieces"])
def test_a_candidate_that_hangs_behind_a_router_leaves_time_and_is_left_alone(
    partner: Partner, records: Comparisons, whole: bool
) -> None:
    a = desk(partner, seconds=4, spent=lambda: 50.0, breaker={"failures": 1, "seconds": 60})  # no helper any more
    b = a.beside(One(replace(partner, chat=chat(OTHER + "&delay=60")), release=CANDIDATE))
    here = ab(partner, records, a=a, b=b, share=1.0)
    for number, why in enumerate(("nobody waited", "it failed several times")):
        *_, served = here.stream(wanted(EASY, id=f"r{number}", deadline=time.monotonic() + 4, whole=whole))
        assert isinstance(served, Served) and (served.side, served.asked.answer.text) == ("A", "Mia [1]")
        assert served.tried[0].why.startswith(f"the candidate: {why}")
    assert (a.states()["own"], b.states()["own"]) == ("closed", "open")


def test_what_both_sides_cost_in_vain_is_in_the_bill(partner: Partner, records: Comparisons) -> None:
    breaks, asked = f"fake/chat?cost=0.01&reply={LONG}&break_at=90", wanted(EASY, whole=True)
    with pytest.raises(TransientError):
        list(ab(partner, records, a=breaks, b=breaks, share=1.0).stream(asked))
    assert [(one.why.startswith("the candidate: "), one.cost_usd, one.charged_usd) for one in asked.bill.asked] == [
        (True, None, 0.01), (False, None, 0.01),
    ]  # fmt: skip
    assert asked.bill.helper_usd == 0.0, "both are own models"


def test_what_a_candidate_that_answered_cost_is_in_the_bill(partner: Partner, records: Comparisons) -> None:
    b, asked = desk(partner, own=OTHER, helper="fake/chat?cost=0.01&reply=Aiuto [1]"), wanted(HARD)
    assert ab(partner, records, b=b, share=1.0).ask(asked).side == "B"
    assert (asked.bill.cost_usd, asked.bill.helper_usd, asked.bill.tier) == (0.01, 0.01, "complex")


def limited(partner: Partner, model: str, per_query_usd: float = 0.1) -> OwnDesk:
    """Without a router, and with money of its own."""
    paid = replace(partner, chat=chat(model), budget=Budget(per_run_usd=9, per_query_usd=per_query_usd))
    return OwnDesk(One(paid), max_chars=8000, history_tokens=1000)


def test_both_sides_share_the_limit_of_a_question(partner: Partner, records: Comparisons) -> None:
    breaks = limited(partner, f"fake/chat?cost=0.06&reply={LONG}&break_at=90")
    here, asked = ab(partner, records, a=limited(partner, "fake/chat?cost=0.05"), b=breaks), wanted(EASY, whole=True)
    asked = replace(asked, conversation=of_side("B"))
    with pytest.raises(BudgetError):
        here.ask(asked)
    assert [(one.charged_usd, one.why.startswith(OF_CANDIDATE)) for one in asked.bill.asked] == [
        (0.06, True), (0.0, False),
    ]  # fmt: skip
    assert [(one.side, one.error) for one in records.answers(CANDIDATE)] == [("B", "TransientError")]
    assert here.ask(wanted(EASY, id="r2", conversation=of_side("A"))).side == "A", "of a limit of its own"
    rich = ab(partner, records, a=limited(partner, "fake/chat?cost=0.05", 0.12), b=breaks)
    asked = wanted(EASY, id="r3", conversation=of_side("B"))
    assert rich.ask(asked).side == "A" and asked.bill.charged_usd == pytest.approx(0.11)


def test_an_own_model_that_the_candidate_left_too_little_for_has_not_failed(
    partner: Partner, records: Comparisons
) -> None:
    tight = replace(partner, budget=Budget(per_run_usd=9, per_query_usd=0.1))
    a = desk(tight, own="fake/chat?cost=0.05", helper="fake/chat?cost=0.01&reply=Aiuto [1]")
    asked = wanted(EASY)
    served = ab(partner, records, a=a, b=Stalls(0.06), share=1.0, patience=0.01).ask(
        replace(asked, deadline=time.monotonic() + 60)
    )
    assert (served.side, served.who, served.tried[-1].why) == ("A", "helper", TOO_DEAR)
    assert [one.side for one in records.answers(CANDIDATE)] == ["B"], "the helper answered, but not in its place"
