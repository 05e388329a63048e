"""`cervella train pack` and `train unpack` as people call them, on the example dataset, around a real training."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from components.train.environments import Environment
from tests.flows.conftest import Done, here  # noqa: F401 (a fixture)
from tests.processes import clean_environment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

ROOT = Path(__file__).resolve().parents[2]
RECIPE = "recipes/optimize-smoke.yaml"


@dataclass(frozen=True)
class Packed:
    """A workspace with a bundle that was packed in it."""

    options: tuple[str, ...]
    out: Path
    told: str
    bundle: Path


def cervella(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "flows.cli", *map(str, arguments)], cwd=ROOT, env=clean_environment(), text=True,
        capture_output=True, stdin=subprocess.DEVNULL, timeout=900, check=False,
    )  # fmt: skip


def options_of(values: Sequence[str]) -> tuple[str, ...]:
    return tuple(word for value in values for word in ("-o", value))


@pytest.fixture(scope="module")
def packed(tiny_qwen3: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Packed:
    folder = tmp_path_factory.mktemp("commands")
    model = tiny_qwen3("axolotl")
    options = options_of([
        "llm.chat.model=fake/chat", f"workspace={folder / 'workspace'}", "train.base.model=null",
        f"train.base.folder={model}", "train.base.template=qwen3", "train.max_steps=2", "train.max_tokens=1024",
        "train.learning_rate=0.01",
        "train.batch_size=2", "train.accumulation=1",
    ])  # fmt: skip
    done = cervella("train", "pack", RECIPE, "--out", folder / "out", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    [bundle] = (folder / "out").iterdir()
    return Packed(options, folder / "out", done.stdout + done.stderr, bundle)


def test_what_leaves_is_told_and_what_comes_next(packed: Packed) -> None:
    assert "58 examples (7 of them held out) as text" in packed.told and "the base model (5" in packed.told
    assert "Not the notes themselves, no key" in packed.told
    assert f"cervella train unpack result-{packed.bundle.stem[-16:]}.tar.gz" in packed.told
    with zipfile.ZipFile(packed.bundle) as archive:
        manifest = json.loads(archive.read(f"{packed.bundle.stem}/manifest.json"))
    assert manifest["rows"] == {"train": 51, "validation": 7} and manifest["steps"] == 2


def test_the_same_recipe_gives_the_same_bundle(packed: Packed, tmp_path: Path) -> None:
    done = cervella("train", "pack", RECIPE, "--out", tmp_path, *packed.options)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / packed.bundle.name).read_bytes() == packed.bundle.read_bytes()


def test_an_example_of_a_note_that_must_stay_here_is_named(packed: Packed, tmp_path: Path) -> None:
    rows = (ROOT / "examples" / "dataset" / "foundation.jsonl").read_text("utf-8").splitlines()
    notes = [json.loads(row).get("provenance", {}).get("note") for row in rows]
    line, note = next((number, note) for number, note in enumerate(notes, 1) if note and not note.startswith("@"))
    done = cervella("train", "pack", RECIPE, "--out", tmp_path, *packed.options, "-o", f"privacy.local=['{note}']")
    assert done.returncode == 3, done.stdout + done.stderr
    assert f"foundation.jsonl:{line} (from {note})" in done.stderr and "Nothing was packed" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("pack", "recipes/mvp.yaml"), 2, "its phase is mvp; only one of phase optimize trains"),
        (("unpack", "nowhere.tar.gz"), 2, "nowhere.tar.gz: No such file"),
        (("unpack", "README.md"), 2, "it is no .tar.gz"),
    ],
    ids=["no recipe that trains", "no file", "no result"],
)
def test_what_cannot_be_done_is_said(
    here: Callable[..., Done],  # noqa: F811
    arguments: tuple[str, ...],
    code: int,
    words: str,
) -> None:
    done = here("train", *arguments)
    assert done.code == code and words in done.err, done.err


def test_the_result_is_taken_and_the_run_goes_on_from_it(
    packed: Packed,
    trainer_environment: Callable[[str], Environment],
    here: Callable[..., Done],  # noqa: F811
    tmp_path: Path,
) -> None:
    with zipfile.ZipFile(packed.bundle) as archive:
        archive.extractall(tmp_path)
    there = tmp_path / packed.bundle.stem
    variables = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "OMP_NUM_THREADS": "1",
                 "CERVELLA_TRAINER_PYTHON": str(trainer_environment("axolotl").python)}  # fmt: skip
    trained = subprocess.run([sys.executable, "-I", "-S", "train.py"], cwd=there, env=variables, capture_output=True,
                             text=True, timeout=1200, check=False)  # fmt: skip
    assert trained.returncode == 0, trained.stdout + trained.stderr
    result = there / f"result-{packed.bundle.stem[-16:]}.tar.gz"

    other = cervella("train", "unpack", result, *packed.options, "-o", "train.lora.r=3")
    assert other.returncode == 3
    assert "What changed since it was packed: train.lora.r was " in other.stderr and "Nothing was taken" in other.stderr

    taken = cervella("train", "unpack", result, *packed.options)
    assert taken.returncode == 0, taken.stderr
    assert "Taken: 2 steps" in taken.stdout and "Go on with: cervella run optimize-smoke" in taken.stdout
    again = cervella("train", "unpack", result, "-r", RECIPE, *packed.options)
    assert again.returncode == 0 and "It was here already: 2 steps" in again.stdout

    planned = here("plan", RECIPE, *packed.options, "--json").json
    actions = {step["name"]: step["action"] for step in planned["steps"]}
    assert actions["train.run"] == "skip" and actions["train.losses"] == "run"
