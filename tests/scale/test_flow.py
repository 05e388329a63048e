"""Phase scale from the candidate to the verdict, on real releases, without Prefect; what is NO-GO changes nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from components.answer.partner import Partner
from components.errors import InputError, TerminalError
from components.store import Run
from tests.scale.flow_house import CITES, FEW, PLAIN, Follows, steps, told
from tests.scale.scale_house import QUESTION, ScaleHouse


@pytest.mark.slow
def test_a_good_candidate_is_promoted_and_the_run_says_what_was_measured(house: ScaleHouse, endpoint: Follows) -> None:
    before = house.promote()
    after = house.release(CITES)
    run = house.run()
    assert house.in_service() == after and house.history()[-1].by == f"scale run {run.id}"
    assert endpoint.waited == [after]
    assert list(steps(run)) == [f"scale.{name}" for name in ("candidate", "shadow", "gate", "promote", "switch")]
    assert set(steps(run).values()) == {"done"}
    found = told(run)
    assert found["switched"] is True and found["before"]["release"] == before and found["alone"] is None
    assert found["numbers"]["candidate"]["with_sources"] == 80 and found["numbers"]["champion"]["asked"] == 80
    assert found["numbers"]["probation"]["asked"] == 8 and "passed its probation" in found["said"]
    again = house.run()
    assert told(again)["standing"] == "in service" and list(steps(again)) == ["scale.candidate"]
    assert "gate" not in again.read() and len(house.history()) == 2


@pytest.mark.parametrize("model", [CITES, PLAIN], ids=["no note was named before", "all were"])
def test_against_what_is_in_service_only_clearly_fewer_sources_are_no_go(
    house: ScaleHouse, endpoint: Follows, model: str
) -> None:
    house.release(PLAIN if model == CITES else CITES)
    before = house.promote()
    house.recorded(house.release(model), before)
    run = house.run("scale.questions=10")
    found = {one["name"]: one["verdict"] for one in run.read()["gate"]["criteria"]}
    assert found["answers_with_sources"] == ("GO" if model == CITES else "NO-GO")
    assert (house.in_service() == before) == (model == PLAIN)
    if model == PLAIN:
        assert list(steps(run))[-1] == "scale.gate" and "not promoted" in told(run)["said"] and not endpoint.waited


@pytest.mark.parametrize(
    ("model", "verdict", "options", "criterion"),
    [
        ("fake/chat?fail_prob=1", "GO", (), "errors"),
        ("fake/chat?reply=S%C3%AC.&cost=0.5", "GO", ("llm.budget.per_query_usd=1",), "cost_per_query_usd"),
        ("fake/chat?reply=S%C3%AC.", "NO-GO", (), "own_gate"),
        ("fake/chat?reply=S%C3%AC.", "GO", (), "errors"),
        ("fake/chat?reply=S%C3%AC.&delay=0.02", "GO", ("scale.max_p95_seconds=0.01",), "latency_p95_seconds"),
    ],
    ids=["errors", "cost", "own gate", "too few", "slow"],
)  # fmt: skip
def test_what_misses_a_limit_changes_nothing(
    house: ScaleHouse, endpoint: Follows, model: str, verdict: Any, options: tuple[str, ...], criterion: str
) -> None:
    before = house.promote()
    house.release(model, verdict=verdict)
    run = house.run(FEW, *options)
    missed = [one["name"] for one in run.read()["gate"]["criteria"] if one["verdict"] != "GO"]
    assert criterion in missed and run.read()["gate"]["verdict"] != "GO"
    assert house.in_service() == before and len(house.history()) == 1 and not endpoint.waited


def test_a_reason_stands_in_for_the_candidates_own_gate_and_is_recorded(house: ScaleHouse, endpoint: Follows) -> None:
    house.recorded(house.release(PLAIN, verdict="INCONCLUSIVE"))
    house.run(FEW, "scale.force=provata a mano da noi due")
    assert (house.history()[-1].reason, house.history()[-1].verdict) == ("provata a mano da noi due", "INCONCLUSIVE")


def test_to_look_only_changes_nothing(house: ScaleHouse, endpoint: Follows) -> None:
    house.recorded(house.release(PLAIN))
    run = house.run(FEW, "scale.promote=false")
    assert run.read()["gate"]["verdict"] == "GO" and not house.history()
    assert "nothing was changed" in told(run)["said"]


def test_of_a_named_recipe_the_newest(house: ScaleHouse, endpoint: Follows) -> None:
    wanted = house.release(CITES, recipe="other")
    house.release(PLAIN)
    run = house.run(FEW, "scale.candidate=other", "scale.promote=false")
    assert told(run)["candidate"]["release"] == wanted
    with pytest.raises(
        TerminalError, match=r"no run of nowhere has registered .* \(recipes that have: \w+, other\): run it"
    ):
        house.run("scale.candidate=nowhere")


def test_what_an_endpoint_has_recorded_of_this_very_candidate_counts_too(house: ScaleHouse, endpoint: Follows) -> None:
    before, after = house.promote(), house.release(CITES)
    house.recorded(after, before, n=3)
    house.recorded("c" * 64, before, n=5)  # another candidate
    house.recorded(after, "d" * 64, n=2)  # beside another release, which is no longer in service
    found = told(house.run(FEW, "scale.promote=false"))
    assert found["recorded"] == 3 + 3 + 2
    assert (found["numbers"]["candidate"]["asked"], found["numbers"]["champion"]["asked"]) == (2 + 5, 2 + 3)


def test_a_key_that_is_missing_is_told_and_is_no_verdict(
    house: ScaleHouse, endpoint: Follows, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.release(PLAIN)

    def no_key(self: Partner, question: str, **options: Any) -> Any:
        raise InputError("the environment variable SOME_KEY is not set")

    monkeypatch.setattr(Partner, "stream", no_key)
    with pytest.raises(InputError, match="SOME_KEY is not set"):
        house.run(FEW)
    assert not any("gate" in Run(folder).read() for folder in house.workspace.glob("runs/*into-service*"))


def test_a_long_question_is_asked_as_the_endpoint_takes_it(house: ScaleHouse, endpoint: Follows) -> None:
    house.release(CITES)
    (house.folder / "golden.jsonl").write_text(QUESTION.replace("Quanto", "x" * 5000 + " Quanto") % (1, 1))
    found = told(house.run("scale.promote=false", "scale.questions=1"))
    assert (found["numbers"]["candidate"]["asked"], found["numbers"]["candidate"]["errors"]) == (1, 0)


def test_a_candidate_that_this_recipe_cannot_ask_is_told_before_anything(house: ScaleHouse, endpoint: Follows) -> None:
    house.release("anthropic/claude-sonnet-4-5")
    with pytest.raises(
        InputError, match=r"answered by anthropic/claude-sonnet-4-5, which is elsewhere .* Write llm\.chat"
    ):
        house.run()
    with pytest.raises(InputError, match=r"cuts notes otherwise than the published index .* Write index as"):
        house.run("index.chunk.max_tokens=100", "llm.chat.model=anthropic/claude-sonnet-4-5")
    assert not house.history()


def test_nothing_registered_says_what_to_run_first(house: ScaleHouse, endpoint: Follows) -> None:
    for file in house.workspace.glob("runs/*/run.json"):
        file.unlink()
    with pytest.raises(TerminalError, match="no run has registered a release as cervella .*: run it first"):
        house.run()


def test_no_text_and_no_path_is_kept_of_what_was_asked(house: ScaleHouse, endpoint: Follows) -> None:
    before, after = house.promote(), house.release(CITES)
    house.recorded(after, before)
    run = house.run(FEW)
    for step in run.read()["steps"]:
        if step["name"] in ("scale.shadow", "scale.switch"):
            for file in (house.workspace / "store" / step["artefact"]).iterdir():
                text = file.read_text(encoding="utf-8")
                assert "caparra" not in text and ".md" not in text, file
    assert "caparra" not in json.dumps(run.read())
