"""Phase optimize from end to end: notes, examples, a real training, the exported adapter, scores, the release."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from components.store import Store
from tests.train.conftest import trainer_environment
from tests.train.tiny_model import make_tiny_qwen3

__all__ = ["trainer_environment"]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

STEPS = [
    "sncp.collect", "index.chunk", "index.build", "persona.compile", "roadmap.triggers", "dataset.gather",
    "dataset.check", "dataset.split", "dataset.audit", "train.prepare", "train.run", "train.losses", "train.export",
    "evaluate.retrieval", "evaluate.answers", "evaluate.score", "registry.gate", "registry.release",
    "registry.report", "registry.register",
]  # fmt: skip


def run(program: Any, *arguments: object) -> Any:
    """A run with a training in it, which takes its time."""
    done = program.end(program.start("run", *arguments), seconds=1200)
    assert "Traceback" not in done.err, done.err
    return done


@pytest.fixture(scope="module")
def tiny(trainer_environment: Callable[[str], Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base") / "tiny-qwen3"
    make_tiny_qwen3(folder, python=trainer_environment("axolotl").python)
    return folder


@pytest.mark.parametrize("trainer", ["axolotl", "llamafactory"])
def test_from_notes_to_a_registered_adapter(
    program: Any, here: Any, one_server: Any, new_workspace: Callable[..., Any], tiny: Path, trainer: str,
    trainer_environment: Callable[[str], Any],
) -> None:  # fmt: skip
    trainer_environment(trainer)
    workspace = new_workspace(
        "-o", f"train.trainer={trainer}", "-o", "train.base.model=null", "-o", f"train.base.folder={tiny}",
        "-o", "train.base.template=qwen3", "-o", "dataset.check.template=qwen3", "-o", "train.learning_rate=0.01",
        "-o", "train.max_steps=6", "-o", "evaluate.answers=1", first=False,
    )  # fmt: skip
    one_server(workspace)
    first = run(program, "optimize-smoke", *workspace.options, "--json")
    assert first.code == 1, first.err  # a random model of two layers is no partner
    assert list(first.steps) == STEPS and set(first.steps.values()) == {"done"}
    training, metrics = first.json["training"], first.json["scorecard"]["metrics"]
    assert training["trainer"] == trainer and training["steps"] == 6
    assert training["best_eval_loss"] < training["base_eval_loss"]  # its untrained twin
    # Measured by us, on the saved adapter, it is the same loss.
    assert metrics["held_out_perplexity"]["value"] == pytest.approx(math.exp(training["best_eval_loss"]), rel=0.05)
    assert metrics["base_perplexity"]["value"] == pytest.approx(math.exp(training["base_eval_loss"]), rel=0.05)
    assert metrics["perplexity_against_base"]["value"] < 1
    criteria = {one["name"]: one["verdict"] for one in first.json["gate"]["criteria"]}
    assert {"train_loss", "held_out_perplexity", "perplexity_against_base"} <= set(criteria)

    store = Store(workspace.path)
    sealed = {step["name"]: step["artefact"] for step in first.json["steps"] if "artefact" in step}
    trained = store.open(sealed["train.run"])
    masks = trained.read_json("masks.json")
    assert all(one["compared"] and not one["differing"] for one in masks.values())
    assert "<svg" in trained.read_text("page.html")
    proof = store.open(sealed["train.export"]).read_json("proof.json")
    assert proof["gguf"]["passed"] is None  # nobody named a GGUF of this base

    with closing(sqlite3.connect(f"file:{workspace.path}/mlflow/mlflow.db?mode=ro", uri=True)) as database:
        tags = dict(database.execute("select key, value from tags where key like 'cervella.%'").fetchall())
        losses = database.execute("select count(*) from metrics where key = 'train/loss'").fetchone()[0]
    assert tags["cervella.adapter"] == trained.manifest["outputs"]["adapter_model.safetensors"]["sha256"]
    assert losses == 6  # while it was training

    again = run(program, "optimize-smoke", *workspace.options, "--json")
    assert again.steps == dict.fromkeys(STEPS, "skipped") | {"roadmap.triggers": "done"}  # they are measured each time
    plan = here("plan", "optimize-smoke", *workspace.options, "--json").json
    assert {step["name"] for step in plan["steps"] if step["action"] != "skip"} == {"roadmap.triggers"}


def test_the_packaged_model_answers_with_what_it_was_trained_to_say(
    program: Any, new_workspace: Callable[..., Any], trainer_environment: Callable[[str], Any], root: Path
) -> None:
    trainer_environment("axolotl")
    workspace = new_workspace(
        "-o", "train.max_steps=2", "-o", "train.batch_size=1", "-o", "train.accumulation=1",
        "-o", "evaluate.answers=1",
        doubles=("-o", "index.embedding.model=fake/embedding"), first=False,
    )  # fmt: skip
    refused = program("ask", "optimize-smoke", *workspace.options, "Chi sei?")
    assert refused.code == 3, refused.out
    done = run(program, "optimize-smoke", *workspace.options, "--json")
    assert done.code == 1, done.err
    sealed = {step["name"]: step["artefact"] for step in done.json["steps"] if "artefact" in step}
    exported = Store(workspace.path).open(sealed["train.export"])
    proof = exported.read_json("proof.json")["gguf"]
    assert proof["passed"], proof["reasons"]
    assert proof["effect"]["mean"] > proof["bases"]["mean"]
    assert "llama-server" in exported.read_text("serve.txt")
    assert done.json["scorecard"]["answers"]["scored"] == 1
    asked = program("ask", "optimize-smoke", *workspace.options, "Quanto è la caparra ad agosto?", "--json")
    told = json.loads(asked.out)
    assert asked.code == (0 if told["found"] else 1), asked.err
    assert told["sources"]


def test_what_cannot_be_trained_here_is_said_before_anything_is_done(
    program: Any, new_workspace: Callable[..., Any], trainer_environment: Callable[[str], Any]
) -> None:
    trainer_environment("axolotl")
    workspace = new_workspace()
    done = run(program, "optimize-qwen3-4b", *workspace.options)
    assert done.code == 3
    assert "cervella train pack" in done.err and "GPU" in done.err
    assert not list(workspace.path.glob("store/sncp.collect/*"))
