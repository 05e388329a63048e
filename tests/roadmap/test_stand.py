"""Where the owner stands: phases with their evidence, decision, risks, and how all of it looks."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from components.dataset.params import DatasetParams
from components.evaluate.params import EvaluateParams
from components.llm.params import LlmParams
from components.persona.steps import read_persona
from components.registry.champion.record import champion_file
from components.roadmap.decision import weigh
from components.roadmap.params import DecisionParams, RoadmapParams
from components.roadmap.render import render_roadmap, roadmap_markdown, triggers_markdown
from components.roadmap.risks import risks_of
from components.roadmap.stand import Roadmap, roadmap_of
from components.train.params import TrainParams
from components.usage import UsageLog, usage_file
from tests.roadmap.conftest import NOW


def told(house: Any, params: RoadmapParams | None = None, *, prompt: bool = True, **sections: Any) -> Roadmap:
    persona = read_persona(house.persona(house.begin()))[0] if prompt else None
    values = {
        "dataset": DatasetParams(), "train": TrainParams(), "evaluate": EvaluateParams(), "llm": LlmParams(),
    }  # fmt: skip
    return roadmap_of(
        workspace=house.workspace, recipe="mvp", params=params or RoadmapParams(), model_name="cervella",
        prompt=persona, tokenizer="words", model_presets=9, **(values | sections),
    )  # fmt: skip


def reached(roadmap: Roadmap) -> list[bool]:
    return [phase.reached for phase in roadmap.phases]


def test_an_empty_workspace_is_before_mvp_and_stays_empty(house: Any) -> None:
    found = told(house, prompt=False)
    assert (found.reached, found.next, found.ready) == ("before mvp", "mvp", False)
    assert found.missing == ("a run whose gate says GO: cervella run mvp",)
    assert not house.workspace.exists()


def test_a_gate_that_is_no_go_says_what_is_missing(house: Any) -> None:
    house.evaluated()
    house.evaluated("INCONCLUSIVE")
    found = told(house)
    assert found.reached == "before mvp" and found.missing == ("mrr: INCONCLUSIVE, as it is",)


def test_a_go_is_mvp_and_the_triggers_of_the_next_phase_are_missing(house: Any) -> None:
    house.evaluated()
    found = told(house)
    assert (found.reached, found.next) == ("mvp", "optimize")
    assert [one.split(":")[0] for one in found.missing] == ["validated", "volume"]


def test_ready_when_all_triggers_are_met(house: Any) -> None:
    for _ in range(3):
        house.evaluated()
    house.asked(3)
    params = RoadmapParams.model_validate({"triggers": {"conversations_a_month": 3}})
    assert told(house, params).ready


@pytest.mark.parametrize(("adapter", "phase"), [(None, "mvp"), ("ab" * 32, "optimize")])
def test_what_is_in_service_counts_whatever_the_newest_gate_says(house: Any, adapter: str | None, phase: str) -> None:
    champion = house.promote(adapter=adapter)
    house.evaluated("NO-GO")
    found = told(house)
    assert found.reached == phase
    assert champion.run in found.phases[0].evidence and "version 3" in found.phases[0].evidence
    assert reached(found) == [True, adapter is not None, False]


def test_a_damaged_champion_is_told(house: Any) -> None:
    house.promote()
    champion_file(house.workspace).write_text("{}")
    found = told(house)
    assert reached(found) == [False] * 3 and "champion.json" in found.phases[1].evidence


def test_after_optimize_comes_scale_which_a_run_reaches_that_has_switched(house: Any) -> None:
    house.promote(adapter="ab" * 32)
    found = told(house)
    assert found.next == "scale" and not found.ready and "a run of phase scale" in found.missing[0]
    candidate = {"release": "cd" * 32, "version": 4, "run": "r"}
    house.begin(phase="scale", scale={"candidate": candidate, "switched": False, "said": "it was slow"})
    found = told(house)
    assert reached(found) == [True, True, False] and "it was slow" in found.phases[2].evidence
    run = house.begin(phase="scale", scale={"candidate": candidate, "switched": True, "promoted_at": "2026-11-02T10"})
    found = told(house)
    assert (found.reached, found.next, found.ready) == ("scale", None, True)
    assert found.phases[2].evidence == f"run {run.id} put release cdcdcdcdcdcd into service 2026-11-02"
    assert "nothing is missing: phase scale is the last" in render_roadmap(found)
    assert "Nothing is missing: phase scale is the last." in roadmap_markdown(found)


def test_the_gate_of_phase_scale_is_none_of_a_score(house: Any) -> None:
    house.evaluated()
    gate = {"phase": "scale", "verdict": "NO-GO", "criteria": [{"name": "errors", "verdict": "NO-GO", "reason": "x"}]}
    house.begin(phase="scale", gate=gate)
    assert told(house).reached == "mvp"


def test_what_was_spent_is_of_30_days(house: Any) -> None:
    house.begin(spent_usd=0.25)
    house.begin(phase="reindex", spent_usd=9.0, started=(NOW - timedelta(days=31)).isoformat())
    house.asked(3, cost_usd=0.5)
    house.asked(2, cost_usd=None)
    house.asked(4, days=31)
    spent = told(house, prompt=False).spent
    assert spent.runs == {"mvp": (1, 0.25)} and spent.usage is not None
    assert (spent.usage.use.cost_usd, spent.usage.use.cost_unknown, spent.usd) == (1.5, 2, 1.75)


def test_who_answered_at_the_endpoint_is_said(house: Any) -> None:
    house.asked(1)
    assert "endpoint:" not in render_roadmap(told(house, prompt=False))
    log = UsageLog(usage_file(house.workspace))
    for request, who, tier, dollars in (("a", "own", "simple", 0.0), ("b", "own", "medium", 0.25),
                                        ("c", "helper", "complex", 0.5)):  # fmt: skip
        log.record(door="serve", question=request, request=request, who=who, tier=tier, cost_usd=dollars,
                   helper_usd=dollars, first_token_seconds=0.5, seconds=1.0)  # fmt: skip
    log.record(door="serve", question="d", tier="complex", helper_usd=0.25, error="TimedOut")
    assert log.feedback("a", score=1) and log.feedback("c", score=-1)
    log.close()
    found = told(house, prompt=False)
    said = (
        "answers at the endpoint: helper 1 (1 complex), own 2 (1 medium, 1 simple), nobody 1 (1 complex); "
        "the helper cost $1.00; feedback: 1 good, 1 bad; first words after 0.5 s (p50), 0.5 s (p95)"
    )
    assert said in " ".join(render_roadmap(found).split()) and said in roadmap_markdown(found)
    assert [part["queries"] for part in found.to_dict()["spent"]["usage"]["parts"]] == [1, 1, 1, 1]


def test_an_unreadable_usage_log_hides_nothing_else(house: Any) -> None:
    house.asked(1)
    usage_file(house.workspace).write_bytes(b"a diary" * 500)
    found = told(house)
    assert found.stand is None and found.spent.usd is None
    assert "unknown, because" in render_roadmap(found) and json.dumps(found.to_dict())


# The decision


def test_the_owners_matrix_is_full_go() -> None:
    found = weigh(DecisionParams())
    assert (found.total, found.scenario) == (7.5, "full go")
    assert [adds for *_, adds in found.rows] == [1.2, 1.75, 1.8, 1.05, 0.8, 0.9]


@pytest.mark.parametrize(
    ("score", "scenario"),
    [(10, "full go"), (7.5, "full go"), (7.4, "go"), (7.0, "go"), (6.9, "conditional"), (6.5, "conditional"),
     (6.4, "RAG only"), (5.5, "RAG only"), (5.4, "no-go"), (0, "no-go")],
)  # fmt: skip
def test_scenarios_begin_where_the_owner_says(score: float, scenario: str) -> None:
    names = {"a": 33.3, "b": 33.3, "c": 33.4}
    found = weigh(DecisionParams(weights=names, scores=dict.fromkeys(names, score)))
    assert found.total == pytest.approx(score) and found.scenario == scenario


@given(st.lists(st.tuples(st.integers(0, 100), st.floats(0, 10)), min_size=1, max_size=8), st.floats(0, 10))
def test_the_total_lies_between_the_scores(rows: list[tuple[int, float]], go: float) -> None:
    weights = [weight for weight, _ in rows]
    if not sum(weights):
        return
    shares = {str(n): 100 * weight / sum(weights) for n, weight in enumerate(weights)}
    scores = {str(n): score for n, (_, score) in enumerate(rows)}
    found = weigh(DecisionParams(weights=shares, scores=scores, go=go))
    assert min(scores.values()) - 1e-6 <= found.total <= max(scores.values()) + 1e-6
    assert (found.scenario in ("go", "full go")) == (found.total >= go)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"weights": {"a": 60}, "scores": {"a": 5}}, "these add up to 60"),
        ({"weights": {"a": 60, "b": 40}, "scores": {"a": 5, "c": 5}}, "without a score: b; without a weight: c"),
        ({"weights": {"a": 100}, "scores": {"a": 11}}, "from 0 to 10; not so: a"),
        ({"weights": {"a": 120, "b": -20}, "scores": {"a": 1, "b": 1}}, "0 or more; not so: b"),
        ({"weights": {"a": 100}, "scores": {"a": float("nan")}}, "not so: a"),
        ({"weights": {}, "scores": {}}, "add up to 0"),
    ],
    ids=["sum", "keys", "score", "weight", "nan", "nothing"],
)  # fmt: skip
def test_a_matrix_that_is_none_is_refused_in_words(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        DecisionParams.model_validate(values)


# The risks


def on(**sections: Any) -> dict[str, bool | None]:
    values = {
        "dataset": DatasetParams(), "train": TrainParams(), "evaluate": EvaluateParams(), "llm": LlmParams(),
        "model_presets": 9, "spent_usd": 10.0,
    }  # fmt: skip
    return {one.what: one.on for risk in risks_of(**(values | sections)) for one in risk.answers}


def test_answers_are_on_by_the_values_of_the_recipe(tmp_path: Path) -> None:
    personality = {"prompts": tmp_path / "p.jsonl", "checklist": tmp_path / "c.yaml"}
    evaluate = EvaluateParams.model_validate({"personality": personality, "judge": {"labels": tmp_path / "l.jsonl"}})
    dataset = DatasetParams.model_validate({"check": {"suite": tmp_path / "s.yaml"}})
    before, after = on(), on(evaluate=evaluate, dataset=dataset)
    changed = {what for what in before if before[what] != after[what]}
    assert changed == {
        "the dataset is audited", "prompts of personality are asked", "people check the judge",
        "compared with what is in service", "compared with the bare base model",
    }  # fmt: skip
    train = TrainParams.model_validate({"validation": {"patience": None}, "export": {"gguf_adapter": False}})
    off = {what for what, is_on in on(train=train).items() if before[what] and not is_on}
    assert off == {"training stops early", "self-hosting is ready"}
    assert on(helper="anthropic/claude-sonnet-4-5")["falls back to Claude"] and not before["falls back to Claude"]


# How it looks


def test_the_terminal_shows_all_of_it_in_100_columns(house: Any) -> None:
    house.evaluated("NO-GO")
    house.asked(700)
    text = render_roadmap(told(house))
    assert max(map(len, text.splitlines())) <= 100
    for word in ("phase reached: before mvp", "prompt_tokens", "$150 to 250", "< you, last 30 days", "< the rows cross",
                 "< stated break-even", "7.50 of 10, full go", "overfitting", "12.5 M tokens", "$7.00"):  # fmt: skip
        assert word in text, word
    at = [line.split()[0] for line in text.splitlines() if "<" in line]
    assert at == ["700", "2,152", "4,000"]  # where they belong in the table


def test_a_reason_in_the_recipe_is_shown_and_changes_no_trigger(house: Any) -> None:
    house.evaluated()
    params = RoadmapParams(force="la banca lo chiede")
    found = told(house, params)
    assert not found.ready
    assert "roadmap.force: la banca lo chiede" in render_roadmap(found)
    assert "Forced: la banca lo chiede" in roadmap_markdown(found)


def test_bars_are_as_long_as_the_dollars(house: Any) -> None:
    lines = render_roadmap(told(house, prompt=False)).splitlines()
    bars = {line.split()[0]: line.count("█") for line in lines if line.startswith("   ") and "$" in line}
    assert bars["100,000"] == 50 and bars["10,000"] == round(270 / 720 * 50)


def test_the_page_has_whole_tables(house: Any) -> None:
    house.asked(3)
    page = roadmap_markdown(told(house, RoadmapParams(force="perché | sì, davvero")))
    tables = [block.splitlines() for block in page.split("\n\n") if block.startswith("|")]
    assert len(tables) == 6
    for rows in tables:
        assert len({row.replace("\\|", "").count("|") for row in rows}) == 1


def test_the_triggers_alone_tell_the_reason(house: Any) -> None:
    record = {"forced": "per provare", **told(house).triggers.to_dict()}
    assert triggers_markdown(record).endswith("Forced: per provare")


def test_json_has_every_part_and_no_odd_number(house: Any) -> None:
    house.evaluated()
    house.asked(2)
    values = json.loads(json.dumps(told(house).to_dict(), allow_nan=False))
    assert list(values) == [
        "recipe", "at", "reached", "next", "ready", "missing", "phases", "triggers", "break_even", "force", "costs",
        "stand", "spent", "decision", "risks",
    ]  # fmt: skip
    assert values["stand"]["beyond"] == "below" and values["break_even"]["computed"] == pytest.approx(2151.9, abs=0.1)
