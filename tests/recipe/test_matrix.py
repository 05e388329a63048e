"""Section `matrix`: combinations, their names and indexes, and every fault of it at once, where it is written."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.recipe import load_recipe
from components.recipe.plan_matrix import MatrixPlan, plan_loaded, render

sys.path.insert(0, str(Path(__file__).parent))
from plan_house import House  # noqa: E402

TWO = "matrix: {index.chunk.max_tokens: [200, 300], index.search.k: [5, 8]}\n"


def names(loaded: Any) -> list[str]:
    return [one.name for one in loaded.combinations]


def test_each_combination_is_a_recipe_of_its_own(kitchen: Any, good: str) -> None:
    loaded = kitchen.load(good + TWO)
    assert names(loaded) == [
        "max_tokens=200, k=5", "max_tokens=200, k=8", "max_tokens=300, k=5", "max_tokens=300, k=8",
    ]  # fmt: skip
    last = loaded.combinations[-1]
    assert last.values == {"index.chunk.max_tokens": 300, "index.search.k": 8}
    assert (last.loaded.recipe.index.chunk.max_tokens, last.loaded.recipe.index.search.k) == (300, 8)
    assert last.loaded.recipe.matrix is None
    assert str(last.loaded.origins["index.search.k"]) == "soup.yaml:9:66"
    assert loaded.recipe.matrix == {"index.chunk.max_tokens": [200, 300], "index.search.k": [5, 8]}


def test_nested_keys_are_the_same(kitchen: Any, good: str) -> None:
    nested = "matrix:\n  index:\n    chunk: {max_tokens: [200, 300]}\n    search: {k: [5, 8]}\n"
    assert names(kitchen.load(good + nested)) == names(kitchen.load(good + TWO))


def test_the_own_index_stays_and_those_that_index_alike_share_one(kitchen: Any, good: str) -> None:
    loaded = kitchen.load(good + TWO)
    uris = [one.loaded.recipe.index.uri for one in loaded.combinations]
    assert uris[0] == uris[1] != uris[2] == uris[3]
    assert all(uri.parent == loaded.recipe.workspace / "matrix" for uri in uris)
    assert loaded.recipe.index.uri is None


def test_an_override_sets_a_key_for_all_and_null_takes_the_matrix_away(kitchen: Any, good: str) -> None:
    assert names(kitchen.load(good + TWO, "index.search.k=3")) == ["max_tokens=200", "max_tokens=300"]
    assert [one.loaded.recipe.index.search.k for one in kitchen.load(good + TWO, "index.search.k=3").combinations] == [
        3, 3,
    ]  # fmt: skip
    assert names(kitchen.load(good + TWO, "matrix=null")) == []
    assert names(kitchen.load(good + TWO, "matrix.index.search.k=[1, 2, 3]")) == [
        f"max_tokens={size}, k={k}" for size in (200, 300) for k in (1, 2, 3)
    ]
    assert names(kitchen.load(good + TWO, "index={search: {k: 3}}")) == []  # all of the section is set


def test_paths_are_relative_to_the_file_that_has_the_matrix(kitchen: Any, good: str) -> None:
    kitchen.write("a.jsonl", "{}\n")
    loaded = kitchen.load(good + "matrix: {evaluate.golden: [a.jsonl, golden.jsonl]}\n")
    assert [one.loaded.recipe.evaluate.golden for one in loaded.combinations] == [
        kitchen.folder / "a.jsonl", kitchen.folder / "golden.jsonl",
    ]  # fmt: skip


def test_keys_that_end_alike_are_told_apart(kitchen: Any, good: str) -> None:
    loaded = kitchen.load(good + "matrix: {index.chunk.max_tokens: [200], persona.max_tokens: [900]}\n")
    assert names(loaded) == ["chunk.max_tokens=200, persona.max_tokens=900"]


FAULTY = """\
matrix:
  index.chunk.max_tokens: [200, 3000, many]
  index.search.kk: [5]
  index.search: [1]
  workspace: [a]
  registry.experiment: [a, b]
  answer.min_score: []
  evaluate.seed: [1, 1]
  llm.chat.model: local/nothing
  llm.cache: [true, 7]
"""


def test_all_faults_are_told_at_once_each_at_its_line(kitchen: Any, good: str) -> None:
    told = {
        (fault.place.line, fault.key.removeprefix("matrix: "), fault.message.split(":")[0])
        for fault in kitchen.refused(good + FAULTY).faults
    }
    assert told == {
        (10, "index.chunk.max_tokens", "3000 is more than local/multilingual-e5-small takes"),
        (10, "index.chunk.max_tokens", "text, where a whole number is expected"),
        (11, "index.search.kk", "is no key of a recipe"),
        (12, "index.search", "is a section"),
        (13, "workspace", "is the same for all combinations"),
        (14, "registry.experiment", "is the same for all combinations"),
        (15, "answer.min_score", "is an empty list"),
        (16, "evaluate.seed", "has the value 1 twice"),
        (17, "llm.chat.model", "is no list"),
        (18, "llm.cache", "a whole number, where true or false is expected"),
    }


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("matrix: [1]\n", "is no map of keys"),
        ("matrix: 3\n", "is no map"),
        (f"matrix: {{index.search.k: {list(range(1, 100))}}}\n", "has 99 combinations"),
        (f"matrix: {{evaluate.seed: {list(range(9))}, index.search.k: {list(range(1, 10))}}}\n", "at most 64"),
        ("matrix: {matrix.index.search.k: [1]}\n", "is the same for all combinations"),
        ("matrix: {phase: [mvp, reindex]}\n", "is the same for all combinations"),
    ],
    ids=["list", "number", "too many", "too many together", "itself", "phases"],
)
def test_what_is_no_matrix_is_refused(kitchen: Any, good: str, text: str, says: str) -> None:
    assert says in str(kitchen.refused(good + text))


def test_a_reindex_has_no_matrix(kitchen: Any, edited: Any) -> None:
    error = kitchen.refused(edited("phase: mvp", "phase: reindex") + TWO)
    assert "phase reindex scores nothing" in str(error) and "-o matrix=null" in str(error)
    assert "phase reindex scores nothing" in str(kitchen.refused(edited("mvp", "mvp") + TWO, "phase=reindex"))


@given(
    st.dictionaries(
        st.text(max_size=20), st.one_of(st.none(), st.lists(st.one_of(st.integers(), st.text(max_size=5)), max_size=3)),
        max_size=3,
    )
)  # fmt: skip
def test_any_matrix_ends_in_combinations_or_in_located_faults(
    tmp_path_factory: pytest.TempPathFactory, matrix: dict[str, Any]
) -> None:
    import json

    from components.recipe import RecipeError

    folder = tmp_path_factory.getbasetemp() / "any-matrix"
    if not folder.exists():
        (folder / "notes").mkdir(parents=True)
        (folder / "notes" / "a.md").write_text("# A\n")
        (folder / "c.md").write_text("# C\n")
        (folder / "g.jsonl").write_text("{}\n")
    text = "name: a\nphase: mvp\nsncp: {root: notes}\npersona: {dna: c.md}\nevaluate: {golden: g.jsonl}\n"
    (folder / "r.yaml").write_text(text + "matrix: " + json.dumps(matrix) + "\n", encoding="utf-8")
    try:
        load_recipe(folder / "r.yaml", cwd=folder)
    except RecipeError as error:
        assert error.faults and all(fault.place.file for fault in error.faults)


def test_the_plan_tells_shared_steps_once_and_counts_each_text_once(tmp_path: Path) -> None:
    house = House.make(tmp_path)
    single = house.plan()
    loaded = house.load("matrix={index.search.k: [5, 6], answer.max_context_tokens: [300, 500]}")
    plan = plan_loaded(loaded)
    assert isinstance(plan, MatrixPlan)
    assert plan.work.texts == single.work.texts
    assert plan.work.calls_at_most == 4 * single.work.calls_at_most - 3  # the bare model is the same for all
    first, *others = plan.plans
    assert [step.action for step in first.steps] == ["run"] * 14
    for one in others:
        assert {step.name for step in one.steps if step.action == "run"} == {
            "evaluate.answers", "evaluate.candidate", "evaluate.judge", "evaluate.score", "registry.gate",
            "registry.release", "registry.report",
        }  # fmt: skip
        assert all(step.reason == "made for k=5, max_context_tokens=300" for step in one.steps if step.action == "skip")
    text = render(plan)
    assert text.count("sncp.collect") == 1
    assert "4 combinations" in text and "7 steps, for k=5, max_context_tokens=300 as well" in text
    told = plan.to_dict()
    assert [one["values"]["index.search.k"] for one in told["combinations"]] == [5, 5, 6, 6]
    assert not house.workspace.exists()
