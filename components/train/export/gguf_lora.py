"""The adapter as GGUF LoRA, for llama.cpp, llama-server and Ollama: the same numbers under llama.cpp's names.

llama.cpp multiplies an adapter's two matrices as peft does, alpha / rank times. One thing differs: in models of kind
llama (Mistral among them) it turns neighbouring pairs of a head where transformers turns its two halves, so rows of
q and k stand in another order in a GGUF, and those of their adapters' B matrices must too.

Refused, because a GGUF LoRA cannot say it or nobody proved it here: adapters of embeddings and of the output layer,
whole modules that were trained (modules_to_save), DoRA, biases, alpha patterns, other kinds of models.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from components.errors import TerminalError
from components.llm.gguf import read_metadata
from components.train.running.tensors import read_tensors

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Shape", "export_gguf_adapter", "shape_of_config", "shape_of_gguf"]

_KINDS = {"llama": "llama", "mistral": "llama", "qwen2": "qwen2", "qwen3": "qwen3"}
"""model_type of transformers -> architecture of GGUF."""
_PERMUTED = {"llama"}
_NAMES = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}  # fmt: skip
_TENSOR = re.compile(r"base_model\.model\.model\.layers\.(\d+)\.(\w+\.\w+)\.lora_([AB])\.weight")


@dataclass(frozen=True)
class Shape:
    """What a base model must tell for its adapters to be converted.

    Attributes:
        architecture: in GGUF's words.
        layers: of the model.
        heads: of the queries of a layer.
        kv_heads: of its keys and values.
    """

    architecture: str
    layers: int
    heads: int
    kv_heads: int


def shape_of_gguf(path: Path) -> Shape:
    """Of the model in a GGUF file.

    Raises:
        TerminalError: it cannot be read, or is of a kind whose adapters nobody proved here.
    """
    meta = read_metadata(path)
    kind = str(meta.get("general.architecture"))
    if kind not in _KINDS.values():
        raise TerminalError(_unknown(kind, of=path.name))
    heads = int(meta[f"{kind}.attention.head_count"])
    kv_heads = int(meta.get(f"{kind}.attention.head_count_kv", heads))
    return Shape(kind, int(meta[f"{kind}.block_count"]), heads, kv_heads)


def shape_of_config(config: Mapping[str, Any]) -> Shape:
    """Of a model by its config.json. Raises TerminalError: of a kind whose adapters nobody proved here."""
    kind = str(config.get("model_type"))
    if kind not in _KINDS:
        raise TerminalError(_unknown(kind, of="the base model"))
    heads = int(config["num_attention_heads"])
    return Shape(_KINDS[kind], int(config["num_hidden_layers"]), heads, int(config.get("num_key_value_heads") or heads))


def _unknown(kind: str, *, of: str) -> str:
    known = ", ".join(sorted(_KINDS))
    return (
        f"{of} is a model of kind {kind}; adapters as GGUF are made for {known}. Set train.export.gguf_adapter: false "
        "and train.export.merged: true to get one merged model instead"
    )


def export_gguf_adapter(
    adapter: Path, *, out: Path, shape: Shape, dtype: Literal["f32", "f16"] = "f32", name: str = "adapter"
) -> Path:
    """Write the adapter in the folder `adapter` (as peft saves it) as the GGUF file `out`; the same bytes each time.

    Args:
        adapter: folder with adapter_config.json and adapter_model.safetensors.
        out: file to write.
        shape: of the base model.
        dtype: of the matrices; f32 keeps every bit.
        name: said in the file.

    Returns:
        `out`.

    Raises:
        TerminalError: the adapter holds what a GGUF LoRA cannot say, or does not fit the base.
    """
    import gguf

    alpha = _scale(json.loads((adapter / "adapter_config.json").read_bytes()))
    pairs = _pairs(_tensors(adapter / "adapter_model.safetensors"), shape)
    writer = gguf.GGUFWriter(path=None, arch=shape.architecture)
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, alpha)
    writer.add_name(name)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32 if dtype == "f32" else gguf.LlamaFileType.MOSTLY_F16)
    for place, sides in sorted(pairs.items()):
        for side in "ab":
            writer.add_tensor(f"{place}.weight.lora_{side}", sides[side].astype("<f4" if dtype == "f32" else "<f2"))
    writer.write_header_to_file(path=out)
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return out


def _scale(config: Mapping[str, Any]) -> float:
    """The alpha for which alpha / rank is what peft multiplies with."""
    refused = {
        "modules_to_save": "whole modules were trained beside it (modules_to_save)",
        "trainable_token_indices": "tokens of the embedding were trained beside it",
        "target_parameters": "it adapts single parameters (target_parameters)",
        "use_dora": "it is a DoRA",
        "use_qalora": "it is a QALoRA",
        "lora_bias": "it has biases",
        "fan_in_fan_out": "its matrices are the other way round (fan_in_fan_out)",
        "alpha_pattern": "alpha differs by layer (alpha_pattern)",
        "layer_replication": "layers are used more than once (layer_replication)",
    }
    wrong = [why for key, why in refused.items() if config.get(key)]
    wrong += [f"it is a {config.get('peft_type')}"] if config.get("peft_type") != "LORA" else []
    wrong += ["biases of the base were trained beside it"] if config.get("bias", "none") != "none" else []
    if wrong:
        raise TerminalError(
            f"this adapter cannot be said as a GGUF LoRA: {'; '.join(wrong)}. Set train.export.gguf_adapter: false and "
            "train.export.merged: true, or leave that out of train.extra"
        )
    rank, alpha = int(config["r"]), float(config["lora_alpha"])
    if not config.get("use_rslora"):
        return alpha
    if config.get("rank_pattern"):
        raise TerminalError("this adapter cannot be said as a GGUF LoRA: rslora with ranks that differ by layer")
    return alpha * math.sqrt(rank)


def _pairs(tensors: Mapping[str, np.ndarray[Any, Any]], shape: Shape) -> dict[str, dict[str, np.ndarray[Any, Any]]]:
    """blk.N.NAME -> its two matrices under `a` and `b`, rows of q and k in llama.cpp's order."""
    found: dict[str, dict[str, np.ndarray[Any, Any]]] = {}
    for name, values in tensors.items():
        match = _TENSOR.fullmatch(name)
        if not match or match[2] not in _NAMES:
            raise TerminalError(
                f"the adapter has {name}, which a GGUF LoRA cannot take: only layers of attention and feed-forward can "
                "be adapted (train.lora.targets), no embedding and no output layer. Or set train.export.gguf_adapter: "
                "false and train.export.merged: true"
            )
        layer, module, side = int(match[1]), match[2], match[3].lower()
        if layer >= shape.layers:
            raise TerminalError(f"the adapter has a layer {layer}, the base has {shape.layers}: it is another model's")
        if side == "b" and shape.architecture in _PERMUTED and module in ("self_attn.q_proj", "self_attn.k_proj"):
            values = permute(values, shape.heads if module == "self_attn.q_proj" else shape.kv_heads)
        found.setdefault(f"blk.{layer}.{_NAMES[module]}", {})[side] = values
    broken = [place for place, sides in found.items() if len(sides) != 2]
    if broken or not found:
        raise TerminalError(f"the adapter is not whole: {', '.join(broken[:3]) or 'it has no matrix at all'}")
    return found


def _tensors(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """All tensors of the adapter as float32."""
    try:
        return {name: values.astype("<f4") for name, values in sorted(read_tensors(path).items())}
    except ValueError as error:
        raise TerminalError(f"{path.parent}: {error}") from error


def permute(values: np.ndarray[Any, Any], heads: int) -> np.ndarray[Any, Any]:
    """Rows of a matrix of queries or keys from transformers' order to llama.cpp's; see above."""
    if values.shape[0] % (2 * heads):
        raise TerminalError(
            f"the adapter has a matrix of {values.shape[0]} rows, which {heads} heads cannot share: it is another's"
        )
    half = values.shape[0] // heads // 2
    return values.reshape(heads, 2, half, values.shape[1]).swapaxes(1, 2).reshape(values.shape)
