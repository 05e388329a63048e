"""The step `train.export`: the adapter for llama.cpp and Ollama, base and adapter as one model, and the proof of both.

A GGUF adapter that is proved wrong is not exported: the merged model is, in its place. Where no GGUF of the base is at
hand nothing can be proved, and the artefact says so.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from components.errors import TerminalError
from components.store import Artefact, Run, Step, StepSpec, file_digest, logger, progress_of, recorded_step
from components.train.base import base_gguf
from components.train.environments.find import Environment
from components.train.job import Job
from components.train.params import TrainParams
from components.train.prepare import read_job

__all__ = ["ADAPTER_GGUF", "PROOF", "export_model", "export_spec"]

ADAPTER_GGUF, PROOF = "adapter.gguf", "proof.json"
_ENDS = {"llama3": "<|eot_id|>", "mistral": "</s>"}


def export_spec(params: TrainParams, *, trained: str) -> StepSpec:
    """Identity of an export; `trained`: digest of `train.run`."""
    gguf = base_gguf(params.base)
    values = {**params.export.model_dump(mode="json"), "gguf": file_digest(gguf) if gguf else None}
    return StepSpec("train.export", 1, values, {"trained": trained})


def export_model(
    run: Run, params: TrainParams, *, trained: Artefact, model: Path | None, environment: Callable[[], Environment]
) -> Artefact:
    """Export what was trained; seals `proof.json` and the forms that the recipe asks for.

    Args:
        run: the run.
        params: section `train`.
        trained: a sealed `train.run`.
        model: folder of the base, where it does not come from the hub.
        environment: of the trainer; asked only where weights have to be loaded.

    Raises:
        TerminalError: it could not be done.
    """
    with recorded_step(run, export_spec(params, trained=trained.digest)) as step:
        if not step.sealed:
            work = _Export(step, params, trained=trained, model=model, environment=environment)
            proofs = work.write()
            step.write_json(PROOF, proofs)
            step.note(proved=[name for name, one in proofs.items() if one["passed"]])
    return step.artefact


def _why(proof: dict[str, Any]) -> str:
    return proof.get("undecided") or "; ".join(proof["reasons"])


class _Export:
    def __init__(
        self, step: Step, params: TrainParams, *, trained: Artefact, model: Path | None,
        environment: Callable[[], Environment],
    ) -> None:  # fmt: skip
        self._step, self._params, self._trained = step, params, trained
        self._job: Job = read_job(trained)
        self._environment = environment
        self._gguf = base_gguf(params.base)
        self._base = str(model) if model else self._job.model
        self._about: dict[str, Any] = {
            "model": self._base, "revision": params.base.revision, "adapter": trained.path,
            "folder": step.scratch / "export",
        }  # fmt: skip

    def write(self) -> dict[str, dict[str, Any]]:
        """Write all forms; form -> what was proved of it."""
        proofs = {}
        wants_merged = self._params.export.merged
        if self._params.export.gguf_adapter:
            proofs["gguf"] = self._gguf_adapter()
            if proofs["gguf"]["passed"] is False:
                logger.warning("the adapter as GGUF is not exported: %s", "; ".join(proofs["gguf"]["reasons"]))
                self._step.path(ADAPTER_GGUF).unlink()
                wants_merged = True
            elif proofs["gguf"]["passed"] is None:
                logger.warning("the adapter as GGUF is exported unproved: %s", _why(proofs["gguf"]))
        if wants_merged:
            proofs["merged"] = self._merged()
        self._write_commands(merged=wants_merged)
        return proofs

    def _gguf_adapter(self) -> dict[str, Any]:
        from components.train.export.gguf_lora import export_gguf_adapter, shape_of_config, shape_of_gguf
        from components.train.export.proof import prove_gguf

        config = self._trained.read_json("measured.json")["config"]
        shape = shape_of_gguf(self._gguf) if self._gguf else shape_of_config(config)
        out = export_gguf_adapter(self._trained.path, out=self._step.path(ADAPTER_GGUF), shape=shape)
        if self._gguf is None:
            why = "no GGUF of the base is at hand (train.base.gguf names one), so nothing could be compared"
            return {"form": "gguf", "passed": None, "reasons": [why]}
        return prove_gguf(
            **self._about, python=self._environment().python, gguf=self._gguf, exported=out,
            masks=self._trained.file("masks-validation.jsonl"), tolerance=self._params.export.tolerance,
            same_weights=self._params.base.gguf is None,  # then it is the packaged one
            tell=progress_of("train.export"),
        ).to_dict()  # fmt: skip

    def _merged(self) -> dict[str, Any]:
        from components.train.export.merge import merge_adapter
        from components.train.export.proof import prove_merged

        out, python = self._step.path("config.json").parent, self._environment().python
        merge_adapter(**self._about, python=python, tokenizer=self._trained.path, out=out)
        proof = prove_merged(
            **self._about,
            python=python,
            merged=out,
            masks=self._trained.file("masks-validation.jsonl"),
            tolerance=self._params.export.tolerance,
        )
        if proof.passed is False:
            raise TerminalError(f"the merged model does not say what was trained: {'; '.join(proof.reasons)}")
        return proof.to_dict()

    def _write_commands(self, *, merged: bool) -> None:
        """How other programs serve it."""
        from components.train.export.serving import llama_server_command, modelfile, vllm_command

        base, lines = str(self._gguf or "BASE.gguf"), []
        if self._step.path(ADAPTER_GGUF).exists():
            end = _ENDS.get(self._params.base.template, "<|im_end|>")
            self._step.write_text("Modelfile", modelfile(base=base, stop=end))
            lines += ["llama.cpp:", f"  {llama_server_command(base=base)}", "Ollama (in this folder):",
                      "  ollama create cervella -f Modelfile"]  # fmt: skip
        rank = self._job.params.lora.r
        command = vllm_command(base=self._base, adapter=str(self._trained.path), name="cervella", rank=rank)
        lines += ["vLLM, the adapter on its base:", f"  {command}"]
        if merged:
            whole = "vllm serve . --served-model-name cervella --host 127.0.0.1"
            lines += ["vLLM, as one model (in this folder):", f"  {whole}"]
        self._step.write_text("serve.txt", "\n".join(lines) + "\n")
