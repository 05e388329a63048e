"""The recipes of this project, their schema, and how light it is to read them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from components.recipe import list_recipes, load_recipe, recipe_schema
from components.recipe.schema import schema_text, write_schema

HEAVY = [
    "prefect", "mlflow", "litellm", "lancedb", "great_expectations", "torch", "numpy", "pandas", "pyarrow", "xllamacpp",
]  # fmt: skip
RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.yaml"))


def test_every_recipe_is_here(root: Path) -> None:
    names = [path.stem for path in RECIPES if not path.name.startswith("_")]
    assert names == [
        "dataset", "mvp-claude", "mvp", "optimize-qwen3-4b-llamafactory", "optimize-qwen3-4b-unsloth",
        "optimize-qwen3-4b", "optimize-smoke", "reindex", "scale-hybrid",
    ]  # fmt: skip
    assert [info.name for info in list_recipes(root / "recipes")] == names


@pytest.mark.parametrize(
    "path", [path for path in RECIPES if not path.name.startswith("_")], ids=lambda path: path.stem
)
def test_recipe_is_valid(path: Path, root: Path) -> None:
    loaded = load_recipe(path, cwd=root)
    assert loaded.recipe.name == path.stem
    assert loaded.recipe.description
    assert loaded.recipe.workspace == root / ".cervella"


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_header_says_what_before_run_and_try(path: Path) -> None:
    head = path.read_text(encoding="utf-8").splitlines()[:4]
    assert head[0] == "# yaml-language-server: $schema=schema.json"
    assert head[1].startswith("# What: ")
    assert "Before: " in head[1]
    assert head[2].startswith("# Run:  cervella run recipes/")
    assert head[3].startswith("# Try:  ")


def test_schema_is_up_to_date(root: Path) -> None:
    assert (root / "recipes" / "schema.json").read_text(encoding="utf-8") == schema_text(), (
        'stale: python -c "from pathlib import Path; from components.recipe import write_schema; '
        "write_schema(Path('recipes/schema.json'))\""
    )


def test_schema_is_written_when_it_changed(tmp_path: Path) -> None:
    assert write_schema(tmp_path / "schema.json")
    assert not write_schema(tmp_path / "schema.json")
    assert json.loads((tmp_path / "schema.json").read_text()) == recipe_schema()


def test_schema_describes_every_key_and_closes_every_section() -> None:
    schema = recipe_schema()
    silent = []
    for name, section in {"recipe": schema, **schema["$defs"]}.items():
        if "properties" in section:
            assert section["additionalProperties"] is False
            silent += [
                f"{name}.{key}"
                for key, value in section["properties"].items()
                if "description" not in value and "$ref" not in value
            ]
    assert set(silent) <= {"ChatParams.temperature", "RegistryParams.experiment"}
    assert not [match for match in json.dumps(schema).split('"') if match == "required"]


def test_reading_a_recipe_is_light(root: Path) -> None:
    code = (
        "import sys; from components.recipe import load_recipe; load_recipe('recipes/mvp.yaml');"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=60, check=False
    )  # noqa: S603
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_the_same_recipe_has_the_same_digest_in_another_process(root: Path) -> None:
    code = "from components.recipe import load_recipe; print(load_recipe('recipes/mvp.yaml').digest)"
    digests = {
        subprocess.run(  # noqa: S603
            [sys.executable, "-c", code],
            cwd=root,
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert digests == {load_recipe("recipes/mvp.yaml", cwd=root).digest}
