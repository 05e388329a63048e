"""What was trained on a text goes with it, although none of its bytes says so."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from components.recipe.forget_trained import copies_of, trained_on
from components.store import Artefact, StepSpec, Store


def seal(workspace: Path, name: str, text: str, **inputs: Any) -> Artefact:
    given = {key: one.outputs_digest if key == "prepared" else one.digest for key, one in inputs.items()}
    spec = StepSpec(name, 1, {}, given or {"text": text})
    with Store(workspace).step(spec) as step:
        step.write_text("file", text)
    return step.artefact


@pytest.fixture
def chains(tmp_path: Path) -> dict[str, list[Artefact]]:
    """Two trainings, each with all that hangs on it, of two datasets."""
    found = {}
    for name in ("one", "other"):
        split = seal(tmp_path, "dataset.split", f"rows of {name}")
        prepared = seal(tmp_path, "train.prepare", f"prepared {name}", split=split)
        trained = seal(tmp_path, "train.run", f"adapter of {name}", prepared=prepared)
        losses = seal(tmp_path, "train.losses", f"losses of {name}", trained=trained)
        exported = seal(tmp_path, "train.export", f"gguf of {name}", trained=trained)
        found[name] = [split, prepared, trained, losses, exported]
    return found


def test_all_that_hangs_on_it_is_found_the_last_first(tmp_path: Path, chains: dict[str, list[Artefact]]) -> None:
    split, prepared, trained, losses, exported = chains["one"]
    found = trained_on(tmp_path, [split.path])
    assert [one.id for one in found] == [exported.id, losses.id, trained.id, prepared.id]
    assert trained_on(tmp_path, []) == []
    assert [one.id for one in trained_on(tmp_path, [trained.path])] == [exported.id, losses.id]


def test_a_killed_forgetting_finds_the_rest(tmp_path: Path, chains: dict[str, list[Artefact]]) -> None:
    split, *_ = chains["one"]
    for done in trained_on(tmp_path, [split.path])[:2]:
        shutil.rmtree(done.path)
    assert [one.step for one in trained_on(tmp_path, [split.path])] == ["train.run", "train.prepare"]


def test_copies_in_mlflow_are_found_by_their_content(tmp_path: Path, chains: dict[str, list[Artefact]]) -> None:
    folder = tmp_path / "mlflow" / "artifacts" / "run"
    folder.mkdir(parents=True)
    (folder / "adapter.safetensors").write_text("adapter of one", encoding="utf-8")
    (folder / "another").write_text("adapter of two", encoding="utf-8")  # as long
    assert copies_of(tmp_path, chains["one"]) == [folder / "adapter.safetensors"]
    assert copies_of(tmp_path, chains["other"]) == []


def test_a_training_goes_with_any_of_the_ways_to_its_files(tmp_path: Path, chains: dict[str, list[Artefact]]) -> None:
    moved = seal(tmp_path, "dataset.split", "rows of one, from files that lie elsewhere")
    again = seal(tmp_path, "train.prepare", "prepared one", split=moved)
    _, prepared, trained, losses, exported = chains["one"]
    assert again.digest != prepared.digest
    assert [one.id for one in trained_on(tmp_path, [moved.path])] == [exported.id, losses.id, trained.id, again.id]
