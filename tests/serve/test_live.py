"""What is in service, followed: no request fails by a change, and what was replaced is closed once it is not used."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from components.errors import TerminalError, TransientError
from components.serve.desk import Opened
from components.serve.live import InService


@dataclass
class Closing(Opened):
    """Tells when it is closed, and whether it was used afterwards. Its end takes until `may_end`."""

    closed: threading.Event = field(default_factory=threading.Event)
    may_end: threading.Event = field(default_factory=threading.Event)

    def close(self) -> None:
        assert not self.closed.is_set()
        self.may_end.wait(10)
        self.closed.set()


class World:
    """What is in service, as the disk would say."""

    def __init__(self) -> None:
        self.name = "one"
        self.made: list[Closing] = []
        self.fault: Exception | None = None
        self.look_fault: Exception | None = None
        self.opening: Callable[[], object] = lambda: None
        self.ends_at_once = True

    def look(self) -> str:
        if self.look_fault:
            raise self.look_fault
        return self.name

    def open_now(self, before: Opened | None) -> Opened:
        self.opening()
        if self.fault:
            raise self.fault
        assert before is None or before is self.made[-1]
        self.made.append(Closing(partner=cast(Any, None), release=self.name, index="i"))
        if self.ends_at_once:
            self.made[-1].may_end.set()
        return self.made[-1]


@pytest.fixture
def world() -> World:
    return World()


def live(world: World, *, seconds: float = 60.0) -> InService:
    return InService(look=world.look, open_now=world.open_now, look_seconds=seconds)


def until(holds: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_nothing_in_service_is_an_error_and_starts_nothing(world: World) -> None:
    world.fault = TerminalError("nothing is in service as x")
    here = live(world)
    with pytest.raises(TerminalError, match="in service as x"):
        here.start()
    with pytest.raises(TerminalError, match="nothing is in service"), here.use():
        pass
    assert not here.told()["ready"]


def test_a_change_is_followed_without_being_asked(world: World) -> None:
    here = live(world, seconds=0.01)
    here.start()
    world.name = "two"
    until(lambda: here.told()["release"] == "two")
    assert world.made[0].closed.wait(20) and not world.made[1].closed.is_set()
    here.close()
    assert world.made[1].closed.is_set() and len(world.made) == 2


def test_a_request_keeps_what_it_began_with(world: World) -> None:
    here = live(world)
    here.start()
    with here.use() as old:
        world.name = "two"
        assert here.look()
        assert old.release == "one" and not world.made[0].closed.is_set()
        with here.use() as new:
            assert new.release == "two"
    assert world.made[0].closed.wait(20)
    here.close()


@pytest.mark.parametrize("last", ["a request", "the change"])
def test_nobody_waits_for_the_end_of_what_was_in_service_but_the_end_of_all(world: World, last: str) -> None:
    world.ends_at_once = False
    here = live(world)
    here.start()
    one = world.made[0]
    if last == "a request":
        with here.use():
            world.name = "two"
            assert here.look()
    else:
        world.name = "two"
        assert here.look()
    assert not one.closed.is_set(), "whoever was last has gone on"
    with here.use() as opened:  # as /health looks at it, in the event loop
        assert opened.release == here.told()["release"] == "two"
    world.made[1].may_end.set()
    closing = threading.Thread(target=here.close)
    closing.start()
    assert world.made[1].closed.wait(20)
    closing.join(0.2)
    assert closing.is_alive() and not one.closed.is_set(), "nothing is left behind"
    one.may_end.set()
    closing.join(20)
    assert not closing.is_alive() and one.closed.is_set()


def test_no_more_than_two_are_open_at_once(world: World) -> None:
    world.ends_at_once = False
    here = live(world)
    here.start()
    world.name = "two"
    assert here.look()
    world.name = "three"
    following = threading.Thread(target=here.look)
    following.start()
    following.join(0.2)
    assert following.is_alive() and len(world.made) == 2, "the first one is not gone yet"
    with here.use() as opened:
        assert opened.release == "two", "questions go on meanwhile"
    world.made[0].may_end.set()
    following.join(20)
    assert here.told()["release"] == "three" and world.made[0].closed.is_set()
    for made in world.made[1:]:
        made.may_end.set()
    here.close()


def test_what_is_let_go_of_after_the_end_is_waited_for_by_the_program(world: World) -> None:
    world.ends_at_once = False
    here = live(world)
    here.start()
    with here.use():
        here.close()
    [letting_go] = [one for one in threading.enumerate() if one.name == "out of service"]
    assert not letting_go.daemon and not world.made[0].closed.is_set()
    world.made[0].may_end.set()
    letting_go.join(20)
    assert world.made[0].closed.is_set()


def test_where_there_are_no_more_threads_it_is_closed_all_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = live(world)
    here.start()
    world.name = "two"

    def none(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", none)
        assert here.look() and world.made[0].closed.is_set()
    here.close()


@pytest.mark.parametrize("fault", [TerminalError("the adapter is gone"), OSError("no space")], ids=["terminal", "os"])
def test_what_cannot_be_opened_is_not_taken_and_told_once(world: World, fault: Exception, caplog: Any) -> None:
    here = live(world)
    here.start()
    world.name, world.fault = "broken", fault
    for _ in range(3):
        assert not here.look()
    told = here.told()
    assert told["ready"] and told["release"] == "one" and str(fault) in told["fault"]
    assert sum("cannot be opened" in line.message for line in caplog.records) == 1
    world.name = "three"
    world.fault = None
    assert here.look() and here.told()["fault"] is None and here.told()["release"] == "three"
    here.close()


def test_a_fault_that_may_pass_is_tried_again_and_one_that_stays_is_not(world: World) -> None:
    here = live(world)
    here.start()
    world.name, world.fault = "two", TransientError("locked")
    assert not here.look()
    world.fault = None
    assert here.look()
    world.name, world.fault = "bad", TerminalError("no such model")
    assert not here.look()
    world.fault = None
    assert not here.look()  # the same mark is not opened again at once
    world.name = "two"
    assert not here.look() and here.told()["fault"] is None  # a rollback to what is in service
    here.close()


def test_what_cannot_be_opened_is_tried_again_after_a_while(
    world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = live(world)
    here.start()
    world.name, world.fault = "two", TerminalError("there was no memory for it")
    assert not here.look()
    monkeypatch.setattr("components.serve.live._AGAIN_SECONDS", 0.0)
    assert not here.look() and "no memory" in here.told()["fault"]
    assert sum("cannot be opened" in line.message for line in caplog.records) == 1, "told once"
    world.fault = None
    assert here.look() and here.told()["release"] == "two" and here.told()["fault"] is None
    here.close()


@pytest.mark.parametrize("before", ["one that cannot be opened", "one that may pass", "a record that cannot be read"])
def test_while_another_is_opened_the_fault_of_the_one_before_is_not_told(world: World, before: str) -> None:
    here = live(world)
    here.start()
    if before == "a record that cannot be read":
        world.look_fault = OSError("the disk is away")
    else:
        world.name = "bad"
        world.fault = TransientError("locked") if "pass" in before else TerminalError("no such model")
    assert not here.look() and here.told()["fault"]
    told: list[object] = []
    world.name, world.fault, world.look_fault = "two", None, None
    world.opening = lambda: told.append(here.told()["fault"])
    assert here.look() and told == [None]
    world.name, world.fault = "three", TransientError("locked")
    for _ in range(2):
        assert not here.look()
    assert told[1] is None and "locked" in str(told[2]), "the same one is tried again: its fault stays"
    here.close()


def test_a_fault_that_nobody_foresaw_is_told_and_its_traceback_logged_once(world: World, caplog: Any) -> None:
    here = live(world)
    here.start()
    world.name, world.fault = "odd", KeyError("base_model")
    for _ in range(3):
        assert not here.look()
    assert here.told()["fault"] == "KeyError: 'base_model'" and here.told()["release"] == "one"
    assert [bool(line.exc_info) for line in caplog.records] == [True]
    world.fault = None
    assert not here.look(), "the same mark is not opened again"
    world.name = "two"
    assert here.look() and here.told()["fault"] is None
    world.look_fault = KeyError("digest")
    for _ in range(2):
        assert not here.look()
    assert here.told()["fault"] and len(caplog.records) == 2
    with pytest.raises(KeyError):
        here.look(strict=True)
    here.close()


def test_a_record_that_cannot_be_read_changes_nothing(world: World) -> None:
    here = live(world)
    here.start()
    world.look_fault = OSError("the disk is away")
    assert not here.look() and "the disk is away" in here.told()["fault"]
    with here.use() as opened:
        assert opened.release == "one"
    here.close()


def test_many_changes_under_load_lose_no_request_and_close_each_once(world: World) -> None:
    here = live(world)
    here.start()
    ended, faults = threading.Event(), []

    def ask() -> None:
        while not ended.is_set():
            with here.use() as opened:
                time.sleep(0.0002)
                if cast(Closing, opened).closed.is_set():
                    faults.append(opened.release)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for number in range(100):
        world.name = f"r{number}"
        assert here.look()
    ended.set()
    for thread in threads:
        thread.join()
    here.close()
    assert not faults
    assert len(world.made) == 101 and all(one.closed.is_set() for one in world.made)
    assert here.told()["changes"] == 100
