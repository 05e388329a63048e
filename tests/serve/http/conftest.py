"""An endpoint on loopback over a desk of the tests' own, and what its clients are."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import httpx
import pytest
from openai import OpenAI

from components.answer.answer import Answer, Source
from components.answer.partner import Asked
from components.llm.chat import Reply
from components.serve.desk import Desk, Served, Tried, Wanted
from components.serve.http.app import make_app
from components.serve.http.keys import Keys
from components.serve.http.schema import Scored
from components.serve.http.server import address_of, bind, run
from components.serve.http.work import Ended
from components.serve.params import LimitParams
from tests.waiting import soon

SOURCE = Source(
    number=1, path="note/caparra d'agosto.md", first_line=3, last_line=7, heading=("Prenotazioni", "Caparra"),
    score=0.9, cited=True, date="2025-07-01", status="current", paths=("note/caparra d'agosto.md",),
)  # fmt: skip
PIECES = ("La caparra ", "è del 30% ", "[1].")


def served(text: str = "".join(PIECES), **values: Any) -> Served:
    """An answer with one source."""
    reply = Reply(
        text=text, model="fake/own", prompt_tokens=20, completion_tokens=5, seconds=0.1, cost_usd=0.002,
        is_local=False, cached=False,
    )  # fmt: skip
    answer = Answer(text=text, sources=(SOURCE,), found=True, language="it", reply=reply, seconds=0.1)
    standard: dict[str, Any] = {
        "who": "own", "tier": "simple", "because": "short", "release": "r" * 64, "index": "i" * 64,
        "tried": (Tried("helper", "fake/helper", "it took too long", 0.5),),
    }  # fmt: skip
    return Served(asked=Asked(answer, 0.01, 0.2), **(standard | values))


@dataclass
class Answers:
    """A desk that does as its test says: gives these pieces, waits before one, raises before or after some."""

    pieces: tuple[str, ...] = PIECES
    error: BaseException | None = None
    fails_at: int = 0
    waits_at: int | None = None
    until: threading.Event = field(default_factory=threading.Event)
    beats: bool = True
    wanted: list[Wanted] = field(default_factory=list)
    begun: int = 0
    closed: int = 0

    def stream(self, wanted: Wanted) -> Iterator[str | Served]:
        self.wanted.append(wanted)
        self.begun += 1
        try:
            for place, piece in enumerate([*self.pieces, None]):
                if self.error is not None and place == self.fails_at:
                    raise self.error
                while place == self.waits_at and not self.until.wait(0.02 if self.beats else None):
                    yield ""
                if piece is not None:
                    yield piece
            wanted.bill.asked.append(Tried("own", "fake/own", "it answered", 0.2, 0.002, 0.002))
            yield served("".join(self.pieces))
        finally:
            self.closed += 1

    def ask(self, wanted: Wanted) -> Served:
        raise AssertionError("the endpoint takes streams")


@dataclass
class Endpoint:
    """An endpoint that is up."""

    url: str
    desk: Answers
    ended: list[Ended]
    scored: list[Scored]
    told: dict[str, Any]
    settle: Callable[[float], None]
    clients: list[OpenAI] = field(default_factory=list)

    def openai(self, key: str = "none", **options: Any) -> OpenAI:
        client = OpenAI(base_url=f"{self.url}/v1", api_key=key, max_retries=0, timeout=20, **options)
        self.clients.append(client)
        return client

    def post(self, path: str = "/v1/chat/completions", **options: Any) -> httpx.Response:
        return httpx.post(f"{self.url}{path}", timeout=20, **options)

    def get(self, path: str, **options: Any) -> httpx.Response:
        return httpx.get(f"{self.url}{path}", timeout=20, **options)

    def numbers(self, **options: Any) -> str:
        return self.get("/metrics", **options).text

    def is_idle(self) -> bool:
        return soon(lambda: "cervella_in_flight 0.0" in self.numbers(), seconds=120)


Opening = Callable[..., AbstractContextManager[Endpoint]]


@contextmanager
def up(
    desk: Desk, *, keys: Keys | None = None, grace: float = 2, record: Callable[[Ended], object] = lambda ended: None,
    feedback: Callable[[Scored], bool] | None = None, **limits: Any,
) -> Iterator[Endpoint]:  # fmt: skip
    """An endpoint over this desk, until the end of the block; `record` is called before an end is kept.

    `feedback`: in place of one that knows the answers that were given.
    """
    ended: list[Ended] = []
    scored: list[Scored] = []
    told = {"ready": True, "release": "r" * 64, "index": "i" * 64, "about": {"recipe": "test"}, "changes": 0,
            "fault": None}  # fmt: skip

    def score(one: Scored) -> bool:
        known = any(one.id == done.wanted.id for done in ended)
        scored.extend([one] if known else [])
        return known

    def keep(one: Ended) -> None:
        record(one)
        ended.append(one)

    app = make_app(
        desk, limits=LimitParams(**limits), keys=keys or Keys({}), model="cervella", told=lambda: told,
        record=keep, feedback=feedback or score, breakers=lambda: {"helper": "open"},
    )  # fmt: skip
    listening, until = bind("127.0.0.1", 0), threading.Event()
    thread = threading.Thread(
        target=run, args=(app, listening), kwargs={"grace_seconds": grace, "until": until}, daemon=True
    )
    thread.start()
    try:
        yield (here := Endpoint(address_of(listening), cast(Answers, desk), ended, scored, told, app.settle))
    finally:
        for client in here.clients:
            client.close()
        until.set()
        thread.join(20)
        if isinstance(desk, Answers):
            desk.until.set()
        assert not thread.is_alive()


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    """One for all tests that only ask it."""
    with up(Answers(), per_minute=100_000) as here:
        yield here
