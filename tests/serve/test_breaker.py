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


def opened(clock: Clock) -> Breaker:
    breaker = Breaker(failures=3, seconds=30, clock=clock)
    for _ in range(3):
        assert breaker.may_ask()
        breaker.failed()
    return breaker


def test_it_opens_after_so_many_failures_in_a_row_and_no_sooner(clock: Clock) -> None:
    breaker = Breaker(failures=3, seconds=30, clock=clock)
    for _ in range(2):
        breaker.failed()
    breaker.worked()
    for _ in range(2):
        breaker.failed()
    assert breaker.may_ask() and breaker.state() == "closed"
    breaker.failed()
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
    assert breaker.may_ask()
    breaker.worked()
    assert breaker.state() == "closed" and breaker.may_ask() and breaker.may_ask()
    breaker.failed()
    assert breaker.may_ask(), "it counts from the beginning again"


def test_a_try_that_fails_opens_it_for_as_long_again(clock: Clock) -> None:
    breaker = opened(clock)
    clock.now += 30
    assert breaker.may_ask()
    breaker.failed()
    assert not breaker.may_ask() and breaker.seconds_left() == 30


def test_a_try_that_nobody_knows_of_lets_the_next_one_try(clock: Clock) -> None:
    breaker = opened(clock)
    clock.now += 30
    assert breaker.may_ask()
    breaker.gave_up()
    assert breaker.state() == "half open" and breaker.may_ask() and not breaker.may_ask()


def test_what_was_asked_before_it_opened_and_fails_late_keeps_it_open_no_longer(clock: Clock) -> None:
    breaker = opened(clock)
    clock.now += 20
    breaker.failed()
    assert breaker.seconds_left() == 10


def test_of_many_threads_one_tries(clock: Clock) -> None:
    breaker = opened(clock)
    clock.now += 30
    gate, said = threading.Barrier(16), list[bool]()

    def ask() -> None:
        gate.wait()
        said.append(breaker.may_ask())

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(said) == 1
