"""The gate of phase optimize: all that phase mvp asks, and that training helped, shown on examples it has not seen."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from components.evaluate import training_scores
from components.evaluate.intervals import rate_measure
from components.registry import CRITERIA, Criterion, GateParams, decide, gate_markdown, render_gate
from components.registry import steps as registry
from components.train.losses import RowLoss

THRESHOLDS = GateParams().model_dump()
OWN = [
    "train_loss", "held_out_perplexity", "perplexity_against_base", "loss_gap", "copied_answers", "tasks_passed",
]  # fmt: skip
TRAINED = OWN[:4]


def scores(*, rows: int = 60, base: float = 2.0, gain: float = 0.6, train_loss: float | None = 0.4) -> dict[str, Any]:
    """Metrics of an adapter that lowers the loss of a token from `base` by `gain`, on rows that differ."""
    draw = random.Random(5)  # noqa: S311
    tokens = [draw.randint(20, 60) for _ in range(rows)]
    losses = [base + draw.gauss(0, 0.3) for _ in tokens]
    gains = [gain + draw.gauss(0, 0.1) for _ in tokens]
    found = training_scores(
        base=[RowLoss(count, count * loss) for count, loss in zip(tokens, losses, strict=True)],
        adapted=[RowLoss(n, n * (loss - less)) for n, loss, less in zip(tokens, losses, gains, strict=True)],
        train_loss=train_loss, train_rows=540, seed=13,
    )  # fmt: skip
    copied = rate_measure([False] * 120)
    return {name: measure.to_dict() for name, measure in {**found.measures, "copied_answers": copied}.items()}


def decided(scorecard: Any, metrics: dict[str, Any], **thresholds: float) -> dict[str, Criterion]:
    card = {**scorecard, "metrics": {**scorecard["metrics"], **metrics}}
    report = decide(phase="optimize", thresholds=THRESHOLDS | thresholds, scorecard=card)
    assert [criterion.name for criterion in report.criteria] == [rule.name for rule in CRITERIA["optimize"]]
    return {criterion.name: criterion for criterion in report.criteria}


def test_it_asks_all_that_mvp_asks_and_six_things_more() -> None:
    names = [rule.name for rule in CRITERIA["optimize"]]
    assert names == [rule.name for rule in CRITERIA["mvp"]] + OWN
    assert {name: THRESHOLDS[name] for name in OWN} == {
        "train_loss": 0.5, "held_out_perplexity": 10.0, "perplexity_against_base": 1.0, "loss_gap": 1.8,
        "copied_answers": 0.05, "tasks_passed": 15,
    }  # fmt: skip


def test_an_adapter_that_helps_goes(scorecard: Any) -> None:
    found = decided(scorecard, scores())
    assert {criterion.verdict for criterion in found.values()} == {"GO"}
    assert found["train_loss"].reason == "is at most 0.5, on all 540 training examples"
    assert found["perplexity_against_base"].reason == "the whole interval is below 1"


@pytest.mark.parametrize("name", [*TRAINED, "copied_answers"])
def test_a_scorecard_without_training_is_no_go(scorecard: Any, name: str) -> None:
    metrics = scores()
    del metrics[name]
    assert decided(scorecard, metrics)[name].verdict == "NO-GO"


def test_low_train_loss_alone_proves_nothing(scorecard: Any) -> None:
    """What was learnt by heart does not help on what was held out."""
    found = decided(scorecard, scores(gain=-0.5, train_loss=0.05))
    assert found["train_loss"].verdict == "GO"
    assert found["held_out_perplexity"].verdict == "NO-GO"
    assert found["perplexity_against_base"].verdict == "NO-GO"


def test_a_train_loss_has_no_interval_and_is_decided_by_itself(scorecard: Any) -> None:
    found = decided(scorecard, scores(train_loss=0.51))["train_loss"]
    assert (found.verdict, found.low, found.high, found.n) == ("NO-GO", None, None, 540)
    assert decided(scorecard, scores(train_loss=0.5))["train_loss"].verdict == "GO"
    unknown = decided(scorecard, scores(train_loss=None))["train_loss"]
    assert (unknown.verdict, unknown.reason) == ("INCONCLUSIVE", "it was not measured")


def test_few_held_out_examples_decide_nothing_and_say_how_many_would(scorecard: Any) -> None:
    found = decided(scorecard, scores(rows=6))
    for name in ("held_out_perplexity", "perplexity_against_base", "loss_gap"):
        assert (found[name].verdict, found[name].needed) == ("INCONCLUSIVE", 10)
        assert found[name].reason == "6 held-out examples are too few for an interval: it takes 10 or more"


def test_a_close_call_says_how_many_would_show_it(scorecard: Any) -> None:
    metrics = scores() | {"held_out_perplexity": {"value": 8.0, "low": 5.0, "high": 12.8, "n": 20}}
    found = decided(scorecard, metrics)["held_out_perplexity"]
    # by a factor of 1.6 on either side, and 1.25 would do: the half-width must shrink by ln 1.6 / ln 1.25
    needed = math.ceil(20 * (math.log(1.6) / math.log(1.25)) ** 2)
    assert (found.verdict, found.needed) == ("INCONCLUSIVE", needed)
    assert found.reason == f"meets at most 10, but 20 held-out examples cannot show it; about {needed} would"


def test_an_adapter_that_changes_nothing_did_not_help(scorecard: Any) -> None:
    same = {"value": 1.0, "low": 1.0, "high": 1.0, "n": 60}
    found = decided(scorecard, scores() | {"perplexity_against_base": same})["perplexity_against_base"]
    assert found.verdict == "NO-GO"
    near = {"value": 0.99, "low": 0.9, "high": 1.05, "n": 60}
    unsure = decided(scorecard, scores() | {"perplexity_against_base": near})["perplexity_against_base"]
    assert unsure.verdict == "INCONCLUSIVE"
    assert unsure.needed is not None
    assert unsure.needed > 60


def test_a_base_that_foretells_well_already_must_still_be_bettered(scorecard: Any) -> None:
    found = decided(scorecard, scores(base=0.5, gain=0.0))
    assert found["held_out_perplexity"].verdict == "GO"
    assert found["perplexity_against_base"].verdict != "GO"


@pytest.mark.parametrize("render", [render_gate, gate_markdown])
def test_the_report_says_below_where_it_means_below(scorecard: Any, render: Any) -> None:
    card = {**scorecard, "metrics": {**scorecard["metrics"], **scores()}}
    text = render(decide(phase="optimize", thresholds=THRESHOLDS, scorecard=card))
    lines = {name: next(line for line in text.splitlines() if name in line) for name in OWN}
    assert "<= 0.5" in lines["train_loss"]
    assert "<= 10" in lines["held_out_perplexity"]
    assert "< 1 " in lines["perplexity_against_base"].replace("|", " ")


def test_the_gate_of_a_phase_is_identified_by_its_own_thresholds() -> None:
    changed = GateParams(train_loss=0.3)
    mvp = [registry.gate_spec(params, scorecard="a" * 64).fingerprint for params in (GateParams(), changed)]
    assert mvp[0] == mvp[1]
    optimize = [
        registry.gate_spec(params, scorecard="a" * 64, phase="optimize").fingerprint
        for params in (GateParams(), changed)
    ]
    assert len({*optimize, mvp[0]}) == 3
