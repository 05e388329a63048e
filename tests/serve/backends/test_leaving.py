"""Servers of the own model: what is let go of and taken again meanwhile, and what is told of one that is not up."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from components.llm.params import ChatParams
from components.serve.backends.pool import Pool
from components.serve.backends.server import Server
from components.serve.backends.vllm import Door
from components.serve.params import VllmParams
from tests.serve.backends.house import House, until

CHAT = ChatParams(max_tokens=64)


@pytest.mark.parametrize("which", ["the one that is being let go", "the next one"])
def test_no_adapter_is_unloaded_under_who_takes_it_again_meanwhile(
    house: House, workspace: Path, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    one = Server(base=house.base(), workspace=workspace, context=512, rank=16, key="k" * 40, params=VllmParams())
    adapters = {made.name: made for made in map(house.adapter, ("one", "two"))}
    unload, faults = Door.unload, list[str]()
    taken: list[tuple[str, threading.Thread]] = []

    def between(door: Door, name: str) -> None:
        """What happens between the look at what is held and the end of what is not."""
        if not taken:
            [other] = adapters.keys() - {name}
            again = name if which == "the one that is being let go" else other
            taken.append((again, threading.Thread(target=one.hold, args=(adapters[again],))))
            taken[0][1].start()
            taken[0][1].join(0.5)  # it has looked whether it is there by then
        again, taking = taken[0]
        if name == again and not taking.is_alive():
            faults.append(f"{name} is unloaded under who holds it")
        unload(door, name)

    one.start()
    try:
        one.wait(say=print)
        for adapter in adapters.values():
            one.hold(adapter)
        monkeypatch.setattr(Door, "unload", between)
        with one._lock:
            one._held.clear()  # both at once
        until(lambda: taken)
        again, taking = taken[0]
        taking.join(60)
        assert one.is_up(adapters[again]) and again in one.door.models()
        until(lambda: one.door.models() == {"base", again})
        assert faults == [] and one.is_up(adapters[again])
    finally:
        one.close()


def test_the_end_of_all_waits_for_one_that_is_being_ended(
    pool: Pool, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, ends, may_end = pool.take(house.base(), None, chat=CHAT), threading.Event(), threading.Event()
    end = Server.end

    def slowly(one: Server) -> None:
        ends.set()
        may_end.wait(20)
        end(one)

    monkeypatch.setattr(Server, "end", slowly)
    leaving, closing = threading.Thread(target=held.close), threading.Thread(target=pool.close)
    leaving.start()
    assert ends.wait(20)
    assert pool.told() == [], "nobody takes it any more"
    closing.start()
    closing.join(0.2)
    assert closing.is_alive()
    may_end.set()
    closing.join(20)
    leaving.join(20)
    assert not closing.is_alive() and not house.left()


def test_why_it_is_not_up_is_told_without_a_path_and_logged_whole(
    house: House, workspace: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one = Server(base=house.base(), workspace=workspace, context=512, rank=16, key="k" * 40, params=VllmParams())
    one.log.mkdir(parents=True)  # where its log belongs, so that it cannot be opened
    one.start()
    try:
        until(lambda: one.told()["fault"])
        until(lambda: caplog.records)
        assert one.told()["fault"] == "it cannot be started (IsADirectoryError, see the log)"
        assert str(one.log) in caplog.text and "started again" in caplog.text
        assert str(one.log) in str(one.board.ask("vllm")["fault"]), "whoever starts it is told where it is"
    finally:
        one.close()
