"""Several questions under way at a time: order, bounds, errors, and what an interruption leaves."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextvars import ContextVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.llm import load_chat
from components.llm.at_once import ask_at_once, most_at_once


def nothing(_: int, __: int) -> None:
    pass


class Counted:
    """Asks, and counts how many are under way."""

    def __init__(self, seconds: Callable[[int], float] = lambda _: 0.0) -> None:
        self.seconds = seconds
        self.lock = threading.Lock()
        self.under_way = self.most = 0
        self.begun: list[int] = []
        self.done: list[int] = []

    def __call__(self, item: int) -> int:
        with self.lock:
            self.begun.append(item)
            self.under_way += 1
            self.most = max(self.most, self.under_way)
        time.sleep(self.seconds(item))
        with self.lock:
            self.under_way -= 1
            self.done.append(item)
        return item * item


@given(count=st.integers(0, 30), at_once=st.integers(1, 9), seed=st.integers(0, 5))
@settings(max_examples=40)
def test_results_come_in_the_order_of_the_items_and_never_more_at_a_time(count: int, at_once: int, seed: int) -> None:
    ask = Counted(lambda item: (item * 7 + seed) % 5 / 2000)
    told: list[tuple[int, int]] = []
    found = list(ask_at_once(range(count), ask, at_once=at_once, progress=lambda *done: told.append(done)))
    assert found == [item * item for item in range(count)]
    assert ask.most <= at_once
    assert sorted(ask.begun) == list(range(count))
    assert told == sorted(told) and told[-1:] == ([(count, count)] if count else [])


def test_so_many_are_really_under_way() -> None:
    gate = threading.Barrier(8, timeout=30)
    assert list(ask_at_once(range(8), lambda _: gate.wait() >= 0, at_once=8, progress=nothing)) == [True] * 8


def test_a_slow_item_holds_the_others_back_before_memory_fills() -> None:
    release, ask = threading.Event(), Counted()

    def slow(item: int) -> int:
        if item == 0:
            release.wait(30)
        return ask(item)

    results = ask_at_once(range(100), slow, at_once=4, progress=nothing)
    first: list[int] = []
    taker = threading.Thread(target=lambda: first.append(next(results)))
    taker.start()
    deadline = time.monotonic() + 30
    while len(ask.done) < 7 and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(0.05)
    assert sorted(ask.done) == list(range(1, 8))
    release.set()
    taker.join()
    assert first + list(results) == [item * item for item in range(100)]


@pytest.mark.parametrize("at_once", [1, 4])
def test_an_error_comes_in_its_turn_and_nothing_more_is_begun(at_once: int) -> None:
    ask = Counted()

    def failing(item: int) -> int:
        if item == 5:
            raise ValueError("five")
        time.sleep(0.01 if item == 3 else 0)
        return ask(item)

    found = []
    with pytest.raises(ValueError, match="five"):
        for result in ask_at_once(range(1000), failing, at_once=at_once, progress=nothing):
            found.append(result)
    assert found == [0, 1, 4, 9, 16]
    begun = len(ask.begun)
    assert begun <= 5 + 2 * at_once
    time.sleep(0.05)
    assert len(ask.begun) == begun


def test_closing_it_waits_for_what_is_under_way_and_begins_nothing() -> None:
    ask = Counted(lambda _: 0.02)
    results = ask_at_once(range(1000), ask, at_once=4, progress=nothing)
    assert next(results) == 0
    results.close()
    assert sorted(ask.begun) == sorted(ask.done)
    begun = len(ask.begun)
    time.sleep(0.1)
    assert len(ask.begun) == begun < 20


def test_an_interruption_of_the_caller_waits_for_what_is_under_way() -> None:
    ask = Counted(lambda _: 0.02)

    def interrupted(done: int, _: int) -> None:
        if done >= 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(ask_at_once(range(1000), ask, at_once=4, progress=interrupted))
    assert sorted(ask.begun) == sorted(ask.done)
    assert len(ask.begun) < 20


def test_no_thread_is_left_and_each_has_the_callers_context() -> None:
    name: ContextVar[str] = ContextVar("name")
    name.set("caller's")
    before = threading.active_count()
    assert list(ask_at_once(range(9), lambda _: name.get(), at_once=3, progress=nothing)) == ["caller's"] * 9
    deadline = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.001)
    assert threading.active_count() == before


@pytest.mark.parametrize(
    ("model", "most"), [("local/smollm2-135m-instruct", 1), ("fake/chat", 8), ("openai/gpt-4o-mini", 8)]
)
def test_a_model_of_this_process_is_asked_one_at_a_time(model: str, most: int) -> None:
    chat = load_chat(model=model, temperature=0, max_tokens=8, context_tokens=512, timeout_seconds=5, retries=0, seed=1)
    assert most_at_once(chat, 8) == most
