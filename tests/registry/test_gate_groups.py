"""A group below its own threshold fails the gate: a good mean hides a bad group."""

from __future__ import annotations

from typing import Any

import pytest

from components.errors import TerminalError
from components.registry import Criterion, GateParams, decide, gate_markdown, render_gate
from components.registry import steps as registry
from tests.evaluate.spoken import DOUBTED
from tests.registry.conftest import make_scorecard


def decided(groups: Any, card: Any | None = None, **said: Any) -> dict[str, Criterion]:
    thresholds = GateParams(groups=groups).model_dump()
    report = decide(phase="mvp", thresholds=thresholds, scorecard=card or make_scorecard(said=said))
    return {criterion.name: criterion for criterion in report.criteria}


def test_a_group_is_decided_as_the_whole_is() -> None:
    found = decided({"lang": {"it": {"recall_at_5": 0.9, "persona_checks": 0.9}}, "kind": {"fact": {"mrr": 0.5}}})
    assert [name for name in found if " of " in name] == [
        "recall_at_5 of lang:it", "persona_checks of lang:it", "mrr of kind:fact",
    ]  # fmt: skip
    assert {found[name].verdict for name in found} == {"GO"}
    assert found["recall_at_5 of lang:it"].threshold == 0.9


def test_a_bad_group_fails_a_good_whole() -> None:
    card = make_scorecard()
    card["groups"]["lang:en"] = {"recall_at_5": {"value": 0.2, "low": 0.1, "high": 0.4, "n": 20}}
    found = decided({"lang": {"en": {"recall_at_5": 0.7}}}, card)
    assert found["recall_at_5"].verdict == "GO"
    assert found["recall_at_5 of lang:en"].verdict == "NO-GO"


def test_a_group_of_few_decides_nothing() -> None:
    card = make_scorecard()
    card["groups"]["lang:en"] = {"mrr": {"value": 1.0, "low": 1.0, "high": 1.0, "n": 3}}
    found = decided({"lang": {"en": {"mrr": 0.7}}}, card)["mrr of lang:en"]
    assert (found.verdict, found.reason) == ("INCONCLUSIVE", "3 questions are too few for an interval")


def test_a_group_that_is_not_there_is_no_go_and_names_those_that_are() -> None:
    found = decided({"project": {"cassa": {"mrr": 0.7}}})["mrr of project:cassa"]
    assert found.verdict == "NO-GO"
    assert found.reason == "no group project:cassa in the scorecard; there are: project:casa"
    far = decided({"kind": {"zzz": {"mrr": 0.7}}})["mrr of kind:zzz"]
    assert far.reason.endswith("there are: kind:fact, kind:daily")


def test_a_group_without_that_score_is_no_go() -> None:
    found = decided({"project": {"casa": {"recall_at_5": 0.7, "sounds_like_her": 0.9}}})
    assert found["recall_at_5 of project:casa"].reason == "missing in the scorecard"
    assert found["recall_at_5 of project:casa"].verdict == "NO-GO"
    assert found["sounds_like_her of project:casa"].verdict == "GO"


def test_what_is_undecided_of_the_whole_is_undecided_of_its_groups() -> None:
    found = decided({"lang": {"it": {"sounds_like_her": 0.5}}}, agreement=DOUBTED)["sounds_like_her of lang:it"]
    assert (found.verdict, found.reason) == (
        "INCONCLUSIVE", "the judge's word does not count: kappa is 0.10; it takes 0.60",
    )  # fmt: skip


def test_failed_answers_fail_the_groups_too() -> None:
    found = decided({"lang": {"it": {"sounds_like_her": 0.5}}}, failed=1)
    assert found["sounds_like_her of lang:it"].verdict == "NO-GO"


def test_a_threshold_for_what_is_no_criterion_is_an_error() -> None:
    thresholds = GateParams().model_dump() | {"groups": {"lang": {"it": {"ndcg": 0.5}}}}
    with pytest.raises(TerminalError, match="gate.groups asks ndcg of lang:it"):
        decide(phase="mvp", thresholds=thresholds, scorecard=make_scorecard())


@pytest.mark.parametrize("render", [render_gate, gate_markdown])
def test_the_report_shows_groups(render: Any) -> None:
    thresholds = GateParams(groups={"lang": {"it": {"mrr": 0.5}}}).model_dump()
    assert "mrr of lang:it" in render(decide(phase="mvp", thresholds=thresholds, scorecard=make_scorecard()))


def test_groups_are_part_of_the_identity_only_where_there_are_some() -> None:
    plain, empty = (
        registry.gate_spec(GateParams(), scorecard="a"),
        registry.gate_spec(GateParams(groups={}), scorecard="a"),
    )
    some = registry.gate_spec(GateParams(groups={"lang": {"it": {"mrr": 0.5}}}), scorecard="a")
    assert plain.fingerprint == empty.fingerprint != some.fingerprint
    assert "groups" not in plain.params
