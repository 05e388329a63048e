from __future__ import annotations

import threading

import pytest

from components.errors import TerminalError
from components.llm import Budget, load_chat


def spend(budget: Budget, estimate: float | None, real: float | None) -> None:
    with budget.reserve(estimate, what="a call") as money:
        money.settle(real)


def test_refuses_what_would_go_over() -> None:
    budget = Budget(per_run_usd=1.0, per_query_usd=0.5)
    spend(budget, 0.9, 0.3)
    assert budget.spent_usd == pytest.approx(0.3)
    with pytest.raises(TerminalError, match=r"llm\.budget\.per_run_usd"):
        spend(budget, 0.71, 0.1)
    assert budget.spent_usd == pytest.approx(0.3)


def test_each_query_has_its_own_limit() -> None:
    budget = Budget(per_run_usd=10.0, per_query_usd=0.5)
    for _ in range(3):
        with budget.query():
            spend(budget, 0.3, 0.3)
            with pytest.raises(TerminalError, match="per_query_usd"):
                spend(budget, 0.3, 0.3)
    spend(budget, 3.0, 3.0)
    assert budget.spent_usd == pytest.approx(3.9)


def test_failed_call_is_not_charged_and_frees_its_money() -> None:
    budget = Budget(per_run_usd=1.0, per_query_usd=1.0)
    for _ in range(5):
        with pytest.raises(ValueError, match="no"), budget.reserve(0.9, what="a call"):
            raise ValueError("no")
    assert budget.spent_usd == 0.0


def test_unknown_price_is_allowed_and_counted() -> None:
    budget = Budget(per_run_usd=0.0, per_query_usd=0.0)
    spend(budget, None, None)
    assert (budget.unknown_calls, budget.spent_usd) == (1, 0.0)


def test_threads_together_do_not_go_over() -> None:
    budget = Budget(per_run_usd=1.0, per_query_usd=1.0)
    gate = threading.Barrier(20)
    refused: list[TerminalError] = []

    def work() -> None:
        gate.wait()
        try:
            with budget.reserve(0.1, what="a call") as money:
                threading.Event().wait(0.01)
                money.settle(0.1)
        except TerminalError as error:
            refused.append(error)

    threads = [threading.Thread(target=work) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert budget.spent_usd <= 1.0 + 1e-9 and len(refused) >= 10


def test_local_model_is_free_whatever_the_budget() -> None:
    budget = Budget(per_run_usd=0.0, per_query_usd=0.0)
    options = {
        "temperature": 0.0,
        "max_tokens": 5,
        "context_tokens": 99,
        "timeout_seconds": 9.0,
        "retries": 0,
        "seed": 1,
    }
    reply = load_chat(model="fake/chat", budget=budget, **options).chat(
        [{"role": "user", "content": "Ciao"}], local_notes=()
    )  # type: ignore[arg-type]
    assert (reply.cost_usd, reply.is_local, budget.spent_usd) == (0.0, True, 0.0)
    with pytest.raises(TerminalError, match="Nothing was sent"):
        load_chat(model="fake/chat?cost=0.1", budget=budget, **options).chat(
            [{"role": "user", "content": "Ciao"}], local_notes=()
        )  # type: ignore[arg-type]


def test_a_budget_of_one_question_tells_what_came_of_it_and_is_the_same_money() -> None:
    budget = Budget(per_run_usd=1.0, per_query_usd=0.5)
    one, other = budget.for_question(), budget.for_question()
    assert one.question_usd == (0.0, 0.0)
    with one.query():
        spend(budget, 0.2, 0.1)
    with one.query():
        spend(one, 0.2, None)
        with pytest.raises(TerminalError, match="per_query_usd"):
            spend(budget, 0.3, 0.3)
    assert one.question_usd == (None, pytest.approx(0.3)), "what nobody knows is charged as the most that it may be"
    assert other.question_usd == (0.0, 0.0) and budget.spent_usd == one.spent_usd == pytest.approx(0.3)


def test_models_of_one_question_share_its_limit_and_each_tells_its_own() -> None:
    before = Budget(per_run_usd=1.0, per_query_usd=0.5)
    budget = Budget(per_run_usd=1.0, per_query_usd=0.5)
    one = budget.for_question(before_usd=0.3)
    with one.query():
        spend(budget, 0.1, 0.1)
        with pytest.raises(TerminalError, match=r"\$0\.4000 of llm\.budget\.per_query_usd = \$0\.5000 is spent"):
            spend(budget, 0.2, 0.2)
    assert one.question_usd == (0.1, 0.1) and budget.spent_usd == 0.1, "what others spent is not its own"
    assert before.spent_usd == 0.0 and not budget.exhausted
