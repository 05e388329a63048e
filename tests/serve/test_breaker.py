"""A model that keeps failing is left alone for a while."""

from __future__ import annotations

import threading

import pytest

from components.serve.router.breaker import Breaker


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def asked(breaker: Breaker) -> tuple[int, int]:
    turn = breaker.may_ask()
    assert turn is not None
    return turn


def opened(clock: Clock) -> Breaker:
    breaker = Breaker(failures=3, seconds=30, clock=clock)
    for _ in range(3):
        breaker.failed(asked(breaker))
    return breaker


def test_it_opens_after_so_many_failures_in_a_row_and_no_sooner(clock: Clock) -> None:
    breaker = Breaker(failures=3, seconds=30, clock=clock)
    for _ in range(2):
        breaker.failed(asked(breaker))
    breaker.worked(asked(breaker))
    for _ in range(2):
        breaker.failed(asked(breaker))
    assert breaker.may_ask() and breaker.state() == "closed"
    breaker.failed(asked(breaker))
    assert not breaker.may_ask() and breaker.state() == "open" and breaker.seconds_left() == 30


def test_after_its_time_one_question_tries_it_and_only_one(clock: Clock) -> None:
    breaker = opened(clock)
    clock.now += 29.9
    assert not breaker.may_ask()
    clock.now += 0.1
    assert breaker.state() == "half open" and breaker.seconds_left() == 0
    assert breaker.may_ask() and not breaker.may_ask()


def test_a_try_that_works_closes_it(clock: Clock) -> None:
    breaker = opened(clock)
    clock.now += 30
    breaker.worked(asked(breaker))
    assert breaker.state() == "closed" and breaker.may_ask() and breaker.may_ask()
    breaker.failed(asked(breaker))
    assert breaker.may_ask(), "it counts from the beginning again"


def test_a_try_that_fails_opens_it_for_as_long_again(clock: Clock) -> None:
    breaker = opened(clock)
    clock.now += 30
    breaker.failed(asked(breaker))
    assert not breaker.may_ask() and breaker.seconds_left() == 30


def test_a_try_that_nobody_knows_of_lets_the_next_one_try(clock: Clock) -> None:
    breaker = opened(clock)
    clock.now += 30
    breaker.gave_up(asked(breaker))
    assert breaker.state() == "half open" and breaker.may_ask() and not breaker.may_ask()


def test_what_was_asked_before_it_opened_and_fails_late_keeps_it_open_no_longer(clock: Clock) -> None:
    breaker = Breaker(failures=3, seconds=30, clock=clock)
    turns = [asked(breaker) for _ in range(4)]
    for turn in turns[:3]:
        breaker.failed(turn)
    clock.now += 20
    breaker.failed(turns[3])
    assert breaker.seconds_left() == 10


@pytest.mark.parametrize("how", ["worked", "failed", "gave_up"])
def test_what_was_asked_before_it_opened_ends_no_try(clock: Clock, how: str) -> None:
    breaker = Breaker(failures=1, seconds=30, clock=clock)
    old, first = asked(breaker), asked(breaker)
    breaker.failed(first)
    clock.now += 30
    trying = asked(breaker)
    getattr(breaker, how)(old)
    assert breaker.state() == "half open" and breaker.may_ask() is None, "the one that tries is still under way"
    breaker.worked(trying)
    assert breaker.state() == "closed"
    getattr(breaker, how)(old)
    assert breaker.state() == "closed", "nor does it open what works"


def test_a_try_that_was_given_up_says_no_more(clock: Clock) -> None:
    breaker = opened(clock)
    clock.now += 30
    left = asked(breaker)
    breaker.gave_up(left)
    trying = asked(breaker)
    breaker.failed(left)
    assert breaker.state() == "half open"
    breaker.worked(trying)
    assert breaker.state() == "closed"


def test_of_many_threads_one_tries(clock: Clock) -> None:
    breaker = opened(clock)
    clock.now += 30
    gate, said = threading.Barrier(16), list[tuple[int, int] | None]()

    def ask() -> None:
        gate.wait()
        said.append(breaker.may_ask())

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(turn is not None for turn in said) == 1


def test_a_model_that_answered_another_question_meanwhile_is_busy_and_not_broken(clock: Clock) -> None:
    breaker = Breaker(failures=1, seconds=30, clock=clock)
    queue = [asked(breaker) for _ in range(5)]
    for done, late in zip(queue[:2], queue[2:4], strict=True):
        breaker.worked(done)
        breaker.failed(late)
    breaker.failed(queue[4])
    assert breaker.state() == "closed"
    breaker.failed(asked(breaker))
    assert breaker.state() == "open", "nothing was answered since that one was begun"


def test_a_try_that_never_comes_back_has_failed_after_its_time(clock: Clock) -> None:
    breaker = opened(clock)
    clock.now += 30
    hangs = breaker.may_ask(within=20)
    assert hangs is not None
    clock.now += 20
    assert breaker.state() == "half open" and breaker.may_ask() is None, "it still has its time"
    clock.now += 10
    assert breaker.state() == "open" and breaker.seconds_left() == 20, "of 30 from when its time was up"
    assert breaker.may_ask() is None
    clock.now += 20
    trying = breaker.may_ask(within=20)
    assert trying is not None
    breaker.worked(hangs)
    assert breaker.state() == "half open", "it is not listened to any more"
    breaker.worked(trying)
    assert breaker.state() == "closed"


def test_time_is_for_tries_alone(clock: Clock) -> None:
    breaker = Breaker(failures=1, seconds=30, clock=clock)
    slow = breaker.may_ask(within=20)
    assert slow is not None
    clock.now += 100
    assert breaker.state() == "closed"
    breaker.worked(slow)
    assert breaker.state() == "closed" and breaker.may_ask()
