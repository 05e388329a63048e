"""Two thousand accidents with the shipped recipes: each ends in a recipe or in faults that say where, and soon.

MUTATIONS=1000 tries ten thousand, of which these are the first: `MUTATIONS=1000 pytest tests/recipe/test_mutations.py`.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.recipe.mutations import complaint, copy_project, mutated, try_many

EACH = int(os.environ.get("MUTATIONS", "200"))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(7000, 7010))
def test_mutated_recipes(root: Path, tmp_path: Path, seed: int) -> None:
    wrong = try_many(str(root), str(tmp_path), seed, EACH)
    assert not wrong, "\n\n".join(wrong[:5])


@pytest.fixture(scope="module")
def project(root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    folder = tmp_path_factory.mktemp("project")
    return folder, copy_project(root, folder)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), name=st.sampled_from(["mvp.yaml", "reindex.yaml"]))
def test_a_mutated_recipe(project: tuple[Path, dict[str, bytes]], seed: int, name: str) -> None:
    folder, recipes = project
    path = folder / "recipes" / "mutated.yaml"
    path.write_bytes(mutated(random.Random(seed), recipes[name]))
    assert complaint(path, cwd=folder) is None


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32))
@example(seed=534)
def test_a_mutated_override(project: tuple[Path, dict[str, bytes]], seed: int) -> None:
    folder, _ = project
    rng = random.Random(seed)
    overrides = [
        b"index.search.k=5",
        b"sncp.include=['**/*.md', a]",
        b"persona.session={max_tokens: 9}",
        b"name=${phase}",
    ]
    texts = tuple(mutated(rng, rng.choice(overrides)).decode("utf-8", "surrogateescape") for _ in range(2))
    assert complaint(folder / "recipes" / "reindex.yaml", cwd=folder, overrides=texts) is None


def test_accidents_are_the_same_for_the_same_seed_and_others_for_another(root: Path) -> None:
    data = (root / "recipes" / "mvp.yaml").read_bytes()
    first, again, other = ([mutated(random.Random(seed), data) for _ in range(3)] for seed in (1, 1, 2))
    assert first == again != other
    assert all(text != data for text in first)


def test_a_crash_would_be_seen(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy_project(root, tmp_path)
    monkeypatch.setattr("components.recipe.load.check_rules", lambda *_, **__: 1 / 0)
    told = complaint(tmp_path / "recipes" / "mvp.yaml", cwd=tmp_path)
    assert told is not None and "ZeroDivisionError" in told
