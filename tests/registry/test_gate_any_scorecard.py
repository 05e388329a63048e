"""Whatever a scorecard holds, the gate gives a verdict, and none that is better than what it holds."""

from __future__ import annotations

import copy
import json
import math
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from components.errors import TerminalError
from components.evaluate.intervals import rate_measure
from components.registry import CRITERIA, GateParams, decide, gate_markdown, render_gate
from tests.registry.conftest import make_scorecard

GROUPS = {"lang": {"it": {"mrr": 0.5, "sounds_like_her": 0.5}}, "kind": {"fact": {"recall_at_5": 0.5}}}
THRESHOLDS = GateParams(groups=GROUPS).model_dump()
CARD = make_scorecard()
CARD["metrics"] |= {
    "train_loss": {"value": 0.4, "low": None, "high": None, "n": 540},
    "held_out_perplexity": {"value": 6.0, "low": 5.5, "high": 6.5, "n": 60},
    "perplexity_against_base": {"value": 0.5, "low": 0.4, "high": 0.6, "n": 60},
    "loss_gap": {"value": 1.3, "low": 1.2, "high": 1.4, "n": 60},
    "copied_answers": rate_measure([False] * 120).to_dict(),
}
NAMES = [rule.name for rule in CRITERIA["optimize"]]
MISSING = "missing"

odd = st.one_of(
    st.none(), st.booleans(), st.integers(), st.just(10**400), st.floats(), st.text(max_size=3),
    st.lists(st.integers(), max_size=2), st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)  # fmt: skip


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something stands in a scorecard, rows of questions and tasks aside."""
    found = [path] if path else []
    if isinstance(value, dict):
        for key, inner in value.items():
            found += paths(inner, (*path, key)) if key not in ("questions", "failures") else []
    elif isinstance(value, list):
        for place, inner in enumerate(value[:2]):
            found += paths(inner, (*path, place))
    return found


PATHS = paths(CARD)


def changed(path: tuple[Any, ...], value: Any) -> Any:
    """The scorecard with something else in a place, or nothing."""
    card = copy.deepcopy(CARD)
    inner: Any = card
    for key in path[:-1]:
        inner = inner[key]
    if value == MISSING and isinstance(inner, dict):
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return card


@pytest.mark.parametrize("phase", list(CRITERIA))
def test_the_scorecard_of_these_tests_goes(phase: str) -> None:
    assert decide(phase=phase, thresholds=THRESHOLDS, scorecard=CARD).verdict == "GO"


@settings(deadline=None, max_examples=400)
@given(st.lists(st.tuples(st.sampled_from(PATHS), st.one_of(odd, st.just(MISSING))), min_size=1, max_size=1))
@example([(("metrics", "mrr", "value"), math.nan)])
@example([(("undecided",), ["mrr"])])
@example([(("undecided",), True)])
@example([(("judge", "parts", "sounds", "failed"), None)])
@example([(("metrics", "loss_gap", "low"), 10**400)])
def test_any_scorecard_gets_a_verdict_that_can_be_shown_and_stored(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    [(path, value)] = changes
    try:
        report = decide(phase="optimize", thresholds=THRESHOLDS, scorecard=changed(path, value))
    except TerminalError:
        return
    assert report.verdict in ("GO", "NO-GO", "INCONCLUSIVE")
    assert render_gate(report) and gate_markdown(report)
    json.dumps(report.to_dict(), allow_nan=False)


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from(NAMES),
    st.one_of(st.just(MISSING), odd, st.fixed_dictionaries({"value": odd, "low": odd, "high": odd, "n": odd})),
)
def test_a_metric_that_is_no_measure_never_goes(name: str, value: Any) -> None:
    if isinstance(value, dict) and all(_is_number(value.get(key)) for key in ("value", "low", "high", "n")):
        return  # a measure, if an odd one
    if isinstance(value, dict) and name == "train_loss" and _is_number(value.get("value")):
        return  # it may come without an interval
    report = decide(phase="optimize", thresholds=THRESHOLDS, scorecard=changed(("metrics", name), value))
    found = next(one for one in report.criteria if one.name == name)
    half = isinstance(value, dict) and _is_number(value.get("value")) and _is_number(value.get("n"))
    assert half or found.verdict != "GO"  # a bound on the good side is enough
    assert half or report.verdict != "GO"


@given(
    st.sampled_from(NAMES), st.sampled_from(["value", "low", "high"]), st.sampled_from([math.nan, math.inf, -math.inf])
)
def test_no_number_is_no_go(name: str, key: str, value: float) -> None:
    report = decide(phase="optimize", thresholds=THRESHOLDS, scorecard=changed(("metrics", name, key), value))
    assert next(one for one in report.criteria if one.name == name).verdict == "NO-GO"
    assert report.verdict == "NO-GO"


@given(st.dictionaries(st.sampled_from(NAMES), st.one_of(st.text(max_size=5), st.none()), min_size=1))
def test_what_is_undecided_never_goes(undecided: dict[str, str | None]) -> None:
    report = decide(phase="optimize", thresholds=THRESHOLDS, scorecard=changed(("undecided",), undecided))
    assert {one.name for one in report.criteria if one.verdict != "GO" and " of " not in one.name} == set(undecided)
    assert report.verdict == "INCONCLUSIVE"


@pytest.mark.parametrize(
    ("path", "names"),
    [
        (("answers",), {"persona_checks", "latency_p95_seconds", "cost_per_query_usd", "copied_answers"}),
        (("asked", "personality"), {"sounds_like_her", "constitution", "copied_answers"}),
        (("asked", "task"), {"tasks_passed", "copied_answers"}),
        (("judge", "parts", "sounds"), {"sounds_like_her"}),
        (("judge", "parts", "constitution"), {"constitution"}),
        (("judge", "parts", "tasks"), {"tasks_passed"}),
    ],
    ids=lambda value: "/".join(value) if isinstance(value, tuple) else None,
)
@pytest.mark.parametrize("failed", [1, None, math.nan, "1", -1], ids=str)
def test_what_failed_never_goes(path: tuple[str, ...], names: set[str], failed: Any) -> None:
    report = decide(phase="optimize", thresholds=THRESHOLDS, scorecard=changed((*path, "failed"), failed))
    assert {one.name for one in report.criteria if one.verdict == "NO-GO" and " of " not in one.name} == names
    assert report.verdict == "NO-GO"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(min(value, 1e300))
