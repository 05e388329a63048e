"""Many threads on one chat model: each has its own answer, its own purse, and all share one budget and one cache."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from components.errors import TerminalError
from components.llm import Budget, counting, load_chat


def chat_with(openai: Any, *, model: str = "openai/gpt-4o-mini", **changes: Any) -> Any:
    values: dict[str, Any] = {
        "model": model, "temperature": 0.0, "max_tokens": 50, "context_tokens": 8192, "timeout_seconds": 20.0,
        "retries": 0, "seed": 13, "api_key_env": "MY_TEST_KEY", "api_base": openai.url,
    } | changes  # fmt: skip
    return load_chat(**values)


def together(work: Callable[[int], Any], count: int = 24, threads: int = 8) -> list[Any]:
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, range(count)))


def test_each_thread_has_its_own_answer_and_the_cache_keeps_it(openai: Any, tmp_path: Path) -> None:
    def answer(handler: Any, body: dict[str, Any]) -> None:
        said = openai._completion()
        said["choices"][0]["message"]["content"] = body["messages"][0]["content"]
        openai._send(handler, 200, json.dumps(said).encode())

    openai._answer = answer
    budget = Budget(per_run_usd=5, per_query_usd=1)
    chat = chat_with(openai, budget=budget, cache=tmp_path / "responses.sqlite")

    def ask(number: int) -> Any:
        with budget.query():
            return chat.chat([{"role": "user", "content": f"question {number}"}], local_notes=())

    first = together(ask)
    assert [reply.text for reply in first] == [f"question {number}" for number in range(24)]
    assert budget.spent_usd == pytest.approx(sum(reply.cost_usd for reply in first))
    again = together(ask)
    assert all(reply.cached for reply in again) and len(openai.requests) == 24
    assert [reply.text for reply in again] == [reply.text for reply in first]


def test_each_question_has_its_own_purse_whatever_the_others_spend() -> None:
    budget = Budget(per_run_usd=100, per_query_usd=0.25)
    chat = load_chat(
        model="fake/chat?cost=0.1&delay=0.002", temperature=1, max_tokens=5, context_tokens=99, timeout_seconds=5,
        retries=0, seed=1, budget=budget,
    )  # fmt: skip

    def ask(number: int) -> int:
        """Calls that one question can pay for: two of three."""
        with budget.query():
            for done in range(3):
                try:
                    chat.chat([{"role": "user", "content": f"{number} {done}"}], local_notes=())
                except TerminalError:
                    return done
        return 3

    assert together(ask) == [2] * 24
    assert budget.spent_usd == pytest.approx(4.8)


def test_tables_of_tokens_are_found_whoever_loads_them_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    import tiktoken

    places: list[str | None] = []
    gate = threading.Barrier(6, timeout=30)

    def slow(name: str) -> str:
        threading.Event().wait(0.01)
        places.append(os.environ.get("TIKTOKEN_CACHE_DIR"))
        return name

    monkeypatch.delenv("TIKTOKEN_CACHE_DIR", raising=False)
    monkeypatch.setattr(tiktoken, "get_encoding", slow)
    counting._encoding.cache_clear()

    def load(number: int) -> None:
        gate.wait()
        counting._encoding(f"table {number}")

    try:
        together(load, 6, 6)
    finally:
        counting._encoding.cache_clear()
    assert places == [str(counting._tokenizers())] * 6
    assert "TIKTOKEN_CACHE_DIR" not in os.environ
