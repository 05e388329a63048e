"""Conversations without an id, as clients of OpenAI's API have them: who answers one, and how many there were."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from components.answer.partner import Partner
from components.serve.compare import Comparisons
from components.serve.compare.share import in_share
from components.serve.desk import Wanted
from components.serve.http.schema import read_asking
from components.serve.http.work import Ended
from components.serve.params import LimitParams
from components.usage import UsageLog, usage_file
from flows.commands.serve import _record
from tests.serve.compare_house import CANDIDATE, ab
from tests.serve.http.conftest import served

GREETING = {"role": "assistant", "content": "Ciao! Come posso aiutarti?"}
SYSTEM = {"role": "system", "content": "Sei gentile."}


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def answer(text: str = "Cento euro.") -> dict[str, str]:
    return {"role": "assistant", "content": text}


def asked(*messages: dict[str, str], key: str = "anna", **more: object) -> Wanted:
    """What the endpoint makes of a request with these messages."""
    asking = read_asking(json.dumps({"messages": messages, **more}).encode(), limits=LimitParams(), model="m")
    return Wanted(
        id="r1", question=asking.question, history=asking.history, conversation=asking.conversation, key=key
    )  # fmt: skip


@pytest.mark.parametrize("before", [(), (GREETING,), (SYSTEM, GREETING)], ids=["none", "a greeting", "and a system"])
def test_a_share_of_the_conversations_is_drawn_whatever_greets_a_person(before: tuple[dict[str, str], ...]) -> None:
    drawn = [
        in_share(asked(*before, user(f"Domanda {number}")), candidate=CANDIDATE, share=0.5) for number in range(99)
    ]
    assert 25 < sum(drawn) < 75


def test_all_turns_of_a_conversation_are_on_one_side_and_both_sides_have_some(
    partner: Partner, records: Comparisons
) -> None:
    here, sides = ab(partner, records), Counter[str]()
    for number in range(40):
        said = [GREETING, user(f"Quanto costa la camera {number}?")]
        first = here.side(asked(*said))
        for _ in range(3):
            said += [answer(), user("E ad agosto? ")]
            assert here.side(asked(*said)) == first
        sides[first] += 1
    assert min(sides["A"], sides["B"]) > 5


def test_the_same_first_turn_of_two_keys_is_two_conversations() -> None:
    sides = {in_share(asked(user("Ciao"), key=f"k{number}"), candidate=CANDIDATE, share=0.5) for number in range(50)}
    assert sides == {False, True}
    assert asked(user("Ciao")).talk == asked(GREETING, user(" Ciao\n"), answer(), user("E poi?")).talk
    assert (
        len(
            {asked(user("Ciao")).talk, asked(user("Ciao"), conversation="Ciao").talk, asked(user("Ciao"), key="b").talk}
        )
        == 3
    )


def test_what_a_client_names_is_one_conversation_whatever_is_said() -> None:
    first = asked(user("Ciao"), metadata={"conversation": "c1"})
    assert first.talk == asked(user("Altro"), conversation="c1").talk


@pytest.mark.parametrize(
    ("before", "goes_on"),
    [
        ((), False),
        ((GREETING,), False),
        ((SYSTEM, GREETING), False),
        ((user("Quando?"),), False),  # nobody answered it
        ((GREETING, user("Quando?"), answer()), True),
        ((user("Quando?"), answer(), user("Dove?")), True),
    ],
    ids=["nothing before", "a greeting", "and a system", "unanswered", "greeted and answered", "answered once"],
)  # fmt: skip
def test_a_conversation_goes_on_once_something_was_answered(before: tuple[dict[str, str], ...], goes_on: bool) -> None:
    assert asked(*before, user("E poi?")).goes_on == goes_on


def test_conversations_that_begin_alike_are_counted_each(tmp_path: Path) -> None:
    log = UsageLog(usage_file(tmp_path))
    record = _record(log, recipe="mvp", kept=None)
    for _ in range(3):
        for turns in ([GREETING, user("Ciao")], [GREETING, user("Ciao"), answer(), user("Quando si paga?")]):
            record(Ended(asked(*turns), served(), None, 2.0, None))
    for key in ("anna", "bruno"):  # each has one that goes by the same name
        for _ in range(2):
            record(Ended(asked(user("Ciao"), key=key, conversation="c1"), served(), None, 2.0, None))
    record(Ended(asked(user("Ciao")), None, "TimedOut", 2.0, None))
    log.close()
    assert log.last_30_days().use.conversations == log.months()[0].use.conversations == 5
