"""Who answers: by how hard the question is, in the recipe's order; the next one when one says nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from components.answer.partner import Partner
from components.errors import TransientError
from components.llm.retry import RetryLater
from components.serve.desk import Served
from components.serve.params import HelperParams, Who
from components.serve.router.helper import Helper
from components.serve.router.money import MonthMoney
from tests.serve.hybrid_house import FAILS
from tests.serve.router_house import EASY, HARD, HELPER, LONG, MIDDLE, OWN, One, chat, desk, streamed, wanted


@dataclass
class Stalls:
    """A model that says all that it has to say, and never ends."""

    of: Any

    def __getattr__(self, name: str) -> Any:
        return getattr(self.of, name)

    def stream(self, *given: Any, **more: Any) -> Iterator[Any]:
        yield from (item for item in self.of.stream(*given, **more) if isinstance(item, str))
        while True:
            time.sleep(0.02)
            yield ""


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


@pytest.mark.parametrize(("question", "first", "second"), [(EASY, "own", "helper"), (HARD, "helper", "own")])
def test_a_whole_answer_that_breaks_off_is_given_by_the_next_and_nothing_of_it_is_shown(
    partner: Partner, question: str, first: str, second: str
) -> None:
    doubles = {"own": OWN, "helper": HELPER, first: f"fake/chat?cost=0.01&reply={LONG}&break_at=90"}
    here = desk(partner, **doubles, breaker={"failures": 1, "seconds": 60})
    pieces, served = streamed(here, question, whole=True)
    assert "".join(pieces) == served.asked.answer.text == {"own": "Mia [1]", "helper": "Aiuto [1]"}[second]
    [tried] = served.tried
    assert (served.who, tried.who, tried.cost_usd) == (second, first, None), "what it wrote may be charged"
    assert here.states()[first] == "open" and here.states()[second] == "closed"  # type: ignore[index]


def test_a_whole_answer_that_breaks_off_without_another_model_is_an_error_that_may_pass(partner: Partner) -> None:
    here = desk(partner, own=f"fake/chat?reply={LONG}&break_at=90", simple=["own"])
    with pytest.raises(RetryLater, match="nobody could answer: own .*a fault of its server"):
        here.ask(wanted(EASY))


def test_a_whole_answer_has_the_time_of_one_in_pieces_once_it_has_begun(partner: Partner) -> None:
    here = desk(partner, own=f"fake/chat?reply={LONG}&delay=0.02", seconds=3)
    served = here.ask(wanted(EASY))
    assert served.who == "own" and not served.tried, "in more than half of the time"


@pytest.mark.parametrize("min_confidence", [0.0, 0.05], ids=["given", "held back"])
def test_a_whole_answer_that_begins_and_stalls_leaves_time_for_the_next(
    partner: Partner, min_confidence: float
) -> None:
    here = desk(partner, seconds=4, min_confidence=min_confidence)
    here._live = One(replace(partner, chat=Stalls(chat(f"fake/chat?reply={LONG}"))))
    served = here.ask(wanted(EASY))
    assert served.who == "helper" and served.tried[0].why.startswith("no answer within")


def test_while_a_whole_answer_is_made_it_can_be_stopped_at_each_piece(partner: Partner) -> None:
    here = desk(partner, own=f"fake/chat?reply={LONG}&delay=0.02", simple=["own"])
    pieces = [piece for piece in here.stream(wanted(EASY, whole=True)) if isinstance(piece, str)]
    text = next(place for place, piece in enumerate(pieces) if piece)
    assert text > 50, "as many empty ones as it has pieces, before its text"


def test_when_nobody_answers_the_error_says_who_was_asked_and_why_it_failed(partner: Partner) -> None:
    with pytest.raises(
        RetryLater, match=r"nobody could answer: helper \(fake/chat.*\): no conn.*; own \(.*\): no conn"
    ):
        desk(partner, own=OWN + FAILS, helper=HELPER + FAILS).ask(wanted(HARD))


def test_low_confidence_goes_on_and_nothing_of_it_is_shown(partner: Partner) -> None:
    pieces, served = streamed(desk(partner, own="fake/chat?reply=Non saprei", min_confidence=0.05), EASY)
    assert served.who == "helper" and "".join(pieces) == "Aiuto [1]"
    assert served.tried[0].who == "own" and served.tried[0].why == "it is not sure enough: 0.00, 0.05 is wanted"


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
