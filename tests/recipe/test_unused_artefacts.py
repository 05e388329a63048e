"""What `gc` keeps and removes of what runs have sealed."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

from components.index import steps as index
from components.recipe.cleaning import remove_unused
from components.recipe.unused import Look
from components.store import Store, list_runs
from tests.recipe.forget_house import KEPT, House


def collect(house: House, **options: Any) -> list[str]:
    look = Look(house.recipe, **options)
    return [f"{item.kind} {item.path.relative_to(house.workspace)}" for item in remove_unused(look, look.find())]


def test_after_a_hundred_runs_everything_is_still_sealed(house: House) -> None:
    for number in range(100):
        if number % 10 == 0:
            (house.root / "orari.md").write_text(f"# Orari\n\n{KEPT} {number}.\n", encoding="utf-8")
        house.index()
    before = len(list((house.workspace / "store" / "sncp.collect").iterdir()))
    removed = collect(house, keep=3)
    assert before == 11 and sum("sncp.collect" in item for item in removed) == 10
    run = house.index()
    assert {step["status"] for step in run.read()["steps"]} == {"skipped"}
    assert house.found("portineria")[0] == "orari.md"
    assert len(list_runs(house.workspace)) == 102  # the record stays
    assert collect(house, keep=3) == []


def test_what_a_rollback_of_another_recipes_index_needs_stays(house: House) -> None:
    ours = house.recipe
    other = {**ours.index.model_dump(mode="json"), "uri": str(house.workspace / "another index")}
    house.recipe = ours.model_copy(update={"name": "altra", "index": type(ours.index).model_validate(other)})
    for number in range(3):
        (house.root / "orari.md").write_text(f"# Orari\n\n{KEPT} {number}.\n", encoding="utf-8")
        house.freeze(house.index())
    needed = index.history_artefacts(house.recipe.index, workspace=house.workspace)
    assert len(needed) == 3
    house.recipe = ours
    assert collect(house, keep=1)
    for artefact in needed:
        Store(house.workspace).open(artefact)


def test_what_was_left_by_the_dead_goes(house: House) -> None:
    old = house.workspace / "scratch" / "abc"
    for path in (old / "half.jsonl", old):
        os.utime(path, (1, 1))
    young = house.workspace / "scratch" / "young"
    young.mkdir()
    (house.workspace / "locks" / "dead.step").touch()
    removed = collect(house)
    assert "scratch scratch/abc" in removed and young.is_dir()
    assert "half-made store/index.chunk/.0123.x" in removed and "cache cache/responses.sqlite.corrupt-1" in removed
    assert not (house.workspace / "locks" / "dead.step").exists()


def test_the_newest_run_of_each_recipe_and_release_is_kept(house: House) -> None:
    house.run.update(mlflow={"run": "r", "model": "m", "version": 1})
    kept = {step["artefact"] for step in house.run.read()["steps"]}
    (house.root / "orari.md").write_text(f"# Orari\n\n{KEPT} uno.\n", encoding="utf-8")
    between = {step["artefact"] for step in house.index().read()["steps"]} - kept
    (house.root / "orari.md").write_text(f"# Orari\n\n{KEPT} due.\n", encoding="utf-8")
    house.index()
    collect(house, keep=1)
    store = Store(house.workspace)
    for artefact in kept:
        store.open(artefact)
    gone = [artefact for artefact in between if not (house.workspace / "store" / artefact).exists()]
    # The chunks stay: the index can go back to them.
    assert {artefact.split("/")[0] for artefact in gone} == {"sncp.collect", "index.build"}


def test_age_instead_of_count(house: House) -> None:
    (house.root / "orari.md").write_text(f"# Orari\n\n{KEPT} uno.\n", encoding="utf-8")
    house.index()
    assert not [item for item in collect(house, older_than=timedelta(days=1)) if item.startswith("artefact")]
    assert [item for item in collect(house, older_than=timedelta(0)) if item.startswith("artefact")]


def test_each_combination_of_a_matrix_is_kept(house: House) -> None:
    for number in range(3):
        (house.root / "orari.md").write_text(f"# Orari\n\n{KEPT} {number}.\n", encoding="utf-8")
        house.index().update(matrix={"run": "r", "combination": str(number), "values": {}})
    assert not [item for item in collect(house, keep=1) if item.startswith("artefact")]


def test_an_index_of_combinations_of_which_no_run_is_kept(house: House) -> None:
    def run_of(name: str) -> None:
        uri = house.workspace / "matrix" / name
        house.recipe = whole.model_copy(update={"index": whole.index.model_copy(update={"uri": uri})})
        house.freeze(house.index())

    whole = house.recipe

    def removed() -> list[str]:
        return [item for item in collect(house, keep=1) if item.startswith("index ")]

    run_of("old")
    assert removed() == []
    run_of("new")
    assert removed() == ["index matrix/old"]
    assert not (house.workspace / "matrix" / "old").exists()
    assert house.found("portineria")[0] == "orari.md"
    house.recipe = whole
    assert house.found("portineria")[0] == "orari.md"  # the recipe's own index is never unused
    run_of("old")
    assert house.found("portineria")[0] == "orari.md"


def test_a_damaged_record_of_a_run_is_no_hindrance(house: House) -> None:
    record = house.index().folder / "run.json"
    record.write_text("{garbage", encoding="utf-8")
    for options in ({"keep": 1}, {"older_than": timedelta(0)}):
        collect(house, **options)
    assert record.exists() and house.found("portineria")[0] == "orari.md"
