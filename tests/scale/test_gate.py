"""The gate of phase scale: limits are shown or not; against what is in service only what is clearly worse is a no."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from scipy.stats import binomtest

from components.registry import GateReport
from components.scale.answers import Answered, Side
from components.scale.gate import clearly_worse, decide
from components.scale.params import ScaleParams
from tests.registry.conftest import gate_report

OWN = gate_report("GO", why="as it is")


def rows(n: int, *, side: Side = "candidate", errors: int = 0, slow: int = 0, cited: int = 0, **values: Any) -> Any:
    """`errors` of `n` without an answer, then `slow` of 9 s; the first `cited` of the answers name a note."""
    found = []
    for number in range(n):
        if number < errors:
            found.append(Answered(f"q{number}", side, "asked", error="TransientError"))
            continue
        told = {"seconds": 9.0 if number < errors + slow else 0.5, "cost_usd": 0.001, "found": True, **values}
        found.append(Answered(f"q{number}", side, "asked", cited=int(number - errors < cited), **told))
    return found


def decided(answers: Any, *, own: GateReport = OWN, **params: Any) -> tuple[str, dict[str, Any]]:
    report = decide(ScaleParams(**params), own=own, run="r", answers=answers, samples=100, seed=1)
    return report.verdict, {one.name: one for one in report.criteria}


def test_eighty_good_answers_are_go_and_alone_nothing_is_compared() -> None:
    verdict, found = decided(rows(80))
    assert verdict == "GO" and list(found) == ["own_gate", "errors", "latency_p95_seconds", "cost_per_query_usd"]


@pytest.mark.parametrize(
    ("answers", "name", "verdict"),
    [
        (rows(80, errors=20), "errors", "NO-GO"),
        (rows(20), "errors", "INCONCLUSIVE"),
        (rows(20), "latency_p95_seconds", "INCONCLUSIVE"),
        (rows(80, slow=20), "latency_p95_seconds", "NO-GO"),
        (rows(80, slow=4), "latency_p95_seconds", "INCONCLUSIVE"),
        (rows(80, cost_usd=0.5), "cost_per_query_usd", "NO-GO"),
        (rows(80, cost_usd=None), "cost_per_query_usd", "INCONCLUSIVE"),
        (rows(80, errors=80), "errors", "NO-GO"),
    ],
    ids=["errors", "too few for errors", "too few for p95", "slow", "slow perhaps", "dear", "no price", "no answer"],
)
def test_what_is_not_shown_is_no_go_or_inconclusive(answers: Any, name: str, verdict: str) -> None:
    whole, found = decided(answers)
    assert found[name].verdict == verdict and whole != "GO" and found[name].reason


def test_too_few_say_how_many_it_takes() -> None:
    found = decided(rows(20))[1]
    assert (found["errors"].needed, found["latency_p95_seconds"].needed) == (73, 72)


@pytest.mark.parametrize("verdict", ["NO-GO", "INCONCLUSIVE"])
def test_the_candidates_own_gate_counts_unless_a_person_gives_a_reason(verdict: Any) -> None:
    own = gate_report(verdict, why="as it is")
    whole, found = decided(rows(80), own=own)
    assert whole == verdict and f"says {verdict}: recall_at_5 {verdict}" in found["own_gate"].reason
    whole, found = decided(rows(80), own=own, force="measured by hand")
    assert whole == "GO" and "scale.force: measured by hand" in found["own_gate"].reason


def test_clearly_fewer_answers_with_sources_are_no_go_and_a_few_fewer_are_not() -> None:
    champion = rows(80, side="champion", cited=40)
    verdict, found = decided([*rows(80, cited=20), *champion])
    assert verdict == "NO-GO" and found["answers_with_sources"].threshold == 0.5
    assert "the other way round 20 times; clearly worse" in found["answers_with_sources"].reason
    assert decided([*rows(80, cited=37), *champion])[0] == "GO"
    assert decided([*rows(80, cited=60), *champion])[0] == "GO"


@pytest.mark.parametrize(
    ("errors", "n", "says"),
    [
        (20, 80, "the release in service has no answer to 20 of 80 questions"),
        (80, 80, "no answer to 80 of 80"),
        (0, 5, "has answered 5 of these questions: it takes 6 or more"),
    ],
    ids=["a quarter", "all", "too few"],
)
def test_what_is_in_service_is_no_measure_where_it_did_not_answer(errors: int, n: int, says: str) -> None:
    champion = rows(n, side="champion", errors=errors, cited=n)
    verdict, found = decided([*rows(80), *champion])  # the candidate names no note at all
    assert (verdict, found["answers_with_sources"].verdict) == ("INCONCLUSIVE", "INCONCLUSIVE")
    assert says in found["answers_with_sources"].reason


def test_a_question_without_an_answer_of_what_is_in_service_counts_for_nobody() -> None:
    found = decided([*rows(80, cited=80), *rows(80, side="champion", errors=4, cited=76)])[1]["answers_with_sources"]
    assert (found.verdict, found.n, found.threshold) == ("GO", 76, 1.0)
    lost = decided([*rows(80, errors=4, cited=76), *rows(80, side="champion", cited=80)])[1]["answers_with_sources"]
    assert (lost.n, lost.value) == (80, 0.95)  # an error of the candidate's own is an answer without a source


def test_only_questions_that_both_were_asked_are_held_against_each_other() -> None:
    champion = [Answered(f"other{number}", "champion", "ab", found=True, cited=1) for number in range(50)]
    assert "answers_with_sources" not in decided([*rows(80), *champion])[1]


def test_mcnemar_is_the_exact_binomial_test() -> None:
    for mine in range(12):
        for other in range(12):
            wanted = mine < other and binomtest(mine, mine + other, 0.5).pvalue <= 0.05
            assert clearly_worse(mine, other) == wanted, (mine, other)


def judged(outcomes: str, *, distrust: str | None = None, **values: Any) -> Any:
    """The criterion of these outcomes: c the candidate, o the other, t a tie, - no verdict."""
    of = {"c": "candidate", "o": "champion", "t": "tie", "-": None}
    mine = [replace(row, preferred=of[one]) for row, one in zip(rows(len(outcomes)), outcomes, strict=True)]
    both = [*mine, *rows(len(outcomes), side="champion")]
    report = decide(
        ScaleParams(judge=True), own=OWN, run="r", answers=both, samples=100, seed=1, distrust=distrust, **values
    )
    return next(one for one in report.criteria if one.name == "preferred")


@pytest.mark.parametrize(
    ("outcomes", "verdict", "value"),
    [
        ("oooooo" + "t" * 14, "NO-GO", 0.35), ("ooooo" + "t" * 15, "GO", 0.375), ("cc" + "o" * 12, "NO-GO", 1 / 7),
        ("t" * 20, "GO", 0.5), ("c" * 19 + "-", "GO", 1.0), ("c" * 18 + "--", "INCONCLUSIVE", 1.0),
        ("ccccc", "INCONCLUSIVE", 1.0),
    ],
    ids=["six of six", "five of five", "two of fourteen", "ties", "one unread", "a tenth unread", "too few"],
)  # fmt: skip
def test_what_the_judge_prefers_is_no_go_where_it_is_clearly_the_other(
    outcomes: str, verdict: str, value: float
) -> None:
    found = judged(outcomes)
    assert found.verdict == verdict and found.value == pytest.approx(value)


def test_a_judge_that_is_not_trusted_decides_nothing() -> None:
    found = judged("o" * 20, distrust="the judge's word does not count: nobody has checked it")
    assert found.verdict == "INCONCLUSIVE" and "nobody has checked it" in found.reason


def test_what_an_endpoint_has_recorded_is_not_waited_for_by_the_judge() -> None:
    both = [
        *(replace(row, preferred="candidate") for row in rows(6)), *rows(6, side="champion"),
        *(replace(row, origin="shadow") for row in [*rows(50), *rows(50, side="champion")]),
    ]  # fmt: skip
    report = decide(ScaleParams(judge=True), own=OWN, run="r", answers=both, samples=100, seed=1)
    found = next(one for one in report.criteria if one.name == "preferred")
    assert (found.verdict, found.n) == ("GO", 6)
