"""What a training adds to the record of a release: its adapter, what proves how it came about, and its numbers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components.store import Artefact

__all__ = ["MOST_BYTES", "Trained", "read_trained"]

MOST_BYTES = 256 * 2**20
"""Of files of an adapter that are copied to MLflow; beyond, their digests alone are. (Qwen3-4B at r 16: 132 MB.)"""

_ADAPTER = "adapter_model.safetensors"
_REPORTS = {
    "page.html", "result.json", "effective.json", "environment.json", "job.json", "masks.json", "losses.json",
    "proof.json",
}  # fmt: skip
_CONFIGS = (".yaml", ".yml")
_NOT_KEPT = ("serve.txt", "Modelfile")  # commands with places of this machine
_NUMBERS = (
    "steps", "seconds", "tokens_per_second", "tokens", "trainable_parameters", "peak_memory_bytes", "peak_gpu_bytes",
    "best_eval_loss", "base_eval_loss", "mean_last_epoch_loss", "sittings",
)  # fmt: skip


@dataclass(frozen=True)
class Trained:
    """A training, for `register`.

    Attributes:
        fingerprint: of `train.run`; the run that MLflow has of it while it trained is found by it.
        adapter: SHA-256 of the adapter's weights.
        metrics: name -> number.
        texts: path in MLflow -> text.
        files: path in MLflow -> the file to copy.
        tags: of the run.
        result: `result.json` of the training.
    """

    fingerprint: str
    adapter: str
    metrics: Mapping[str, float]
    texts: Mapping[str, str]
    files: Mapping[str, Path]
    tags: Mapping[str, str] = field(default_factory=dict)
    result: Mapping[str, Any] = field(default_factory=dict)


def read_trained(
    training: Artefact, *, losses: Artefact | None = None, export: Artefact | None = None, most_bytes: int = MOST_BYTES
) -> Trained:
    """From the sealed `train.run`, `train.losses` and `train.export`.

    Small files are copied: page, curves, result, configurations. The adapter and what was exported are copied in the
    order of their size as long as all together stay within `most_bytes`; `release/adapter.json` has name, bytes and
    SHA-256 of every one, and whether it is here.
    """
    result = training.read_json("result.json")
    outputs = training.manifest["outputs"]
    adapter = str(outputs[_ADAPTER]["sha256"])
    reports = {f"training/{name}": path for name, path in _reports(training)}
    for other in (losses, export):
        reports |= {f"training/{name}": path for name, path in _reports(other)} if other else {}
    kept, listed = _weights(training, export, reports, most_bytes)
    about = {
        "adapter": adapter, "training": training.digest, "fingerprint": training.fingerprint,
        "losses": losses.digest if losses else None, "export": export.digest if export else None, "files": listed,
    }  # fmt: skip
    texts = {"release/adapter.json": json.dumps(about, indent=2) + "\n"}
    drawn = _curves(training)
    if drawn:
        texts["training/curves.svg"] = drawn
    return Trained(
        fingerprint=training.fingerprint,
        adapter=adapter,
        metrics={f"training.{name}": float(result[name]) for name in _NUMBERS if _is_number(result.get(name))},
        texts=texts,
        files={**reports, **kept},
        tags={
            "cervella.adapter": adapter, "cervella.training": training.id,
            "cervella.trainer": f"{result.get('trainer')} {result.get('trainer_version')}",
        },
        result=result,
    )  # fmt: skip


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _reports(artefact: Artefact) -> Iterator[tuple[str, Path]]:
    for name in sorted(artefact.manifest["outputs"]):
        if name in _REPORTS or name.endswith(_CONFIGS):
            yield name, artefact.file(name)


def _weights(
    training: Artefact, export: Artefact | None, reports: Mapping[str, Path], most: int
) -> tuple[dict[str, Path], list[dict[str, Any]]]:
    """Files of the adapter and of what was exported: those that are copied, and all of them in words."""
    found = [
        (name, artefact.file(name), str(about["sha256"]))
        for artefact in (training, export) if artefact
        for name, about in artefact.manifest["outputs"].items()
        if f"training/{name}" not in reports and not name.endswith((".jsonl", ".log", ".html", *_NOT_KEPT))
    ]  # fmt: skip
    kept: dict[str, Path] = {}
    listed, room = [], most
    for name, path, digest in sorted(found, key=lambda one: (one[1].stat().st_size, one[0])):
        size = path.stat().st_size
        fits = size <= room and f"release/adapter/{name}" not in kept
        if fits:
            kept[f"release/adapter/{name}"] = path
            room -= size
        listed.append({"name": name, "bytes": size, "sha256": digest, "here": fits})
    return kept, listed


def _curves(training: Artefact) -> str:
    from components.train.report.curves import draw_curves, read_curves

    return draw_curves(read_curves(training.read_jsonl("progress.jsonl")), standalone=True)
