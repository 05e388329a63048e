"""A release with an adapter in a real MLflow: its files, its numbers, and the run that was recorded meanwhile."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.answer import AnswerParams
from components.index import IndexParams
from components.llm.params import LlmParams
from components.persona import PersonaParams
from components.registry import register, release_digest, sqlite_uri
from components.registry import steps as registry
from components.registry.trained import read_trained
from components.store import Artefact, Run, StepSpec, recorded_step
from components.train.live import LiveRecord
from components.train.running.progress import Progress

Arguments = Callable[[Path], dict[str, Any]]
WEIGHTS = b"weights" * 1000
BASE = {"model": "Qwen/Qwen3-4B", "revision": None, "sha256": "ef" * 32}
RESULT = {
    "trainer": "axolotl", "trainer_version": "0.19.0", "steps": 203, "seconds": 4069.5, "tokens_per_second": None,
    "best_eval_loss": 1.0, "stopped_early": True,
}  # fmt: skip
EVENTS = [{"event": "log", "step": step, "loss": 1.0 / step} for step in range(1, 9)]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(tmp_path / "workspace", recipe="test", phase="optimize")


def seal(run: Run, spec: StepSpec, files: dict[str, bytes]) -> Artefact:
    with recorded_step(run, spec) as step:
        if not step.sealed:
            for name, data in files.items():
                step.path(name).write_bytes(data)
    return step.artefact


def trained(run: Run, *, weights: bytes = WEIGHTS, base: dict[str, Any] = BASE, seconds: float = 4069.5) -> Artefact:
    """As the step `train.run` seals it."""
    lines = "".join(json.dumps(event) + "\n" for event in EVENTS)
    files = {
        "adapter_model.safetensors": weights, "adapter_config.json": b'{"r": 16}', "tokenizer.json": b"{}",
        "result.json": json.dumps({**RESULT, "seconds": seconds}).encode(), "page.html": b"<!doctype html>",
        "progress.jsonl": lines.encode(), "config.yaml": b"lora_r: 16\n", "trainer.log": b"printed",
        "masks-train.jsonl": b"{}\n",
    }  # fmt: skip
    values = {"base": base, "weights": hashlib.sha256(weights).hexdigest(), "seconds": seconds}
    return seal(run, StepSpec("train.run", 1, values, {"prepared": "a" * 64}), files)


def others(run: Run) -> dict[str, Artefact]:
    return {
        "losses": seal(run, StepSpec("train.losses", 1), {"losses.json": b"{}"}),
        "export": seal(
            run, StepSpec("train.export", 1), {"adapter.gguf": b"GGUF" * 10, "proof.json": b"{}", "serve.txt": b"/here"}
        ),
    }


def client_of(folder: Path) -> Any:
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=sqlite_uri(folder), registry_uri=sqlite_uri(folder))


def stored(folder: Path, run_id: str) -> dict[str, bytes]:
    root = folder / "artifacts" / run_id / "artifacts"
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_the_record_has_the_adapter_and_all_that_proves_it(house: Path, arguments: Arguments, run: Run) -> None:
    training = trained(run)
    plain = arguments(house)
    given = {**plain, "training": read_trained(training, **others(run))}
    done = register(**given)
    files = stored(house, done.run_id)
    assert {name for name in files if "/" in name} - {f"release/{one}" for one in ("prompt.md", "recipe.yaml")} == {
        "release/release.json", "release/adapter.json", "release/adapter/adapter_model.safetensors",
        "release/adapter/adapter_config.json", "release/adapter/tokenizer.json", "release/adapter/adapter.gguf",
        "training/page.html", "training/result.json", "training/config.yaml", "training/losses.json",
        "training/proof.json", "training/curves.svg",
    }  # fmt: skip
    assert files["release/adapter/adapter_model.safetensors"] == WEIGHTS
    assert files["training/curves.svg"].startswith(b"<svg ")
    about = json.loads(files["release/adapter.json"])
    assert about["adapter"] == hashlib.sha256(WEIGHTS).hexdigest()
    assert all(one["here"] for one in about["files"])
    record = client_of(house).get_run(done.run_id)
    assert record.data.tags["cervella.adapter"] == about["adapter"]
    assert record.data.tags["cervella.trainer"] == "axolotl 0.19.0"
    assert (record.data.metrics["training.seconds"], record.data.metrics["training.steps"]) == (4069.5, 203)
    assert "training.tokens_per_second" not in record.data.metrics  # unknown is no number
    assert "training.stopped_early" not in record.data.metrics
    assert "cervella.training_run" not in record.data.tags  # it was trained elsewhere
    again = register(**given)
    assert (again.created, again.run_id, stored(house, again.run_id)) == (False, done.run_id, files)
    assert training.file("adapter_model.safetensors").stat().st_nlink == 1  # MLflow has a copy of its own


def test_the_adapter_comes_back_by_alias(house: Path, arguments: Arguments, run: Run, tmp_path: Path) -> None:
    import mlflow

    register(**arguments(house), training=read_trained(trained(run)))
    version = client_of(house).get_model_version_by_alias("cervella", "candidate")
    back = Path(mlflow.artifacts.download_artifacts(artifact_uri=version.source, dst_path=str(tmp_path)))
    assert (back / "adapter" / "adapter_model.safetensors").read_bytes() == WEIGHTS


def test_files_that_are_too_large_are_named_with_their_digests(house: Path, arguments: Arguments, run: Run) -> None:
    training = read_trained(trained(run), most_bytes=100)
    done = register(**arguments(house), training=training)
    files = stored(house, done.run_id)
    assert "release/adapter/adapter_model.safetensors" not in files
    assert "release/adapter/adapter_config.json" in files
    listed = {one["name"]: one for one in json.loads(files["release/adapter.json"])["files"]}
    assert listed["adapter_model.safetensors"] == {
        "name": "adapter_model.safetensors", "bytes": len(WEIGHTS), "here": False,
        "sha256": hashlib.sha256(WEIGHTS).hexdigest(),
    }  # fmt: skip
    assert listed["adapter_config.json"]["here"]


def test_the_run_that_was_recorded_while_it_trained_is_named(house: Path, arguments: Arguments, run: Run) -> None:
    training = trained(run)
    with LiveRecord(
        workspace=house.parent, tracking_uri=None, experiment="cervella", run_name="training x",
        fingerprint=training.fingerprint, params={},
    ) as live:  # fmt: skip
        live.log(Progress(8, 8, None, None, None, None, "end"))
    done = register(**arguments(house), training=read_trained(training))
    assert client_of(house).get_run(done.run_id).data.tags["cervella.training_run"] == live.run_id


def release(**changes: Any) -> str:
    return release_digest(
        registry.release_of(
            prompt="Sei Cervella.", embedder="fake/e@1", persona=PersonaParams(), index=IndexParams(), llm=LlmParams(),
            answer=AnswerParams(), **changes,
        )
    )  # fmt: skip


def test_a_release_is_its_adapter_and_the_base_of_it_and_not_how_long_it_took(run: Run) -> None:
    own = release(training=trained(run))
    assert own != release()
    assert own == release(training=trained(run, seconds=1.0))
    assert own != release(training=trained(run, weights=b"others"))
    assert own != release(training=trained(run, base={**BASE, "sha256": "00" * 32}))
