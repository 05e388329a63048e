"""What the Prefect UI shows of `run_recipe`: a form with the recipes to choose from, and a plan on request."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from components.recipe.runs import STEPS
from flows.run import NAMES, PHASES, phase_flow, run_recipe


@pytest.fixture(scope="module")
def form() -> dict[str, Any]:
    from prefect.utilities.callables import parameter_schema

    properties: dict[str, Any] = parameter_schema(run_recipe).model_dump()["properties"]
    return properties


def kinds(field: dict[str, Any]) -> set[str]:
    return {field["type"]} if "type" in field else {option["type"] for option in field["anyOf"]}


def test_every_shipped_recipe_is_in_the_dropdown(root: Path, form: dict[str, Any]) -> None:
    shipped = sorted(path.stem for path in (root / "recipes").glob("*.yaml") if not path.name.startswith("_"))
    assert list(NAMES) == shipped
    assert form["recipe"]["enum"] == shipped


def test_the_other_fields_have_their_kind_and_their_help(form: dict[str, Any]) -> None:
    assert list(form) == ["recipe", "overrides", "force", "dry_run"]
    for name in ("overrides", "force"):
        assert "array" in kinds(form[name])
        lists = form[name] if "items" in form[name] else form[name]["anyOf"][0]
        assert lists["items"] == {"type": "string"}
    assert kinds(form["dry_run"]) == {"boolean"}
    assert all(field["description"] for field in form.values())


def test_every_phase_has_a_flow_and_its_steps() -> None:
    assert set(PHASES) == {*STEPS, "matrix"}
    assert [phase_flow(phase).name for phase in PHASES] == list(PHASES)


def test_a_dry_run_is_a_plan_and_writes_nothing(tmp_path: Path) -> None:
    overrides = [f"workspace={tmp_path / 'new'}", "index.embedding.model=fake/embedding"]
    told = run_recipe.fn("mvp", overrides=overrides, force=["sncp.collect"], dry_run=True)
    planned = [step["name"] for step in told["plan"]["steps"]]
    assert planned == [step for step in STEPS["mvp"] if step in planned]
    assert {"sncp.collect", "index.build", "evaluate.retrieval"} <= set(planned)
    assert told["plan"]["steps"][0]["reason"] == "forced"
    assert not (tmp_path / "new").exists()
