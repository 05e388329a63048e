"""Without a router: whoever is in service answers everything."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from router_house import EASY, One, chat, make_partner, wanted  # noqa: E402

from components.answer.partner import Partner  # noqa: E402
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
