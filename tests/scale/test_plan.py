"""The plan of phase scale: which release it would be, what is asked, and why nothing may be promoted."""

from __future__ import annotations

from typing import Any

import pytest

from components.errors import InputError
from components.recipe import load_recipe
from components.recipe.plan import Plan, plan_run
from components.recipe.plan_text import render_plan
from components.recipe.privacy import leaving
from components.recipe.runs import STEPS, check_steps
from components.scale.candidate import promoter
from tests.scale.flow_house import FEW, Follows
from tests.scale.scale_house import ScaleHouse

COSTS = "fake/chat?cost=0.002"


def planned(house: ScaleHouse, *overrides: str) -> Plan:
    return plan_run(load_recipe(house.recipe, overrides=overrides, cwd=house.folder).recipe)


def actions(plan: Plan) -> dict[str, str]:
    return {step.name.removeprefix("scale."): step.action for step in plan.steps}


def test_a_new_candidate_is_asked_beside_what_is_in_service(house: ScaleHouse) -> None:
    house.release(COSTS)
    house.promote()
    house.release(f"{COSTS}&reply=x")
    plan = planned(house)
    assert actions(plan) == {
        "candidate": "run", "shadow": "run", "gate": "run", "promote": "depends", "switch": "depends",
    }  # fmt: skip
    assert (plan.work.calls_at_least, plan.work.calls_at_most) == (160, 168) and not plan.problems
    assert plan.work.usd_at_least == pytest.approx(160 * 0.002)
    assert plan.work.usd_at_most == pytest.approx(168 * 0.002)
    text = render_plan(plan)
    assert "8 questions to the endpoint" in text and "\n  notes" not in text


@pytest.mark.parametrize(
    ("options", "action"), [(("scale.promote=false",), "skip"), ((), "depends")], ids=["to look only", "to promote"]
)
def test_alone_half_of_it_is_asked(house: ScaleHouse, options: tuple[str, ...], action: str) -> None:
    house.release(COSTS)
    plan = planned(house, *options)
    assert (
        plan.work.calls_at_most == (80 if action == "skip" else 88)
        and actions(plan)["promote"] == actions(plan)["switch"] == action
    )
    assert "stands alone: nothing is in service yet" in render_plan(plan)


def test_the_probation_counts_with_the_helper_and_with_all_its_questions(house: ScaleHouse) -> None:
    house.release(COSTS)
    helper = 'serve.router={helper: {model: "fake/chat?cost=0.05"}}'
    plan = planned(house, FEW, helper)
    assert plan.work.calls_at_most == 2 + 8 + 8
    assert plan.work.usd_at_most == pytest.approx(10 * 0.002 + 8 * 0.05)
    assert "8 questions to the endpoint, hard ones to the helper (fake/chat?cost=0.05, at most $0.40)" in " ".join(
        render_plan(plan).split()
    )
    capped = planned(house, FEW, helper, "llm.budget.per_query_usd=0.01")
    assert capped.work.usd_at_most == pytest.approx(10 * 0.002 + 8 * 0.01)


def test_what_is_in_service_or_pending_is_told(house: ScaleHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    house.release(COSTS)
    house.promote()
    assert set(actions(planned(house)).values()) == {"run", "skip"} and planned(house).work.calls_at_most == 0
    monkeypatch.setattr("flows.scale.endpoint_up", lambda run, recipe: Follows(house))
    house.run()
    assert set(actions(planned(house)).values()) == {"skip"}
    after = house.release("fake/chat?reply=x")
    from components.registry.champion.change import promote
    from components.registry.params import RegistryParams

    promote(workspace=house.workspace, registry=RegistryParams(), recipe="house", by=promoter("r1"))
    assert house.in_service() == after
    found = actions(planned(house))
    assert (found["switch"], found["shadow"]) == ("run", "skip")
    assert (planned(house).work.calls_at_least, planned(house).work.calls_at_most) == (0, 8)
    looked = planned(house, "scale.promote=false")
    assert set(actions(looked).values()) == {"run", "skip"} and actions(looked)["switch"] == "skip"


def test_the_run_is_what_was_planned(house: ScaleHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    house.recorded(house.release(COSTS))
    plan = planned(house, FEW)
    run = house.run(FEW, "scale.promote=false")
    made = next(step for step in run.read()["steps"] if step["name"] == "scale.candidate")
    assert made["artefact"] == f"scale.candidate/{plan.steps[0].fingerprint}"


def test_nothing_registered_stops_it(house: ScaleHouse) -> None:
    plan = planned(house, "scale.candidate=nowhere")
    assert [problem for problem in plan.problems if "no run of nowhere has registered" in problem]
    assert list(actions(plan)) == [name.removeprefix("scale.") for name in STEPS["scale"]]


@pytest.mark.parametrize("name", ["scale.shadow", "scale.promote", "scale.switch", "index.build"])
def test_what_cannot_be_forced_says_why(name: str) -> None:
    with pytest.raises(InputError, match=f"--force {name}: "):
        check_steps("scale", [name])
    assert check_steps("scale", ["scale.gate"]) == ["scale.gate"]


def test_notes_go_where_the_model_of_the_releases_is(house: ScaleHouse) -> None:
    def away(**chat: Any) -> Any:
        overrides = [f"llm.chat.{key}={value}" for key, value in chat.items()]
        return leaving(load_recipe(house.recipe, overrides=overrides, cwd=house.folder).recipe)

    assert away() == {} and list(away(model="anthropic/claude-sonnet-4-5")) == ["llm.chat.model"]
