"""A model that has the word on how hard a question is, where the rules leave it on a border."""

from __future__ import annotations

import random
import string
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from components.answer.partner import Partner
from components.serve.desk import Wanted
from components.serve.router.breaker import Breaker
from components.serve.router.hybrid import HybridDesk
from components.usage import UsageLog, usage_file
from flows.commands.options import load
from flows.commands.serve import _desk
from tests.serve.hybrid_house import Clock
from tests.serve.router_house import EASY, HARD, MIDDLE, One, desk, wanted

HARDEST = "Perché costa? Confronta la caparra e scrivi un piano"
SECRET = "ghp_" + "".join(random.Random(7).choices(string.ascii_letters + string.digits, k=36))


def with_model(partner: Partner, options: str, *, seconds: float = 3.0, **more: Any) -> HybridDesk:
    return desk(partner, classifier={"model": f"fake/chat?{options}", "timeout_seconds": seconds}, **more)


@pytest.mark.parametrize(
    ("question", "word", "who"),
    [(MIDDLE, "simple", "own"), (MIDDLE, "Medium.", "own"), (HARD, "medium", "own"), (HARD, "complex", "helper")],
    ids=["one point, simple", "one point, medium", "two points, medium", "two points, complex"],
)
def test_on_a_border_the_model_has_the_word_and_the_answer_says_so(
    partner: Partner, question: str, word: str, who: str
) -> None:
    asked, tier = wanted(question), word.casefold().strip(".")
    served = with_model(partner, f"reply={word}&cost=0.001").ask(asked)
    assert (served.tier, served.who, asked.bill.tier) == (tier, who, tier)
    assert served.because.startswith(
        f"a model (fake/chat?reply={word}&cost=0.001) took it for {tier}; by the rules: it"
    )
    [tried] = served.tried
    assert (tried.who, tried.why, tried.cost_usd) == ("classifier", f"it took the question for {tier}", 0.001)
    assert asked.bill.helper_usd == pytest.approx(0.001 + (0.01 if who == "helper" else 0.0))


@pytest.mark.parametrize("question", [EASY, HARDEST], ids=["no point", "three points"])
def test_where_the_rules_are_sure_it_is_not_asked(partner: Partner, question: str) -> None:
    served = with_model(partner, "reply=medium&cost=0.001").ask(wanted(question))
    assert served.tried == () and served.tier != "medium" and "model" not in served.because


@pytest.mark.parametrize(
    ("options", "why", "cost"),
    [("fail_prob=1&cost=0.001", "no connection", 0.0), ("delay=60&cost=0.001", "no answer within", None),
     ("reply=boh&cost=0.001", "it said neither", 0.001), ("reply=simple or medium", "it said neither or both", 0.0),
     ("reply=complex", "it said neither", 0.0), ("cost=9", "it would go over", 0.0)],
    ids=["fails", "is late", "says nothing of use", "says both", "says another", "costs too much"],
)  # fmt: skip
def test_else_the_rules_decide_in_a_short_time(partner: Partner, options: str, why: str, cost: float | None) -> None:
    begun = time.monotonic()
    served = with_model(partner, options, seconds=0.5).ask(wanted(MIDDLE))
    assert (served.tier, served.who, served.because) == ("medium", "own", "it says 'perché'")
    assert served.tried[0].why.startswith(why) and served.tried[0].cost_usd == cost
    assert served.tried[0].seconds < 5 and time.monotonic() - begun < 15


def test_it_is_of_the_money_of_the_month(partner: Partner) -> None:
    served = with_model(partner, "reply=simple", spent=lambda: 50.0).ask(wanted(MIDDLE))
    assert (served.tier, served.tried) == ("medium", ()), "nobody was asked"
    here = with_model(partner, "reply=simple&cost=0.02", spent=lambda: 49.99)
    assert here.ask(wanted(MIDDLE)).tier == "medium"


def test_one_that_keeps_failing_is_left_alone(partner: Partner) -> None:
    here = with_model(partner, "fail_prob=1", breaker={"failures": 2, "seconds": 60})
    assert [len(here.ask(wanted(MIDDLE)).tried) for _ in range(3)] == [1, 1, 0]
    assert here.states() == {"own": "closed", "helper": "closed"}


def test_it_can_be_ended_while_it_is_at_work_and_what_it_may_cost_is_in_the_bill(partner: Partner) -> None:
    asked = wanted(MIDDLE)
    stream = with_model(partner, "delay=60&cost=0.001", seconds=50.0).stream(asked)
    assert next(stream) == ""
    stream.close()
    [one] = asked.bill.asked
    assert (one.why, one.cost_usd, one.charged_usd) == ("nobody waited for it any more", None, 0.001)


def test_nothing_of_what_it_says_is_shown(partner: Partner) -> None:
    pieces = list(with_model(partner, "reply=simple").stream(wanted(MIDDLE)))
    assert "".join(piece for piece in pieces if isinstance(piece, str)) == "Mia [1]"


@dataclass
class Hears:
    """A model, and what it was given."""

    of: Any
    heard: list[str] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.of, name)

    def stream(self, messages: Any, **more: Any) -> Iterator[Any]:
        self.heard += [message["content"] for message in messages]
        return self.of.stream(messages, **more)  # type: ignore[no-any-return]


def test_it_is_given_the_question_alone_without_its_secrets(partner: Partner) -> None:
    here = with_model(partner, "reply=simple")
    assert here._classifier is not None
    model, budget = here._classifier._model.chat()
    hears = Hears(model)
    here._classifier._model.chat = lambda: (hears, budget)  # type: ignore[method-assign,assignment,return-value]
    before: Any = ({"role": "user", "content": "La caparra?"}, {"role": "assistant", "content": "Cento euro."})
    assert here.ask(wanted(f"{MIDDLE} {SECRET}", history=before)).tier == "simple"
    task, question = hears.heard
    assert "simple or medium" in task and question.startswith(MIDDLE) and SECRET not in question


def test_the_endpoint_has_the_one_of_its_recipe(
    partner: Partner, tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    router = "serve.router={helper: {model: 'fake/chat?cost=0.01'}, classifier: {model: 'fake/chat?reply=simple'}}"
    recipe = load("mvp", (f"workspace={tmp_path}", router)).recipe
    log = UsageLog(usage_file(tmp_path))
    here, _ = _desk(recipe, One(partner), log)  # type: ignore[arg-type]
    served = here.ask(Wanted(id="r1", question=MIDDLE))
    assert served.tier == "simple" and served.tried[0].who == "classifier"
    log.close()


def test_a_try_of_it_that_never_comes_back_has_failed_after_its_time(partner: Partner) -> None:
    here, clock = with_model(partner, "delay=60"), Clock()
    assert here._classifier is not None
    breaker = here._classifier._breaker = Breaker(failures=1, seconds=30, clock=clock)
    breaker.failed(breaker.may_ask() or (0, 0))
    clock.now = 30
    hangs = here.stream(wanted(MIDDLE))
    assert next(hangs) == "" and breaker.state() == "half open"
    clock.now = 34
    assert breaker.state() == "open" and breaker.seconds_left() == 29
    hangs.close()
