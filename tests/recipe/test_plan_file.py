"""A plan as a file: it is run exactly, or refused with every reason."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from components.errors import InputError, TerminalError
from components.index import steps as index
from components.recipe.plan_file import PlanFile, check_plan, read_plan, write_plan
from components.recipe.plan_matrix import plan_loaded
from components.store import StepSpec

sys.path.insert(0, str(Path(__file__).parent))
from plan_house import House  # noqa: E402


def planned(house: House, *overrides: str, force: tuple[str, ...] = ()) -> PlanFile:
    loaded = house.load(*overrides)
    file = house.folder / "plan.json"
    overrides = (*house.overrides, *overrides)
    write_plan(file, plan_loaded(loaded, force=force), loaded, overrides=overrides, force=force)
    return read_plan(file)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> House:
    """A house where everything ran once."""
    house = House.make(tmp_path_factory.mktemp("finished"))
    house.run()
    return house


@pytest.fixture
def house(finished: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """A copy of it that a test may change."""
    shutil.copytree(finished.folder, tmp_path / "house")
    monkeypatch.chdir(tmp_path / "house")
    yield House(tmp_path / "house")


def test_a_plan_that_holds_is_run_and_only_that(house: House) -> None:
    plan = planned(house, "index.search.k=5", force=("index.chunk",))
    loaded = check_plan(plan)
    assert loaded.recipe.index.search.k == 5
    run, _ = house.run("index.search.k=5", force=plan.force, planned=plan.planned)
    told = {step["name"]: step for step in run.read()["steps"]}
    assert told["index.chunk"]["status"] == "done"
    for name, fingerprint in plan.planned[""].items():
        assert told[name]["artefact"] == f"{name}/{fingerprint}"


def test_the_file_is_versioned_and_has_all_that_the_plan_was_made_of(house: House) -> None:
    planned(house)
    told = json.loads((house.folder / "plan.json").read_text(encoding="utf-8"))
    assert (told["kind"], told["format"]) == ("cervella plan", 1)
    assert told["frozen"]["index"]["search"]["k"] == 8
    assert set(told["plans"]) == {""}
    plan = told["plans"][""]
    assert len(plan["files"]) == 21 and all(len(digest) == 64 for digest in plan["files"].values())
    assert all(step["version"] for step in plan["steps"] if step["name"] != "registry.register")


def recipe_edited(house: House) -> None:
    path = house.folder / "house.yaml"
    path.write_text(path.read_text(encoding="utf-8") + "answer: {max_context_tokens: 500}\n", encoding="utf-8")


def workspace_moved(house: House) -> None:
    path = house.folder / "house.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("workspace: work", "workspace: there"), encoding="utf-8")


def other_index(house: House) -> None:
    house.run("index.chunk.max_tokens=60")


def note_edited(house: House) -> None:
    (house.notes / "NORD.md").write_text("# Nord\n\nUn altro testo, del tutto.\n", encoding="utf-8")


def other_code(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    spec_of = index.chunk_spec

    def newer(*args: Any, **options: Any) -> StepSpec:
        spec = spec_of(*args, **options)
        return StepSpec(spec.name, spec.version + 1, spec.params, spec.inputs)

    monkeypatch.setattr(index, "chunk_spec", newer)


DRIFT: dict[str, tuple[Callable[..., None], str]] = {
    "recipe": (recipe_edited, "the recipe was edited: answer.max_context_tokens: 700 → 500"),
    "workspace": (workspace_moved, "another workspace: "),
    "published": (other_index, "another index was published: "),
    "note changed": (note_edited, "1 note was changed: NORD.md"),
    "note gone": (lambda house: (house.notes / "NORD.md").unlink(), "1 note was removed: NORD.md"),
    "note added": (lambda house: (house.notes / "docs/A.md").write_text("# A\n\nx\n") and None, "1 note was added"),
    "golden": (lambda house: house.golden(question="Che ora è?"), "evaluate.retrieval would be another step: "),
    "persona": (
        lambda house: (house.folder / "persona" / "COSTITUZIONE.md").write_text("# Chi sono\n\nIo.\n") and None,
        "persona.compile would be another step: ",
    ),
    "store": (
        lambda house: shutil.rmtree(house.workspace / "store" / "index.chunk"),
        "index.chunk was to be skipped and would now run: not made yet",
    ),
    "table": (
        lambda house: shutil.rmtree(house.workspace / "index"),
        "index.build was to be skipped and would now run: nothing is published",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("drift", DRIFT)
def test_what_drifted_is_named_and_nothing_is_done(house: House, drift: str) -> None:
    change, text = DRIFT[drift]
    plan = planned(house)
    change(house)
    runs = list((house.workspace / "runs").iterdir())
    with pytest.raises(TerminalError) as refused:
        check_plan(plan)
    assert text in str(refused.value)
    assert "cervella plan" in str(refused.value)
    assert refused.value.exit_code == 3
    assert list((house.workspace / "runs").iterdir()) == runs


def test_other_code_is_named_with_both_versions(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = planned(house)
    other_code(house, monkeypatch)
    with pytest.raises(TerminalError, match=r"the code of index\.chunk is another: version \d+ → \d+"):
        check_plan(plan)


def test_a_note_that_changes_while_the_run_is_under_way_is_refused_at_the_step(house: House) -> None:
    plan = planned(house)
    check_plan(plan)
    note_edited(house)  # between the check and the run
    with pytest.raises(TerminalError, match=r"sncp\.collect is not the step that the plan named"):
        house.run(planned=plan.planned)


def test_overrides_that_contradict_are_refused_and_others_are_not(house: House) -> None:
    plan = planned(house, "index.search.k=5")
    check_plan(plan, recipe=house.load("index.search.k=5"))
    with pytest.raises(InputError, match=r"contradicts the plan: index\.search\.k: 5 → 6"):
        check_plan(plan, recipe=house.load("index.search.k=6"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is no plan"),
        ("[]", "is no plan"),
        ('{"kind": "cervella plan", "format": 2}', "format 2"),
        ("\x00\xff", "is no plan"),
        ("[" * 100_000, "is no plan"),
    ],
    ids=["empty", "list", "newer", "bytes", "deep"],
)
def test_what_is_no_plan_is_told(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "p.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=says):
        read_plan(tmp_path / "p.json")


def test_a_plan_edited_by_hand_is_refused(house: House) -> None:
    planned(house)
    file = house.folder / "plan.json"
    file.write_text(file.read_text(encoding="utf-8").replace('"k": 8', '"k": 9'), encoding="utf-8")
    with pytest.raises(InputError, match="was changed after it was written"):
        read_plan(file)
    with pytest.raises(InputError, match="cannot be read"):
        read_plan(house.folder / "nowhere.json")


def test_a_plan_of_a_matrix_holds_for_each_combination(house: House) -> None:
    plan = planned(house, "matrix={index.search.k: [5, 6]}")
    assert list(plan.plans) == ["k=5", "k=6"]
    assert [one.name for one in check_plan(plan).combinations] == ["k=5", "k=6"]
    note_edited(house)
    with pytest.raises(TerminalError, match=r"k=5: 1 note was changed: NORD\.md\n"):
        check_plan(plan)
