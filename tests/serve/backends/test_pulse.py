"""When an engine counts as hung: questions of others and one of ours without a word, and nothing heard meanwhile."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from components.serve.backends.pulse import Pulse
from tests.serve.backends.house import until


@dataclass
class Ours:
    """Our question: it has begun, and is answered or not when the test says so."""

    answered: bool = False
    asked: int = 0
    end: threading.Event = field(default_factory=threading.Event)

    def __call__(self, seconds: float) -> bool:
        self.asked += 1
        assert self.end.wait(60)
        return self.answered


def missing(ours: Ours) -> Pulse:
    """Two questions had no first word, and ours was asked."""
    pulse = Pulse(ours, seconds=60)
    pulse.heard()
    for _ in range(2):
        pulse.missed()
    assert pulse.fault() is None
    until(lambda: ours.asked == 1)
    return pulse


def ended(ours: Ours, pulse: Pulse) -> None:
    ours.end.set()
    until(lambda: pulse._asked_at is None)


def test_without_any_word_it_hangs_until_it_lives_anew() -> None:
    ours = Ours()
    pulse = missing(ours)
    assert pulse.fault() is None, "ours has time yet"
    ended(ours, pulse)
    assert "its engine hangs" in str(pulse.fault())
    pulse.begin()
    assert pulse.fault() is None


def test_who_answers_others_while_ours_waits_is_busy_and_not_hung() -> None:
    ours = Ours()
    pulse = missing(ours)
    pulse.heard()
    ended(ours, pulse)
    assert pulse.fault() is None


def test_what_was_heard_before_ours_was_asked_counts_no_more() -> None:
    ours = Ours()
    pulse = missing(ours)
    pulse.heard()
    ended(ours, pulse)
    for _ in range(2):
        pulse.missed()
    assert pulse.fault() is None
    until(lambda: pulse._asked_at is None and ours.asked == 2)
    assert "its engine hangs" in str(pulse.fault())


def test_what_is_told_of_a_life_before_says_nothing_of_this_one() -> None:
    ours = Ours()
    pulse = missing(ours)
    pulse.begin()
    ours.end.set()
    asking = [one for one in threading.enumerate() if one.name == "pulse"]
    for one in asking:
        one.join(60)
    assert pulse.fault() is None


def test_one_miss_asks_nothing_and_a_word_between_two_makes_none() -> None:
    ours = Ours()
    pulse = Pulse(ours, seconds=60)
    for _ in range(3):
        pulse.missed()
        assert pulse.fault() is None
        pulse.heard()
    assert pulse.fault() is None and ours.asked == 0
