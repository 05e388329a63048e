"""Releases that no run made: the one of a finished run with another model, with an adapter or without, in service."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from components.registry.champion.record import Champion, locked, read_history, write_history
from components.registry.champion.release_step import ADAPTER, PERSONA_FILES, RELEASE, release_spec
from components.registry.release import release_digest
from components.store import StepSpec, Store, file_digest
from components.train.base import base_identity
from components.train.params import BaseModelParams
from tests.flows.conftest import Workspace

__all__ = ["put_in_service"]

_MODEL = "cervella"


def put_in_service(
    space: Workspace, *, chat: dict[str, Any], base: BaseModelParams | None = None, adapter: Path | None = None,
    gguf: Path | None = None, brief: bool = False,
) -> str:  # fmt: skip
    """Put the release of the finished run into service, answering with `chat`; returns its digest.

    `adapter`: a folder as PEFT saves it, sealed as what was trained on `base`. `gguf`: an adapter for llama.cpp.
    `brief`: with a prompt of one line and little of the notes, for a model that reads slowly.
    """
    store = Store(space.path)
    [made] = [
        one for one in store.newest("registry.release") if "fake" in one.read_json(RELEASE)["base_model"]["model"]
    ]
    release = made.read_json(RELEASE)
    release["base_model"] |= chat
    if adapter and base:
        identity = base_identity(base)
        _seal_training(store, adapter, base=identity)
        release |= {"adapter": file_digest(adapter / "adapter_model.safetensors"), "adapted": identity}
    if gguf:
        release["adapter"] = file_digest(gguf)
    if brief:
        release["answer"]["max_context_tokens"], release["persona"]["session"] = 120, None
    prompt = str(made.manifest["inputs"]["prompt"])
    with store.step(release_spec(release, prompt=prompt, adapter=release["adapter"])) as step:
        if not step.sealed:
            step.write_text(RELEASE, json.dumps(release))
            for name in PERSONA_FILES:
                step.path(name).write_bytes(made.file(name).read_bytes())
            if brief:
                short = {**made.read_json("prompt.json"), "text": "Sei una collega. Rispondi in breve."}
                step.path("prompt.json").write_text(json.dumps(short))
            if gguf:
                step.path(ADAPTER).write_bytes(gguf.read_bytes())
            elif adapter:
                step.write_text(ADAPTER, "what llama.cpp would answer with; vLLM does not")
    [run] = (space.path / "runs").iterdir()
    with locked(space.path, "promote"):
        history = read_history(space.path, _MODEL)
        new = Champion(
            what="promote", at=datetime.now(UTC).isoformat(), by="Anna", reason="a test", verdict="GO",
            digest=release_digest(release), before=None, release=step.artefact.id, scorecard=None, gate="none",
            run=run.name, recipe="mvp", phase="mvp", version=1,
        )  # fmt: skip
        new = replace(new, before=history[-1].digest if history else None)
        write_history(space.path, _MODEL, [*history, new])
    return new.digest


def _seal_training(store: Store, adapter: Path, *, base: dict[str, Any]) -> None:
    spec = StepSpec("train.run", 1, {"base": base}, {"prepared": file_digest(adapter / "adapter_model.safetensors")})
    with store.step(spec) as step:
        if not step.sealed:
            for file in adapter.iterdir():
                step.path(file.name).write_bytes(file.read_bytes())
