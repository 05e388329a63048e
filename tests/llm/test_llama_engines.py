"""A model is loaded once, whoever asks for it, and the loading of one keeps nobody from another."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from components.errors import TerminalError
from components.llm.llama_engines import Engine, Engines


def test_who_loads_one_keeps_nobody_from_another_and_one_is_loaded_once() -> None:
    loads: list[str] = []
    hangs, begun = threading.Event(), threading.Event()

    def load(key: str) -> Engine:
        loads.append(key)
        if key == "slow":
            begun.set()
            assert hangs.wait(60)
        return Engine(key)

    engines = Engines(load, keep=2)
    with ThreadPoolExecutor() as pool:
        slow = [pool.submit(engines.get, "slow") for _ in range(3)]
        assert begun.wait(60)
        try:
            quick = pool.submit(engines.get, "quick").result(60)
            assert engines.get("quick") is quick and not any(one.done() for one in slow)
        finally:
            hangs.set()
        assert len({one.result(60) for one in slow}) == 1
    assert loads == ["slow", "quick"]


def test_what_could_not_be_loaded_is_tried_again() -> None:
    faults = [TerminalError("no memory")]

    def load(key: str) -> Engine:
        if faults:
            raise faults.pop()
        return Engine(key)

    engines = Engines(load, keep=1)
    with pytest.raises(TerminalError, match="no memory"):
        engines.get("a")
    assert engines.get("a") is engines.get("a")


def test_the_last_ones_stay_and_what_somebody_holds() -> None:
    engines = Engines(Engine, keep=2)
    held = engines.get("a")
    for key in "bcdb":
        engines.get(key)
    assert len(engines) == 3 and engines.get("a") is held
    del held
    for key in "bc":
        engines.get(key)
    assert len(engines) == 2
