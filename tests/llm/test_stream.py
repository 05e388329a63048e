"""Answers in pieces: the same as in one piece, ended when nobody wants them, paid for and cached as they should be."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.errors import TerminalError, TransientError
from components.llm import Budget, Chat, Reply, load_chat

HELLO: Any = [{"role": "system", "content": "You are brief."}, {"role": "user", "content": "Name three fruits."}]


def fake(options: str = "reply=uno due  tre\nquattro", **changes: Any) -> Chat:
    return load_chat(**{
        "model": f"fake/chat?{options}", "temperature": 0.0, "max_tokens": 50, "context_tokens": 1024,
        "timeout_seconds": 20.0, "retries": 0, "seed": 13, **changes,
    })  # fmt: skip


def smol(**changes: Any) -> Chat:
    return load_chat(**{
        "model": "local/smollm2-135m-instruct", "temperature": 0.0, "max_tokens": 12, "context_tokens": 1024,
        "timeout_seconds": 120.0, "retries": 0, "seed": 13, **changes,
    })  # fmt: skip


def taken(chat: Chat, **changes: Any) -> tuple[list[str], Reply]:
    *pieces, reply = chat.stream(HELLO, local_notes=(), **changes)
    assert isinstance(reply, Reply)
    return pieces, reply


def same(one: Reply, other: Reply) -> bool:
    def told(reply: Reply) -> tuple[Any, ...]:
        return (
            reply.text,
            reply.model,
            reply.prompt_tokens,
            reply.completion_tokens,
            reply.finish_reason,
            reply.cost_usd,
        )

    return told(one) == told(other)


@pytest.mark.parametrize(
    "options", ["reply=uno due  tre\nquattro", "reply=  uno \n", "mode=echo", "reply=uno&cost=0.5"]
)
@pytest.mark.parametrize("max_tokens", [None, 2])
def test_the_pieces_are_the_answer(options: str, max_tokens: int | None) -> None:
    pieces, reply = taken(fake(options), max_tokens=max_tokens)
    assert "".join(pieces) == reply.text
    assert same(reply, fake(options).chat(HELLO, max_tokens=max_tokens, local_notes=()))


def test_the_real_model_says_the_same_in_pieces() -> None:
    whole = smol().chat(HELLO, local_notes=())
    pieces, reply = taken(smol())
    assert len(pieces) > 3 and "".join(pieces) == reply.text
    assert same(reply, whole)


def test_who_made_it_elsewhere_knows_how_long_it_took(monkeypatch: pytest.MonkeyPatch) -> None:
    chat = fake("reply=uno due")
    raw = chat._backend.complete(HELLO, max_tokens=9)  # type: ignore[attr-defined]
    made = replace(raw, seconds=123.0)
    monkeypatch.setattr(chat._backend, "stream", lambda *_, **__: (item for item in (raw.text, made)))  # type: ignore[attr-defined]
    monkeypatch.setattr(chat._backend, "complete", lambda *_, **__: made)  # type: ignore[attr-defined]
    assert taken(chat)[1].seconds == chat.chat(HELLO, local_notes=()).seconds == 123.0


def test_a_cached_answer_comes_at_once_and_either_way_fills_the_cache(tmp_path: Path) -> None:
    chat = fake(cache=tmp_path / "responses.sqlite")
    pieces, first = taken(chat)
    assert len(pieces) == 4 and not first.cached
    again, kept = taken(chat)
    assert again == [first.text] and kept.cached and kept.cost_usd == 0.0
    assert chat.chat(HELLO, local_notes=()).cached
    other = fake("reply=altro", cache=tmp_path / "responses.sqlite")
    other.chat(HELLO, local_notes=())
    assert taken(other)[1].cached


def test_what_is_closed_early_is_charged_and_not_cached(tmp_path: Path) -> None:
    budget = Budget(per_run_usd=1.0, per_query_usd=1.0)
    chat = fake("reply=uno due tre&cost=0.25", budget=budget, cache=tmp_path / "responses.sqlite")
    stream = chat.stream(HELLO, local_notes=())
    assert next(stream) == "uno"
    assert budget.spent_usd == 0.0
    stream.close()
    assert budget.spent_usd == 0.25
    assert not taken(chat)[1].cached
    assert budget.spent_usd == 0.5


def test_the_budget_refuses_before_the_first_piece() -> None:
    chat = fake("reply=uno&cost=0.25", budget=Budget(per_run_usd=0.2, per_query_usd=1.0))
    with pytest.raises(TerminalError, match="per_run_usd"):
        next(chat.stream(HELLO, local_notes=()))


def test_local_notes_are_refused_before_anything_is_sent() -> None:
    chat = load_chat(
        model="openai/gpt-4o-mini", temperature=0, max_tokens=5, context_tokens=99, timeout_seconds=1, retries=0, seed=1
    )
    with pytest.raises(TerminalError, match="must not leave"):
        next(chat.stream(HELLO, local_notes=["a.md"]))


def test_before_the_first_piece_it_is_tried_again_and_after_it_is_not() -> None:
    pieces, reply = taken(fake("reply=uno due&fail_prob=0.7&seed=3", retries=30))
    assert "".join(pieces) == "uno due" and reply.tries > 1
    budget = Budget(per_run_usd=1.0, per_query_usd=1.0)
    stream = fake("reply=uno due&break_at=2&cost=0.25", retries=30, budget=budget).stream(HELLO, local_notes=())
    assert next(stream) == "uno"
    with pytest.raises(TransientError, match="at its piece 2"):
        next(stream)
    assert budget.spent_usd == 0.25, "who broke off has worked"
    with pytest.raises(TransientError, match="at its piece 1"):
        taken(fake("reply=uno due&break_at=1", retries=1))


def test_while_nothing_comes_there_is_a_beat_to_be_closed_at() -> None:
    assert "" in taken(fake("reply=uno due&delay=0.1"), beat_seconds=0.02)[0]
    assert "" not in taken(fake("reply=uno due&delay=0.1"))[0]


def test_the_real_model_stops_when_the_stream_is_closed() -> None:
    smol().chat(HELLO, max_tokens=1, local_notes=())
    stream = smol(max_tokens=900).stream(HELLO, local_notes=())
    next(stream)
    started = time.perf_counter()
    stream.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "local/smollm2-135m-instruct"]
    after = smol().chat(HELLO, max_tokens=1, local_notes=())
    assert after.completion_tokens == 1 and time.perf_counter() - started < 15


def test_who_waits_for_the_real_model_can_give_up_waiting() -> None:
    first = smol(max_tokens=900).stream(HELLO, local_notes=())
    next(first)
    waiting = smol().stream(HELLO, local_notes=(), beat_seconds=0.05)
    assert next(waiting) == ""
    waiting.close()
    first.close()
    assert smol().chat(HELLO, max_tokens=1, local_notes=()).completion_tokens == 1


def test_the_real_model_is_late_in_pieces_too() -> None:
    smol().chat(HELLO, max_tokens=1, local_notes=())
    with pytest.raises(TransientError, match="timeout_seconds"):
        list(smol(max_tokens=900, timeout_seconds=0.2).stream(HELLO, local_notes=()))
