"""Models that fail and that hang, and a clock that a test moves."""

from __future__ import annotations

from components.answer.partner import Partner
from components.serve.params import Who
from components.serve.router.hybrid import HybridDesk
from tests.serve.router_house import OWN, desk

FAILS = "&fail_prob=1"


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


def hanging(partner: Partner) -> tuple[HybridDesk, Clock]:
    """A desk with 10 seconds for a question, whose own model says nothing and is left alone after one failure."""
    clock = Clock()
    here = desk(
        partner, own=OWN + "&delay=60", simple=["own"], seconds=10.0, clock=clock,
        breaker={"failures": 1, "seconds": 30},
    )  # fmt: skip
    return here, clock
