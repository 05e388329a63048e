"""Which of several candidates is best, and whether one can tell."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.registry.compare import Candidate, best_of, comparison_markdown, is_clear, render_comparison


def scored(name: str, verdict: str, mrr: float | None, low: float | None = None, **others: float) -> Candidate:
    metrics = {"mrr": {"value": mrr, "low": low, "high": None, "n": 9}}
    metrics |= {key: {"value": value, "low": None, "high": None, "n": 9} for key, value in others.items()}
    return Candidate(name, verdict, metrics)


FAILED = Candidate("c", error="no golden questions")


@pytest.mark.parametrize(
    ("candidates", "best"),
    [
        ([scored("a", "NO-GO", 0.9), scored("b", "GO", 0.5)], 1),
        ([scored("a", "NO-GO", 0.9), scored("b", "INCONCLUSIVE", 0.1)], 1),
        ([scored("a", "GO", 0.5), scored("b", "GO", 0.6)], 1),
        ([scored("a", "GO", 0.5, recall_at_5=0.7), scored("b", "GO", 0.5, recall_at_5=0.8)], 1),
        ([scored("a", "GO", 0.5, latency_p95_seconds=3), scored("b", "GO", 0.5, latency_p95_seconds=2)], 1),
        ([scored("a", "GO", 0.5), scored("b", "GO", 0.5)], 0),
        ([scored("a", "GO", None), scored("b", "GO", 0.0)], 1),
        ([FAILED, scored("b", "NO-GO", 0.0)], 1),
        ([FAILED, FAILED], None),
        ([], None),
    ],
)
def test_best_by_the_stated_criterion(candidates: list[Candidate], best: int | None) -> None:
    assert best_of(candidates) == best


def test_a_narrow_best_is_called_narrow() -> None:
    narrow = [scored("a", "GO", 0.6, 0.4), scored("b", "GO", 0.5, 0.3)]
    clear = [scored("a", "GO", 0.9, 0.8), scored("b", "GO", 0.5, 0.3)]
    assert (is_clear(narrow), is_clear(clear)) == (False, True)
    assert "Not by much" in render_comparison(narrow)
    assert "Not by much" not in render_comparison(clear)
    assert is_clear([scored("a", "GO", 0.6, 0.1), scored("b", "NO-GO", 0.6, 0.1)])  # the gate told them apart


def test_the_table_names_failures_and_marks_the_best() -> None:
    text = render_comparison([scored("k=5", "GO", 0.5), FAILED])
    assert "*  k=5" in text and "no golden questions" in text and "best: k=5" in text
    assert "| * | k=5 | GO | 0.500 |" in comparison_markdown([scored("k=5", "GO", 0.5), FAILED])
    assert "none of them was scored" in render_comparison([FAILED])


@given(st.lists(st.tuples(st.sampled_from(["GO", "NO-GO", "INCONCLUSIVE"]), st.floats(0, 1)), min_size=1, max_size=8))
def test_the_best_is_none_of_the_worse(rows: list[tuple[str, float]]) -> None:
    candidates = [scored(str(number), verdict, mrr) for number, (verdict, mrr) in enumerate(rows)]
    best = best_of(candidates)
    assert best is not None
    order = ["GO", "INCONCLUSIVE", "NO-GO"]
    chosen = rows[best]
    assert all((order.index(row[0]), -row[1]) >= (order.index(chosen[0]), -chosen[1]) for row in rows)


def trained(name: str, perplexity: float, *, high: float | None, mrr: float = 0.8) -> Candidate:
    metrics = {
        "held_out_perplexity": {"value": perplexity, "low": None, "high": high, "n": 60},
        "mrr": {"value": mrr, "low": 0.7, "high": 0.9, "n": 20},
    }
    return Candidate(name, "GO", metrics)


def test_of_trained_models_the_one_that_is_least_surprised_is_best() -> None:
    found = [trained("r=8", 9.0, high=9.5, mrr=0.9), trained("r=16", 7.0, high=7.5), trained("r=32", 8.0, high=8.4)]
    assert best_of(found) == 1
    told = render_comparison(found)
    assert "held_out_perplexity" in told and "by verdict, then the lower held_out_perplexity" in told
    assert "Not by much" not in told
    narrow = render_comparison([trained("a", 7.0, high=8.2), trained("b", 8.0, high=9.0)])
    assert "More held-out examples would tell them apart" in narrow
