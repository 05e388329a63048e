"""All forms of a trained adapter that a recipe asks for: GGUF LoRA, merged model, how to serve them, and the proof."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.errors import TerminalError
from components.train.base import base_gguf
from components.train.export.gguf_lora import export_gguf_adapter, shape_of_config, shape_of_gguf
from components.train.export.merge import merge_adapter
from components.train.export.proof import Proof, prove_gguf, prove_merged
from components.train.export.serving import llama_server_command, modelfile, vllm_command
from components.train.params import TrainParams

__all__ = ["ADAPTER_GGUF", "Exported", "export_forms"]

ADAPTER_GGUF, PROOF, MODELFILE, SERVING = "adapter.gguf", "proof.json", "Modelfile", "serving.txt"
_STOPS = {"llama3": "<|eot_id|>", "mistral": "</s>"}
_Tell = Callable[[int, int], None]


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        gguf: the adapter is there as GGUF.
        merged: the merged model is there.
        proofs: of the forms that were held against the trained model.
        told: why there is a merged model instead of a GGUF that was asked for; None: nothing is to be told.
    """

    gguf: bool
    merged: bool
    proofs: tuple[Proof, ...]
    told: str | None

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        proofs = [proof.to_dict() for proof in self.proofs]
        return {"gguf": self.gguf, "merged": self.merged, "told": self.told, "proofs": proofs}


def export_forms(
    params: TrainParams, *, python: Path, model: str, adapter: Path, masks: Path, out: Path, folder: Path,
    config: Mapping[str, Any] | None = None, tell: _Tell = lambda done, total: None,
) -> Exported:  # fmt: skip
    """Write the forms that the recipe asks for flat into `out`, and `proof.json`.

    A GGUF adapter that cannot be made, or whose proof fails, is taken away again and the merged model written instead.
    Without a GGUF of the base (`train.base.gguf`) the adapter is converted and not proved.

    Args:
        params: section `train`.
        python: of the trainer's environment.
        model: the base: folder or name on the hub.
        adapter: folder of the trained adapter, with tokenizer and chat template.
        masks: JSONL of held-out examples, as the trainer had them.
        out: folder to write into.
        folder: for the work.
        config: config.json of the base; asked for only where the base is neither a folder nor there as GGUF.
        tell: called with how much of a proof is done, and of how much.

    Raises:
        TerminalError: the merged model does not say what the trained one says either.
    """
    gguf_proof, told = None, None
    if params.export.gguf_adapter:
        try:
            gguf_proof = _gguf(
                params, python=python, model=model, adapter=adapter, masks=masks, out=out, folder=folder, config=config,
                tell=tell,
            )  # fmt: skip
            told = "; ".join(gguf_proof.reasons) if gguf_proof and not gguf_proof.passed else None
        except TerminalError as error:
            told = str(error)
        if told:
            (out / ADAPTER_GGUF).unlink(missing_ok=True)
            told = f"no GGUF adapter was exported, the merged model is the export: {told}"
    merged_proof = None
    if params.export.merged or told:
        merged_proof = _merged(params, python=python, model=model, adapter=adapter, masks=masks, out=out, folder=folder)
        if not merged_proof.passed:
            raise TerminalError(
                f"the merged model does not say what the trained one says: {'; '.join(merged_proof.reasons)}"
                + (f". And {told}" if told else "")
            )
    has_gguf = params.export.gguf_adapter and not told
    _write_serving(params, adapter=adapter, out=out, gguf=has_gguf, merged=merged_proof is not None)
    proofs = tuple(proof for proof in (gguf_proof, merged_proof) if proof)
    exported = Exported(has_gguf, merged_proof is not None, proofs, told)
    (out / PROOF).write_text(json.dumps(exported.to_dict(), indent=1) + "\n", encoding="utf-8")
    return exported


def _gguf(
    params: TrainParams, *, python: Path, model: str, adapter: Path, masks: Path, out: Path, folder: Path,
    config: Mapping[str, Any] | None, tell: _Tell,
) -> Proof | None:  # fmt: skip
    base = base_gguf(params.base)
    if base is None and config is None:
        file = Path(model) / "config.json"
        if not file.is_file():
            raise TerminalError(f"nothing here tells the shape of {model}: name its GGUF in train.base.gguf")
        config = json.loads(file.read_bytes())
    shape = shape_of_gguf(base) if base else shape_of_config(config or {})
    exported = export_gguf_adapter(adapter, out=out / ADAPTER_GGUF, shape=shape)
    if base is None:
        return None
    return prove_gguf(
        python=python, model=model, adapter=adapter, gguf=base, exported=exported, masks=masks, folder=folder,
        tolerance=params.export.tolerance, same_weights=params.base.gguf is None, revision=params.base.revision,
        tell=tell,
    )  # fmt: skip


def _merged(
    params: TrainParams, *, python: Path, model: str, adapter: Path, masks: Path, out: Path, folder: Path
) -> Proof:
    tokenizer = adapter if (adapter / "tokenizer_config.json").is_file() else model
    merge_adapter(
        python=python, model=model, adapter=adapter, tokenizer=tokenizer, out=out, folder=folder,
        revision=params.base.revision,
    )  # fmt: skip
    return prove_merged(
        python=python, model=model, adapter=adapter, merged=out, masks=masks, folder=folder,
        tolerance=params.export.tolerance, revision=params.base.revision,
    )  # fmt: skip


def _write_serving(params: TrainParams, *, adapter: Path, out: Path, gguf: bool, merged: bool) -> None:
    base = base_gguf(params.base)
    name = base.name if base else "base.gguf"
    lines = []
    if gguf:
        stop = _STOPS.get(params.base.template, "<|im_end|>")
        head = "# Put the base's GGUF beside this file, or name its path. Then: ollama create NAME -f Modelfile\n"
        (out / MODELFILE).write_text(head + modelfile(base=f"./{name}", stop=stop), encoding="utf-8")
        lines += ["# The adapter on its base, by llama.cpp; name the path of the base", llama_server_command(base=name)]
    if params.base.model and not params.base.model.startswith("local/"):
        rank = int(json.loads((adapter / "adapter_config.json").read_bytes())["r"])
        command = vllm_command(base=params.base.model, adapter="FOLDER_OF_THE_ADAPTER", name="partner", rank=rank)
        lines += ["# The adapter as it was trained (artefact train.run), by vLLM", command]
    if merged:
        lines += ["# The merged model, by vLLM", "vllm serve FOLDER_OF_THIS_FILE --host 127.0.0.1"]
    (out / SERVING).write_text("\n".join(lines) + "\n", encoding="utf-8")
