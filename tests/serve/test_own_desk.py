"""Without a router: whoever is in service answers everything."""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from router_house import EASY, One, chat, make_partner, wanted  # noqa: E402

from components.answer.partner import Partner  # noqa: E402
from components.errors import InputError, TerminalError, TransientError  # noqa: E402
from components.llm import load_chat  # noqa: E402
from components.serve.own_desk import OwnDesk  # noqa: E402

LONG = " ".join(f"parola{number}" for number in range(100))


@pytest.fixture(scope="module")
def partner(tmp_path_factory: pytest.TempPathFactory, examples: Path) -> Partner:
    return make_partner(tmp_path_factory.mktemp("own"), examples)


def own(partner: Partner) -> OwnDesk:
    return OwnDesk(One(partner), max_chars=8000, history_tokens=1000)


@pytest.mark.parametrize(
    ("max_tokens", "words"), [(None, 8), (4, 4), (1_000_000, 8)], ids=["none", "less", "more"]
)  # fmt: skip
def test_a_client_may_ask_for_less_than_the_recipe_says_and_for_no_more(
    partner: Partner, max_tokens: int | None, words: int
) -> None:
    desk = own(replace(partner, chat=chat(f"fake/chat?reply={LONG}", max_tokens=8)))
    assert len(desk.ask(wanted(EASY, max_tokens=max_tokens)).asked.answer.text.split()) == words


def test_a_model_that_is_not_set_up_is_no_fault_of_the_question(
    partner: Partner, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    keyless = load_chat(
        model="openai/gpt-4o", api_base="http://127.0.0.1:9/v1", api_key_env="NO_SUCH_KEY", temperature=0,
        max_tokens=200, context_tokens=8192, timeout_seconds=2, retries=0, seed=1,
    )  # fmt: skip
    with pytest.raises(TerminalError, match="it is not set up") as caught:
        own(replace(partner, chat=keyless)).ask(wanted(EASY))
    assert not isinstance(caught.value, InputError) and "NO_SUCH_KEY" not in str(caught.value)
    assert "NO_SUCH_KEY" in caplog.text, "the log has what is missing"


@pytest.mark.parametrize(
    "question", [" \n", "x" * 8001, "password=Xk9mQ2vT " * 440],
    ids=["nothing", "too long", "too long once its secrets are masked"],
)  # fmt: skip
def test_a_question_that_nobody_takes_is_told_as_such(partner: Partner, question: str) -> None:
    live = One(partner)
    with pytest.raises(InputError, match="the question"):
        OwnDesk(live, max_chars=8000, history_tokens=1000).ask(wanted(question))
    assert live.most == 0, "nobody was asked"


@pytest.mark.parametrize(
    ("faults", "left", "cost"),
    [("", False, 0.01), ("", True, None), ("&break_at=90", False, None), ("&fail_prob=1", False, 0.0)],
    ids=["answered", "left", "broken off", "refused at once"],
)
def test_what_the_own_model_cost_is_in_the_bill_whatever_became_of_it(
    partner: Partner, faults: str, left: bool, cost: float | None
) -> None:
    paid = replace(partner, chat=chat(f"fake/chat?cost=0.01&reply={LONG}{faults}"))
    asked = wanted(EASY)
    stream = own(paid).stream(asked)
    with suppress(TransientError):
        for piece in stream:
            if piece and left:
                stream.close()
    [one] = asked.bill.asked
    assert (one.who, one.cost_usd, one.charged_usd) == ("own", cost, 0.01 if cost is None else cost)
    assert asked.bill.helper_usd == 0.0
