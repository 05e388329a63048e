"""Retrieval scores against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest

from components.errors import TerminalError
from components.evaluate import DEPTH, Question, RankedFile, rank_files, score_retrieval


def question(name: str, *gold: str, lang: str = "it", kind: str = "fact") -> Question:
    return Question(name, f"{name}?", lang, kind, gold)


def files(*paths: str) -> list[RankedFile]:
    return [RankedFile(path, (path,), 1 - n / 100, 0.9 - n / 100) for n, path in enumerate(paths)]


def test_three_questions_by_hand() -> None:
    asked = [question("one", "a"), question("two", "b", "c", kind="why"), question("three", "z", lang="en")]
    results = {
        "one": files("a", "b"),  # rank 1
        "two": files("x", "c", "y", "b"),  # ranks 2 and 4
        "three": files("x", "y"),  # not found
    }
    score = score_retrieval(asked, results)
    value = {name: measure.value for name, measure in score.metrics.items()}
    assert value["recall_at_1"] == pytest.approx(1 / 3)
    assert value["recall_at_5"] == value["recall_at_10"] == pytest.approx(2 / 3)
    assert value["mrr"] == pytest.approx((1 + 1 / 2 + 0) / 3)
    two = (1 / math.log2(3) + 1 / math.log2(5)) / (1 / math.log2(2) + 1 / math.log2(3))
    assert value["ndcg_at_10"] == pytest.approx((1 + two + 0) / 3)
    assert value["all_gold_recall_at_10"] == pytest.approx((1 + 1 + 0) / 3)
    assert [found.rank for found in score.questions] == [1, 2, None]
    assert set(score.groups) == {"lang:it", "lang:en", "kind:fact", "kind:why"}
    assert score.groups["lang:it"]["mrr"].value == pytest.approx(0.75)
    assert score.groups["lang:en"]["recall_at_5"].to_dict()["value"] == 0.0
    assert (score.groups["kind:fact"]["mrr"].n, score.metrics["mrr"].n) == (2, 3)


def test_the_json_has_the_shape_that_others_rely_on() -> None:
    data = score_retrieval([question("one", "a")], {"one": files("b", "a")}).to_dict()
    assert data["questions"] == [{"id": "one", "rank": 2, "found": ["b", "a"]}]
    assert set(data["metrics"]["mrr"]) == {"value", "low", "high", "n"}
    assert data["metrics"]["mrr"] == {"value": 0.5, "low": 0.5, "high": 0.5, "n": 1}


def test_rates_carry_wilson_and_means_a_seeded_bootstrap() -> None:
    asked = [question(str(n), "a") for n in range(20)]
    results = {str(n): files("a") if n < 19 else files("x", "a") for n in range(20)}
    once = score_retrieval(asked, results, seed=5)
    recall = once.metrics["recall_at_1"]
    assert (recall.low, recall.high) == (pytest.approx(0.764, abs=5e-4), pytest.approx(0.991, abs=5e-4))
    assert once == score_retrieval(asked, results, seed=5)
    assert once.metrics["mrr"].low < once.metrics["mrr"].value == pytest.approx(0.975)


def test_all_names_of_a_note_are_one_file() -> None:
    copy = RankedFile("archive/a.md", ("archive/a.md", "a.md"))
    score = score_retrieval([question("q", "a.md")], {"q": [*files("x"), copy, *files("y")]})
    assert score.questions[0].rank == 2
    assert score.questions[0].found == ("x", "a.md", "y")
    assert score.metrics["ndcg_at_10"].value == pytest.approx(1 / math.log2(3))


def test_two_gold_names_of_one_note_count_once() -> None:
    both = question("q", "a.md", "archive/a.md")
    found = score_retrieval([both], {"q": [RankedFile("a.md", ("a.md", "archive/a.md"))]})
    assert found.metrics["ndcg_at_10"].value == found.metrics["all_gold_recall_at_10"].value == 1.0


def test_a_file_that_comes_twice_takes_one_place() -> None:
    score = score_retrieval([question("q", "a")], {"q": files("x", "x", "y", "x", "a")})
    assert score.questions[0].rank == 3


@pytest.mark.parametrize(("place", "rank"), [(DEPTH, DEPTH), (DEPTH + 1, None)], ids=["the last", "one below"])
def test_below_the_depth_there_is_no_rank(place: int, rank: int | None) -> None:
    names = [f"x{n}" for n in range(place - 1)] + ["a"]
    score = score_retrieval([question("q", "a")], {"q": files(*names)})
    assert score.questions[0].rank == rank
    assert len(score.questions[0].found) == DEPTH


def test_unanswerable_questions_stand_apart() -> None:
    asked = [question("yes", "a"), question("no"), question("none")]
    results = {"yes": files("a"), "no": [RankedFile("x", (), 0.5, 0.2)], "none": []}
    score = score_retrieval(asked, results, min_cosine=0.3)
    assert score.metrics["mrr"].n == 1
    assert [found.id for found in score.questions] == ["yes"]
    assert score.unanswerable["n"] == 2
    assert score.unanswerable["best_cosine"] == {"min": 0.2, "p25": 0.2, "median": 0.2, "p75": 0.2, "max": 0.2}
    assert score.unanswerable["refused"]["value"] == 1.0
    assert score.unanswerable["wrongly_refused"]["value"] == 0.0
    assert score_retrieval(asked, results).unanswerable["refused"] is None


def test_only_unanswerable_questions_give_unknown_scores_not_zero() -> None:
    score = score_retrieval([question("no")], {"no": []})
    assert {measure.value for measure in score.metrics.values()} == {None}


def test_a_question_without_results_is_an_error_not_a_zero() -> None:
    with pytest.raises(TerminalError, match="without: two"):
        score_retrieval([question("one", "a"), question("two", "b")], {"one": []})
    with pytest.raises(TerminalError, match="ids repeat"):
        score_retrieval([question("one", "a"), question("one", "b")], {"one": []})


def test_chunks_become_files_at_their_best_chunk() -> None:
    chunks = [("a", ["a", "b"], 0.9, 0.5), ("c", [], 0.8, None), ("a", ["a", "b"], 0.7, 0.6), ("c", [], 0.1, 0.4)]
    assert rank_files(chunks) == [RankedFile("a", ("a", "b"), 0.9, 0.6), RankedFile("c", ("c",), 0.8, 0.4)]
    assert len(rank_files([(str(n), [], 0.1, None) for n in range(80)])) == DEPTH
