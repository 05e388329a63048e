"""What is known about a loaded recipe: origins, digest, explanations, the frozen copy, the list."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from components.errors import InputError
from components.recipe import RecipeError, explain, freeze, list_recipes, load_frozen, load_recipe


def test_origins_name_file_override_and_default(kitchen, good: str) -> None:
    kitchen.write("_base.yaml", "index:\n  search:\n    candidates: 20\n")
    loaded = kitchen.load("extends: _base.yaml\n" + good, "index.search.k=5")
    assert str(loaded.origins["index.search.candidates"]) == "_base.yaml:3:17"
    assert loaded.origins["index.search.candidates"].text == "candidates: 20"
    assert str(loaded.origins["index.search.k"]) == "-o index.search.k=5"
    assert str(loaded.origins["index.search.fusion"]) == "default"
    assert str(loaded.origins["sncp.sources.idea"]) == "default"
    assert "extends" not in loaded.origins


def test_every_value_has_an_origin(kitchen) -> None:
    loaded = kitchen.load()
    assert [item.key for item in explain(loaded)] == list(loaded.origins)
    assert {"name", "persona.session", "sncp.include", "registry.alias"} <= loaded.origins.keys()


def test_explain_a_section_and_a_key(kitchen, good: str) -> None:
    loaded = kitchen.load(good, "index.search.k=5", "persona.priorities={'1. Chi sono': 3}")
    assert [item.key for item in explain(loaded, "llm.budget")] == [
        "llm.budget.per_run_usd",
        "llm.budget.per_query_usd",
    ]
    (item,) = explain(loaded, "index.search.k")
    assert (item.value, item.origin, item.description) == (5, "-o index.search.k=5", "chunks returned")
    (item,) = explain(loaded, "persona.priorities")
    assert (item.key, item.value) == ("persona.priorities.1. Chi sono", 3)


def test_explain_an_unknown_key(kitchen) -> None:
    with pytest.raises(InputError, match=r"no key 'index.serch'; did you mean 'index.search'\?"):
        explain(kitchen.load(), "index.serch")


def test_digest_follows_the_values_alone(kitchen, good: str) -> None:
    digest = kitchen.load().digest
    assert digest == kitchen.load("# a comment\n" + good, "index.search.k=8").digest
    assert digest != kitchen.load(good, "index.search.k=9").digest
    assert len(digest) == 64


def test_frozen_recipe_reads_back_equal(kitchen, good: str, tmp_path: Path) -> None:
    odd = ["no", "010", "1e5", "~", "", " a ", "a: b", "#", "'\"\\", "é→🌊", "a\nb", "*x", "- a", "2026-01-01", "1_0"]
    loaded = kitchen.load(good, f"sncp.exclude={json.dumps(odd, ensure_ascii=False)}", "llm.chat.temperature=1e-5")
    freeze(loaded, tmp_path / "runs" / "r1")
    again = load_frozen(tmp_path / "runs" / "r1")
    assert again == loaded.recipe
    assert again.sncp.exclude == odd
    assert sorted(path.name for path in (tmp_path / "runs" / "r1").iterdir()) == ["origins.json", "recipe.yaml"]
    facts = json.loads((tmp_path / "runs" / "r1" / "origins.json").read_text())
    assert facts["digest"] == loaded.digest
    assert facts["origins"]["sncp.root"] == {
        "kind": "file",
        "file": "soup.yaml",
        "line": 4,
        "col": 9,
        "text": "root: notes",
    }


def test_frozen_recipe_can_be_loaded_as_a_recipe(kitchen, tmp_path: Path) -> None:
    loaded = kitchen.load()
    again = load_recipe(freeze(loaded, tmp_path / "r1"), cwd=tmp_path)
    assert (again.recipe, again.digest) == (loaded.recipe, loaded.digest)


def test_frozen_recipe_needs_no_files_any_more(kitchen, tmp_path: Path) -> None:
    loaded = kitchen.load()
    freeze(loaded, tmp_path / "r1")
    (kitchen.folder / "golden.jsonl").unlink()
    assert load_frozen(tmp_path / "r1") == loaded.recipe


def test_frozen_recipe_that_is_missing_or_damaged(kitchen, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no frozen recipe"):
        load_frozen(tmp_path)
    path = freeze(kitchen.load(), tmp_path / "r1")
    path.write_text(path.read_text().replace("phase: mvp", "phase: 3"))
    with pytest.raises(RecipeError, match=r"recipe.yaml:\d+:8: phase"):
        load_frozen(tmp_path / "r1")
    path.write_text("")
    with pytest.raises(RecipeError):
        load_frozen(tmp_path / "r1")


def test_list_says_what_each_is_and_what_is_wrong(kitchen, good: str) -> None:
    kitchen.write("r/_base.yaml", "name: base\n")
    kitchen.write("r/bad.yaml", "# What: is broken.   Before: nothing.\nname: 3\n")
    kitchen.write(
        "r/fine.yaml",
        "# What: is fine.\n"
        + good.replace("root: ", "root: ../").replace("n: C", "n: ../C").replace("golden: ", "golden: ../"),
    )
    bad, fine = list_recipes(kitchen.folder / "r")
    assert (bad.name, bad.phase, bad.description) == ("bad", None, "is broken.")
    assert bad.fault is not None
    assert "bad.yaml:2:1: phase: is missing" in bad.fault or "bad.yaml:2:7: name" in bad.fault
    assert (fine.name, fine.phase, fine.description, fine.fault) == ("fine", "mvp", "is fine.", None)
