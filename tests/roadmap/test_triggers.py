"""The three triggers: measured on real records, decided on any, refused with all numbers, forced with a reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.errors import RefusedError
from components.persona.steps import read_persona
from components.roadmap.costs import break_even
from components.roadmap.costs_file import load_costs
from components.roadmap.params import RoadmapParams, TriggerParams
from components.roadmap.steps import decide_training
from components.roadmap.triggers import (
    Evaluation,
    Trigger,
    check_triggers,
    evaluations,
    persona_digest,
    refuse_without,
    triggers_of,
)
from components.store import Store
from components.usage import Period, Use, usage_file

EVEN = break_even(load_costs(None), wished=None)
ROW = st.lists(st.tuples(st.sampled_from(["GO", "NO-GO", "INCONCLUSIVE", None]), st.sampled_from(["p", "q", None]),
                         st.integers(0, 3)), max_size=8)  # fmt: skip


def measured(house: Any, **options: Any) -> dict[str, Trigger]:
    run = house.begin()
    prompt, _ = read_persona(house.persona(run))
    params = RoadmapParams.model_validate(options)
    found = triggers_of(
        house.workspace, params, full_tokens=prompt.full_tokens, prompt_text=prompt.text, tokenizer="words"
    )
    return {one.name: one for one in found.all}


def decided(**changes: Any) -> dict[str, Trigger]:
    values = {
        "threshold": EVEN, "full_tokens": 2500, "tokenizer": "qwen3", "persona": "p", "evaluated": [],
        "volume": Period("days"),
    }  # fmt: skip
    return {one.name: one for one in check_triggers(TriggerParams(), **(values | changes)).all}


def evaluated(row: list[Any]) -> list[Evaluation]:
    return [Evaluation(f"run{n}", verdict, persona, str(of)) for n, (verdict, persona, of) in enumerate(row)]


def test_before_any_run_each_is_told_with_its_number(house: Any) -> None:
    params = RoadmapParams()
    found = triggers_of(house.workspace, params, full_tokens=2771, prompt_text="Sei Cervella.", tokenizer="qwen3")
    assert [(one.name, one.met, one.value, one.threshold) for one in found.all] == [
        ("prompt_tokens", True, 2771, 2000), ("validated", False, 0, 3), ("volume", False, 0, 4000),
    ]  # fmt: skip
    assert not found.met and not house.workspace.exists()


@pytest.mark.parametrize(("tokens", "met"), [(1999, False), (2000, False), (2001, True), (None, None)])
def test_tokens_must_be_over(tokens: int | None, met: bool | None) -> None:
    assert decided(full_tokens=tokens)["prompt_tokens"].met is met


def test_evaluations_in_a_row_are_counted_from_the_newest(house: Any) -> None:
    for verdict in ("GO", "NO-GO", "GO", "GO"):
        house.evaluated(verdict)
    found = measured(house)["validated"]
    assert (found.value, found.met) == (2, False)
    assert f"run {house.runs[1].id} ended NO-GO" in found.measured
    house.evaluated()
    assert measured(house)["validated"].met


@pytest.mark.parametrize("verdict", ["NO-GO", "INCONCLUSIVE"])
def test_what_is_no_go_ends_the_row(house: Any, verdict: str) -> None:
    house.evaluated()
    house.evaluated(verdict)
    assert measured(house)["validated"].value == 0


def test_another_persona_ends_the_row(house: Any) -> None:
    house.evaluated()
    house.evaluated(persona="Sono un'altra.")
    assert measured(house)["validated"].value == 0
    house.evaluated()
    assert measured(house)["validated"].value == 1


def test_a_run_that_skipped_everything_repeats_its_evidence_and_counts_once(house: Any) -> None:
    for evidence in ("a", "a", "b", "a"):
        house.evaluated(evidence=evidence)
    assert measured(house)["validated"].value == 2


def test_runs_without_a_gate_and_combinations_of_a_matrix_are_left_aside(house: Any) -> None:
    house.evaluated()
    house.begin(recipe="reindex", phase="reindex").update(status="done")
    house.begin().update(status="failed", error="the disk was full")
    house.evaluated("NO-GO", matrix={"run": "x"})
    house.evaluated()
    assert measured(house)["validated"].value == 2


def test_a_damaged_record_ends_the_row(house: Any) -> None:
    damaged = house.evaluated()
    house.evaluated().update(started="2020-01-01T00:00:00+00:00")
    house.evaluated().update(started="2100-01-01T00:00:00+00:00")  # of the damaged one the id alone says when
    file = damaged.folder / "run.json"
    file.write_text(file.read_text(encoding="utf-8").replace('"GO"', '"NO-GO"'), encoding="utf-8")
    found = measured(house)["validated"]
    assert found.value == 1 and "damaged" in found.measured


def test_a_persona_that_is_gone_from_the_store_ends_the_row(house: Any) -> None:
    run = house.evaluated(persona="Sono di prima.")
    (made,) = [step["artefact"] for step in run.read()["steps"] if step["name"] == "persona.compile"]
    (Store(house.workspace).open(made).path / "prompt.md").unlink()
    assert next(iter(evaluations(house.workspace))).persona is None
    assert "is gone" in measured(house)["validated"].measured


def test_volume_is_what_was_asked_in_30_days(house: Any) -> None:
    house.asked(7)
    house.asked(5, days=31)
    found = measured(house, triggers={"conversations_a_month": 7})["volume"]
    assert (found.met, found.value, found.threshold) == (True, 7, 7)
    assert measured(house, triggers={"conversations_a_month": 8})["volume"].met is False


def test_a_usage_log_that_cannot_be_read_is_unknown_and_not_met(house: Any) -> None:
    house.asked(3)
    usage_file(house.workspace).write_bytes(b"a diary, not a database" * 50)
    found = measured(house, triggers={"conversations_a_month": 1})["volume"]
    assert found.met is None and found.value is None and "cannot be read" in found.measured


def test_a_log_that_was_folded_can_say_yes_but_not_no() -> None:
    for count, met in ((10, None), (5000, True)):
        volume = Period("days", Use(queries=count, conversations=count), complete=False)
        assert decided(volume=volume)["volume"].met is met


@given(ROW, st.sampled_from(["p", "q"]))
def test_a_worse_newest_evaluation_never_helps(row: list[Any], persona: str) -> None:
    before = decided(evaluated=evaluated(row), persona=persona)["validated"]
    for newest in (("NO-GO", persona, 9), ("GO", "r", 9), (None, None, 9)):
        assert decided(evaluated=evaluated([newest, *row]), persona=persona)["validated"].value == 0
    after = decided(evaluated=evaluated([("GO", persona, 9), *row]), persona=persona)["validated"]
    assert after.value == (before.value or 0) + 1


@given(ROW)
def test_no_more_evaluations_count_than_there_is_evidence_of_gos(row: list[Any]) -> None:
    found = decided(evaluated=evaluated(row))["validated"]
    assert found.value is not None
    assert found.value <= len({of for verdict, persona, of in row if verdict == "GO" and persona == "p"})
    assert found.met is (found.value >= 3)


@given(st.integers(0, 10_000), st.integers(0, 10_000), st.integers(0, 10_000))
def test_more_is_never_less_and_all_must_be_met(tokens: int, conversations: int, more: int) -> None:
    go = evaluated([("GO", "p", n) for n in range(3)])

    def check(tokens: int, conversations: int) -> Any:
        volume = Period("days", Use(queries=conversations, conversations=conversations))
        return check_triggers(
            TriggerParams(), threshold=EVEN, full_tokens=tokens, tokenizer="t", persona="p", evaluated=go, volume=volume
        )

    before, after = check(tokens, conversations), check(tokens + more, conversations + more)
    assert before.met == (tokens > 2000 and conversations >= 4000)
    assert after.met or not before.met
    assert {one.name for one in before.unmet} == {one.name for one in before.all if one.met is not True}


def test_a_refusal_names_every_number_and_how_to_force_it() -> None:
    found = check_triggers(
        TriggerParams(), threshold=EVEN, full_tokens=1380, tokenizer="qwen3", persona="p",
        evaluated=evaluated([("GO", "p", 1)]), volume=Period("days", Use(queries=12, conversations=12)),
    )  # fmt: skip
    with pytest.raises(RefusedError) as error:
        refuse_without(found, None)
    assert error.value.exit_code == 1
    text = str(error.value)
    for word in (
        "3 of 3 triggers", "1,380, wanted over 2,000", "validated: 1, wanted at least 3",
        "volume: 12, wanted at least 4,000", "cross at about 2,150", 'roadmap.force="REASON"',
    ):  # fmt: skip
        assert word in text
    assert refuse_without(found, "la banca lo chiede") == "la banca lo chiede"


def test_a_reason_that_is_not_needed_is_not_kept() -> None:
    found = check_triggers(
        TriggerParams(), threshold=EVEN, full_tokens=2001, tokenizer="t", persona="p",
        evaluated=evaluated([("GO", "p", n) for n in range(3)]),
        volume=Period("days", Use(queries=4000, conversations=4000)),
    )  # fmt: skip
    assert found.met and refuse_without(found, "un motivo qualsiasi") is None


def test_the_step_records_what_it_refused(house: Any) -> None:
    run = house.begin(recipe="optimize", phase="optimize")
    with pytest.raises(RefusedError, match="2 of 3"):
        decide_training(run, RoadmapParams(), prompt=house.persona(run))
    state = run.read()
    assert state["triggers"]["met"] is False and state["triggers"]["forced"] is None
    (step,) = [step for step in state["steps"] if step["name"] == "roadmap.triggers"]
    assert step["status"] == "failed" and "volume: 0" in step["reason"]


def test_the_step_records_the_reason_that_forced_it(house: Any) -> None:
    run = house.begin(recipe="optimize", phase="optimize")
    record = decide_training(run, RoadmapParams(force="per provare la macchina"), prompt=house.persona(run))
    assert record["forced"] == "per provare la macchina"
    state = run.read()
    assert state["triggers"] == record
    (step,) = [step for step in state["steps"] if step["name"] == "roadmap.triggers"]
    assert step["facts"] == {"triggers": "1 of 3 met", "forced": "forced: per provare la macchina"}


def test_the_step_lets_a_run_pass_that_meets_them_all(house: Any) -> None:
    for _ in range(3):
        house.evaluated()
    house.asked(4)
    run = house.begin(recipe="optimize", phase="optimize")
    params = RoadmapParams(triggers=TriggerParams(conversations_a_month=4))
    record = decide_training(run, params, prompt=house.persona(run))
    assert record["met"] and record["forced"] is None
    assert [one["met"] for one in record["triggers"]] == [True] * 3


def test_a_plan_and_a_run_see_the_same(house: Any, new_house: Callable[[], Any]) -> None:
    for one in (house, new_house()):
        one.evaluated()
        run = one.begin(phase="optimize")
        artefact = one.persona(run)
        prompt, _ = read_persona(artefact)
        ahead = triggers_of(
            one.workspace, RoadmapParams(), full_tokens=prompt.full_tokens, prompt_text=prompt.text,
            tokenizer=prompt.tokenizer,
        )  # fmt: skip
        record = decide_training(run, RoadmapParams(force="per provare"), prompt=artefact)
        assert {key: record[key] for key in ahead.to_dict()} == ahead.to_dict()
        assert artefact.manifest["outputs"]["prompt.md"]["sha256"] == persona_digest(prompt.text)
